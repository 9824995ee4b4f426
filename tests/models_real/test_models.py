# SPDX-License-Identifier: Apache-2.0
"""Networks that others made and quantised: golden is their definition, and the RTL is golden."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from benchmarks.real import compare
from benchmarks.real.catalog import MODELS
from benchmarks.real.execute import run
from benchmarks.real.ties import boundaries_crossed

from gatewright.errors import ToolError
from gatewright.frontend.importer import from_onnx

FEW = 5
RTL_FRAMES = 20
SMALL = "qkeras-jets"
"""The network whose RTL every run of the tests simulates."""

NEAR = 1e-3
"""Steps of a quantiser: nearer to a rounding boundary than this, a sum in float32 may fall on its other side."""

TIES = {"qkeras-mnist-cnn": 0.0, "mnist-conv": 0.01, "mlperf-resnet8": 0.25}
"""Most frames in which a float32 tool differs somewhere, where it must: scales that are no powers of two, averages."""

LARGE = (
    "mlperf-wake-words",
    "mltk-alexa",
    "mltk-on-off",
    "mltk-pacman",
    "mltk-mobilenet",
    "mltk-transfer",
    "mnist-conv",
)
"""Those that take long to evaluate or to make."""


@contextmanager
def registry() -> Iterator[None]:
    """Skips where a package cannot be got."""
    try:
        yield
    except ToolError as error:
        pytest.skip(str(error))


def on_frames(name: str, count: int, *, small: bool) -> tuple[onnx.ModelProto, np.ndarray]:
    with registry():
        model = MODELS[name]
        return model.hardware(count) if small else (model.make(), model.frames(count))


def golden_is_the_definition(model: onnx.ModelProto, x: np.ndarray) -> None:
    """Equal in float64; and a float32 tool differs from that only as float32 must."""
    exact = compare.against_definition(model, x)
    assert exact.outputs >= len(x)
    assert exact.differing == 0, exact
    crossed = boundaries_crossed(model, x)
    assert max(crossed, default=0.0) < NEAR
    if not crossed:
        assert compare.against_float32(model, x).differing == 0


@pytest.mark.parametrize("name", [n if n not in LARGE else pytest.param(n, marks=pytest.mark.slow) for n in MODELS])
def test_golden_is_the_definition(name: str) -> None:
    golden_is_the_definition(*on_frames(name, FEW, small=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["espcn-resize"])
def test_golden_is_the_definition_at_full_size(name: str) -> None:
    golden_is_the_definition(*on_frames(name, 2, small=False))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, m in MODELS.items() if m.data])
def test_accuracy_is_that_of_the_original_on_the_whole_test_set(name: str) -> None:
    model, x = on_frames(name, 10_000, small=False)
    labels = MODELS[name].labels(len(x))
    assert labels is not None
    assert len(x) == 10_000
    golden, original = compare.predict(from_onnx(model), x), run(model, x)
    found = compare.difference(golden, original, 1e-5)
    assert found.frames_differing <= TIES[name] * found.frames, found
    accuracy = [float((y.argmax(axis=1) == labels).mean()) for y in (golden, original)]
    assert accuracy[0] == pytest.approx(accuracy[1], abs=0.001 if TIES[name] else 0)


def hardware_is_golden(name: str, folder: Path, stall: float) -> None:
    model, x = on_frames(name, RTL_FRAMES, small=True)
    assert compare.predict(from_onnx(model), x).std(axis=0).max() > 0
    found = compare.run_hardware(model, x, folder, board=MODELS[name].board, fps=MODELS[name].fps, stall=stall)
    assert (found.frames, found.exact) == (RTL_FRAMES, RTL_FRAMES)
    if not stall:
        assert (found.interval, found.latency) == (found.predicted_interval, found.predicted_latency)


@pytest.mark.parametrize("stall", [0.0, 0.25])
def test_rtl_of_a_small_one_is_golden(tmp_path: Path, stall: float) -> None:
    hardware_is_golden(SMALL, tmp_path, stall)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in MODELS if n != SMALL])
def test_rtl_is_golden(name: str, tmp_path: Path) -> None:
    hardware_is_golden(name, tmp_path, 0.0)
