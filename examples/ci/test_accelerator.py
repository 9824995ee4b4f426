# SPDX-License-Identifier: Apache-2.0
"""The accelerator of this project's model, simulated cycle by cycle behind the driver that runs on the board."""

import numpy as np


def test_accelerator(virtual_board):
    with virtual_board("model.onnx", board="pynq-z2", fps=100_000) as accelerator:
        assert accelerator.verify().ok
        scores = accelerator.run(np.load("images.npy"))
    assert (scores.argmax(axis=1) == np.load("labels.npy")).mean() > 0.9
