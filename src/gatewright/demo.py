# SPDX-License-Identifier: Apache-2.0
"""The demonstration: from training on real digits to cycle-accurate RTL, in one call."""

from __future__ import annotations

from pathlib import Path

from gatewright.build import compile_model, store_data
from gatewright.progress import Progress, silent
from gatewright.verify.check import StageResult, check

BOARD = "pynq-z2"


def run_demo(output: Path, *, seed: int = 0, progress: Progress = silent) -> list[StageResult]:
    """Train a residual W4A4 network with 14-bit accumulators on 8x8 digits, compile it for a PYNQ-Z2, and check it.

    Args:
        output: the build folder; everything lies in it.
        seed: of the training.
        progress: called with the name of each step.

    Raises:
        GatewrightError: a stage cannot run.
    """
    import torch

    from gatewright.data import digits
    from gatewright.frontend.export import export
    from gatewright.train.digits import train_digits

    progress("training on 1437 digits: float network, then W4A4")
    trained = train_digits(seed=seed)
    test = digits.load().test
    images = torch.from_numpy(test.x)
    with torch.no_grad():
        outputs = {"float": trained.float_model(images).numpy(), "qat": trained.quant_model(images).numpy()}
    output.mkdir(parents=True, exist_ok=True)
    model = output / "digits.onnx"
    progress("export")
    export(trained.quant_model, model, images[:1])
    store_data(output / "data", inputs=test.x, labels=test.y, **outputs)
    compile_model(model, BOARD, output=output, progress=progress)
    return check(output, progress=progress)
