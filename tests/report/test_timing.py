# SPDX-License-Identifier: Apache-2.0
"""The trace of the cycle model, and the diagram made of it."""

from __future__ import annotations

import numpy as np
import pytest
from tests.models import Builder, random_network, small_network

from gatewright.design.cycles import Timing, simulate
from gatewright.design.fifos import size_fifos
from gatewright.design.structure import End, Structure, structure
from gatewright.frontend.importer import from_onnx
from gatewright.passes.lower import lower
from gatewright.report.timing import _nice, _profile

FRAMES = 5


def run(builder: Builder, *outputs: str, bins: int = 60) -> tuple[Structure, Timing]:
    design = structure(size_fifos(lower(from_onnx(builder.model(*outputs)))))
    return design, simulate(design, FRAMES, trace_bins=bins)


@pytest.fixture(scope="module")
def small() -> tuple[Structure, Timing]:
    b, y = small_network()
    return run(b, y)


def test_a_trace_changes_nothing(small: tuple[Structure, Timing]) -> None:
    design, traced = small
    plain = simulate(design, FRAMES)
    assert plain.trace is None
    assert (plain.latency, plain.interval, plain.cycles, plain.peak) == (
        traced.latency,
        traced.interval,
        traced.cycles,
        traced.peak,
    )


@pytest.mark.parametrize("seed", [0, 3, 5, 8])
def test_trace_of_random_networks(seed: int) -> None:
    b = Builder((2, 7, 7))
    outputs, _ = random_network(b, seed, exact=True)
    check(*run(b, *outputs))


def test_trace_of_a_residual_network(small: tuple[Structure, Timing]) -> None:
    check(*small)


def check(design: Structure, timing: Timing) -> None:
    trace = timing.trace
    assert trace is not None and trace.spans.shape == (len(design.units), FRAMES, 4)
    steps = np.array([u.schedule.steps for u in design.units])
    # The run ends with the last output: steps of the last frame that nothing waits for may be missing.
    made = trace.busy.sum(axis=1)
    assert (made <= steps * FRAMES).all() and (made > steps * (FRAMES - 1)).all()
    assert (trace.busy <= trace.width).all() and trace.busy.shape[1] * trace.width >= timing.cycles
    first_in, first_step, last_step, last_out = np.moveaxis(trace.spans, 2, 0)
    assert (first_in >= 0).all() and (first_in <= first_step).all() and (first_step <= last_step).all()
    # Steps may follow the last beat: a window reads rows that no output needs.
    assert (first_step < last_out).all() and (last_step - first_step + 1 >= steps[:, None])[:, :-1].all()
    # A unit works on one frame after another.
    assert (first_step[:, 1:] > last_step[:, :-1]).all()
    names = [u.name for u in design.units]
    for link in design.links:
        if link.source == End("", 0):
            # The FIFO at the input shows a beat in the cycle after it was offered, at the earliest.
            assert (first_in[names.index(link.sink.unit)] > timing.first_in[0]).all()
        elif not link.sink.unit:
            assert (last_out[names.index(link.source.unit)] <= timing.last_out[link.sink.port]).all()
            if link.depth == 0:
                assert np.array_equal(last_out[names.index(link.source.unit)], timing.last_out[link.sink.port])


def test_profiles_cover_what_a_unit_does(small: tuple[Structure, Timing]) -> None:
    """The areas of all frames of a unit are its steps, but for the rounding of shares and cut bins."""
    design, timing = small
    trace = timing.trace
    assert trace is not None
    for unit in range(len(design.units)):
        area = sum(_area(_profile(trace, unit, f, timing.cycles)) for f in range(FRAMES))
        steps = design.units[unit].schedule.steps * FRAMES
        assert area == pytest.approx(steps, abs=2 * FRAMES * trace.width + 0.01 * timing.cycles)


def _area(path: str) -> float:
    """Of a path of M, H and V, in cycles."""
    import re

    x, y, total = 0.0, 20.0, 0.0
    for kind, numbers in re.findall(r"([MHVZ])([-\d. ]*)", path):
        if kind == "M":
            x, y = map(float, numbers.split())
        elif kind == "H":
            total += (float(numbers) - x) * (20 - y) / 20
            x = float(numbers)
        elif kind == "V":
            y = float(numbers)
    return total


def test_ticks() -> None:
    assert [_nice(v) for v in (0.3, 1, 1.2, 3, 7, 140, 2000)] == [1, 1, 2, 5, 10, 200, 2000]
