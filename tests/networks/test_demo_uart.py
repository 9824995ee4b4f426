# SPDX-License-Identifier: Apache-2.0
"""The demonstration's network on a board with nothing but a serial port: 50 images through its pins, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.rtl.uart.test_top import run_top, store_frames

from gatewright.build import compile_model, load_inputs
from gatewright.demo import run_demo

IMAGES = 50
MHZ = 10.0
"""Ten clocks a bit instead of 60: the same top level in a sixth of the time."""


@pytest.mark.slow
def test_the_demonstration_through_the_serial_pins(tmp_path: Path) -> None:
    run_demo(tmp_path / "demo")
    build = compile_model(
        tmp_path / "demo" / "digits.onnx", "ulx3s-85f", targets=("rtl", "kernel"), output=tmp_path / "board"
    )
    images = build.model_graph.quantize(*load_inputs(build, tmp_path / "demo" / "data" / "inputs.npy"))
    store_frames(build.design_graph, build.structure, [x[:IMAGES] for x in images], build.directory)
    assert run_top(build.directory, MHZ, LONG="1") == 1
