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

from gatewright.errors import ToolError
from gatewright.frontend.importer import from_onnx

FEW = 8
RTL_FRAMES = 20
SMALL = "qkeras-jets"
"""The network whose RTL every run of the tests simulates."""

TIES = {"espcn-resize": 1e-3, "mnist-conv": 4e-3}
"""Largest fraction of outputs that a float32 tool may round to the other side, where scales are no powers of two."""


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


def golden_is_the_definition(model: onnx.ModelProto, x: np.ndarray, ties: float) -> None:
    exact, rounded = compare.against_definition(model, x), compare.against_float32(model, x)
    assert exact.outputs >= len(x)
    assert exact.differing == 0, exact
    assert rounded.differing <= ties * rounded.outputs, rounded


@pytest.mark.parametrize("name", MODELS)
def test_golden_is_the_definition(name: str) -> None:
    golden_is_the_definition(*on_frames(name, FEW, small=True), TIES.get(name, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, m in MODELS.items() if m.small])
def test_golden_is_the_definition_at_full_size(name: str) -> None:
    golden_is_the_definition(*on_frames(name, 4, small=False), TIES.get(name, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, m in MODELS.items() if m.data])
def test_accuracy_is_that_of_the_original_on_the_whole_test_set(name: str) -> None:
    model, x = on_frames(name, 10_000, small=False)
    labels = MODELS[name].labels(len(x))
    assert labels is not None
    assert len(x) == 10_000
    golden, original = compare.predict(from_onnx(model), x), run(model, x)
    found = compare.difference(golden, original, 1e-5)
    assert found.differing <= TIES.get(name, 0.0) * found.outputs, found
    accuracy = [(y.argmax(axis=1) == labels).mean() for y in (golden, original)]
    assert accuracy[0] == pytest.approx(accuracy[1], abs=1e-4 if name in TIES else 0)


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
