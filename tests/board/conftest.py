# SPDX-License-Identifier: Apache-2.0
"""Bundles that tests of boards share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.board.parts import ULTRASCALE, ZYNQ
from tests.models import two_layers

from gatewright.board.bundle import bundle
from gatewright.build import compile_model


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small network's bundle for every Zynq board."""
    home = tmp_path_factory.mktemp("bundles")
    model, y = two_layers()
    path = model.save(home / "net.onnx", y)
    for board in ZYNQ + ULTRASCALE:
        compile_model(path, board, fps=1e6, targets=["rtl", "kernel"], output=home / f"{board}-build")
        bundle(home / f"{board}-build").write(home / board)
    return {board: home / board for board in ZYNQ + ULTRASCALE}
