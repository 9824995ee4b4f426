# SPDX-License-Identifier: Apache-2.0
"""Lowering of float steps and quantisers: equal to the definition for every input value, ties included."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewright.errors import ProofError
from gatewright.ir.chain import Mode, Rounding, Step
from gatewright.ir.graph import single
from gatewright.ir.types import Tensor
from gatewright.ops.activation import Activation, step_probes
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove

CHANNELS = 3
POWERS = st.integers(-4, 3).map(lambda p: 2.0**p)
REALS = st.floats(0.01, 10).map(float)
OFFSETS = st.one_of(st.integers(-40, 40).map(lambda v: v / 8), st.floats(-20, 20))


def per_channel(values: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, ...]]:
    return st.one_of(values.map(lambda v: (v,)), st.tuples(*[values] * CHANNELS))


def signed(values: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    return st.builds(lambda v, s: v * s, values, st.sampled_from([1.0, -1.0]))


@st.composite
def activations(draw: st.DrawFn, exact: bool) -> Activation:
    """Batch norms of either sign, ReLUs, biases; with `exact` on a grid on which half of all values are ties."""
    factor = signed(POWERS if exact else REALS)
    offset = st.integers(-40, 40).map(lambda v: v / 4) if exact else OFFSETS
    step = st.one_of(
        per_channel(factor).map(lambda v: Step("mul", v)),
        per_channel(factor).map(lambda v: Step("div", v)),
        per_channel(offset).map(lambda v: Step("add", v)),
        st.just(Step("relu")),
        st.just(Step("mul", (0.0,))),
    )
    steps = tuple(draw(st.lists(step, max_size=4)))
    lo = draw(st.integers(-600, 0))
    per_row = st.tuples(*[POWERS] * CHANNELS) if exact else st.tuples(*[REALS] * CHANNELS)
    scale = draw(st.one_of(POWERS if exact else REALS, per_row))
    source = Tensor((CHANNELS,), lo, lo + draw(st.integers(1, 900)), scale)
    bits, sign = draw(st.integers(2, 8)), draw(st.booleans())
    limits = (-(1 << bits - 1), (1 << bits - 1) - 1) if sign else (0, (1 << bits) - 1)
    return Activation(source, steps, draw(POWERS if exact else REALS), *limits)


def every_input(op: Activation) -> np.ndarray:
    x = np.arange(op.source.lo, op.source.hi + 1)
    return np.broadcast_to(x[:, None], (len(x), op.source.channels))


def brute_positions(op: Activation) -> list[list[int]]:
    """Where the definition changes, by trying every input."""
    (out,) = op.outputs
    x = every_input(op)
    y = op.define(x)
    rows = []
    for c in range(op.source.channels):
        falling = y[0, c] > y[-1, c]
        wanted = [y[:, c] < out.hi - k if falling else y[:, c] > out.lo + k for k in range(out.hi - out.lo)]
        rows.append([int(x[np.argmax(w), c]) if w.any() else op.source.hi + 1 for w in wanted])
    return rows


def check(op: Activation) -> None:
    (lowered,) = op.lower()
    x = every_input(op)
    assert np.array_equal(lowered.reference(x)[0], op.define(x))
    y = op.define(x)
    assert (tuple(y.min(axis=0)), tuple(y.max(axis=0))) == (op.bounds()[0].lo, op.bounds()[0].hi)
    assert lowered.outputs == op.outputs
    assert lowered.bounds()[0].lo == op.bounds()[0].lo and lowered.bounds()[0].hi == op.bounds()[0].hi
    rising = [c for c in range(CHANNELS) if y[0, c] != y[-1, c]]
    positions, brute = op.step_positions(), brute_positions(op)
    assert [positions[c].tolist() for c in rising] == [brute[c] for c in rising]
    graph = single(op)
    (certificate,) = prove(graph, lower(graph))
    assert (certificate.method, certificate.compared) == ("exhaustive", x.size)
    assert certificate.bits_needed <= certificate.bits_given == op.outputs[0].bits


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(activations(exact=True))
def test_ties_of_power_of_two_scales(op: Activation) -> None:
    check(op)


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(activations(exact=False))
def test_any_scales(op: Activation) -> None:
    check(op)


def test_ties_go_to_the_even_neighbour_on_falling_channels_too() -> None:
    op = Activation(Tensor((2,), -10, 10, 0.5), (Step("mul", (1.0, -1.0)),), 1.0, -8, 7)
    (lowered,) = op.lower()
    assert lowered.name() == "threshold"
    x = np.array([[1, 1], [3, 3], [5, 5], [-1, -1], [-3, -3]])
    assert lowered.reference(x)[0].tolist() == [[0, 0], [2, -2], [2, -2], [0, 0], [-2, 2]]


def test_wide_outputs_become_the_narrowest_multiplication() -> None:
    op = Activation(
        Tensor((2,), -5000, 5000, 1.0), (Step("mul", (0.25, 0.5)), Step("add", (3.0, -2.0))), 8.0, -128, 127
    )
    (lowered,) = op.lower()
    assert lowered.name() == "requant"
    # x / 32 + 3/8 and x / 16 - 1/4 are exact with three fractional bits more than the larger factor.
    assert lowered.mult.tolist() == [lowered.mult[1] // 2, lowered.mult[1]]
    assert lowered.mult[1] / 2**lowered.shift == 1 / 16 and lowered.add[0] / 2**lowered.shift == 3 / 8
    assert lowered.memories()["mult"].bits <= 6


def test_steps_are_probed_where_exhaustion_is_too_much() -> None:
    source = Tensor((64,), -(1 << 22), 1 << 22, 1e-4)
    rng = np.random.default_rng(0)
    steps = (Step("mul", tuple(rng.uniform(-2, 2, 64).tolist())), Step("add", tuple(rng.normal(0, 3, 64).tolist())))
    op = Activation(source, steps, 7.7, -8, 7)
    graph = single(op)
    (certificate,) = prove(graph, lower(graph))
    assert certificate.method == "steps"
    span = op.define(np.full((1, 64), source.hi)) - op.define(np.full((1, 64), source.lo))
    assert int(np.abs(span).sum()) <= certificate.steps <= 64 * 15
    assert certificate.compared == 64 * (2 + 2 * 15)
    sample = rng.integers(source.lo, source.hi + 1, (20000, 64))
    assert np.array_equal(lower(graph).nodes[0].op.reference(sample)[0], op.define(sample))


def test_probes_decide_a_monotone_function() -> None:
    positions = np.array([[-3, 4, 9]])
    assert step_probes(positions, Tensor((1,), -5, 6)).ravel().tolist() == [-5, 6, -3, 4, 6, -4, 3, 6]


@pytest.mark.parametrize(
    ("source", "steps", "scale", "bits", "message"),
    [
        (
            Tensor((1,), -(1 << 30), 1 << 30, 1e-5),
            (
                Step("mul", (1 / 3,)),
                Step("relu"),
                Step("add", (0.37,)),
                Step("relu"),
                Step("mul", (0.7,)),
                Step("relu"),
            ),
            0.7e-1,
            12,
            "u_activation: no multiplication of up to 36 bits equals the "
            "quantiser to 1 uint12 .* for every accumulator value",
        ),
        (
            Tensor((1,), -(1 << 30), 1 << 30),
            (),
            1.5,
            32,
            "u_activation: the quantiser to 1 int31 .* use at most 16 output bits",
        ),
        (Tensor((1,), -2000, 2000), (Step("add", (1e30,)), Step("add", (-1e30,))), 0.3, 32, None),
        (
            Tensor((1,), -20000, 20000),
            (Step("mul", (1e-30,)), Step("mul", (1e30,)), Step("add", (1e15,)), Step("add", (-1e15,))),
            11.3,
            12,
            None,
        ),
    ],
)
def test_what_cannot_be_proven_is_refused(source, steps, scale, bits, message) -> None:
    graph = single(
        Activation(
            source,
            steps,
            scale,
            -(1 << bits - 1) if bits == 32 else 0,
            (1 << bits - 1) - 1 if bits == 32 else (1 << bits) - 1,
        )
    )
    if message is not None:
        with pytest.raises(ProofError, match=message):
            lower(graph)
        return
    try:
        prove(graph, lower(graph))
    except ProofError as error:
        assert "u_activation" in str(error)


# --- other roundings, zero points and divisors ------------------------------------------------------------------------


def by_hand(x: Fraction, mode: Mode) -> int:
    """Rounds without floating point."""
    down, up = math.floor(x), math.ceil(x)
    toward, away = (down, up) if x >= 0 else (up, down)
    if mode in ("floor", "ceil", "zero", "away"):
        return {"floor": down, "ceil": up, "zero": toward, "away": away}[mode]
    if abs(x - down) != Fraction(1, 2):
        return down if x - down < Fraction(1, 2) else up
    return {"half_even": down if down % 2 == 0 else up, "half_away": away, "half_zero": toward}[mode]


@pytest.mark.parametrize("mode", get_args(Mode))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_every_rounding_equals_one_by_hand_and_its_hardware(mode: Mode, data: st.DataObject) -> None:
    """On a grid on which many values are ties: the definition, and its hardware, which up to 8 bits always exists."""
    zero = data.draw(st.integers(-9, 9))
    numerator, power = data.draw(st.integers(-12, 12).filter(bool)), data.draw(st.integers(0, 4))
    factor, offset = Fraction(numerator, 1 << power), Fraction(data.draw(st.integers(-40, 40)), 8)
    lo = data.draw(st.integers(-700, 0))
    source = Tensor((1,), lo, lo + data.draw(st.integers(1, 900)))
    limit = 1 << data.draw(st.integers(1, 7))
    divisor = data.draw(st.sampled_from([None, 0.5, 2.0]))
    steps = (Step("mul", (float(factor),)), Step("add", (float(offset),)))
    op = Activation(source, steps, 4.0, -limit, limit - 1, rounding=Rounding(mode, zero, divisor))
    x = np.arange(source.lo, source.hi + 1)[:, None]
    by = Fraction(4 if divisor is None else divisor)
    want = [by_hand((int(v) * factor + offset) / by + zero, mode) - zero for v in x.ravel()]
    np.testing.assert_array_equal(op.define(x).ravel(), np.clip(want, -limit, limit - 1))
    graph = single(op)
    prove(graph, lower(graph))


@pytest.mark.parametrize("mode", get_args(Mode))
def test_wide_outputs_of_every_rounding_become_multiplications(mode: Mode) -> None:
    """A half, or a half and a unit of the last place, makes the rounding of the hardware the one that is asked for."""
    source = Tensor((2,), 0 if mode in ("away", "zero", "half_away", "half_zero") else -5000, 5000)
    op = Activation(source, (Step("mul", (0.25, 0.5)),), 4.0, -2048, 2047, rounding=Rounding(mode))
    if mode == "half_even":
        op = replace(op, rounding=Rounding(mode, zero=2))
    graph = single(op)
    lowered = lower(graph)
    assert [n.op.name() for n in lowered.nodes] == ["requant"]
    prove(graph, lowered)


def test_an_odd_zero_point_under_halves_is_no_multiplication() -> None:
    """Ties go to the odd neighbour, which no offset does; up to 8 bits become thresholds, more are refused."""
    op = Activation(Tensor((1,), -5000, 5000), (), 2.0, -128, 127, rounding=Rounding("half_even", 1))
    assert op.define(np.array([[1], [3], [5], [-1]])).ravel().tolist() == [1, 1, 3, -1]
    assert [n.op.name() for n in lower(single(op)).nodes] == ["threshold"]
    with pytest.raises(ProofError, match="no multiplication of up to 36 bits equals the quantiser"):
        lower(single(replace(op, quant_lo=-1024, quant_hi=1023)))


def test_a_planted_offset_is_noticed() -> None:
    """The proof tells a rounding down from one half to even."""
    op = Activation(Tensor((1,), -500, 500), (), 4.0, -100, 99, rounding=Rounding("floor"))
    graph = single(op)
    lowered = lower(graph)
    (node,) = lowered.nodes
    wrong = replace(node.op, add=node.op.add + 2 ** (node.op.shift - 1))
    with pytest.raises(ProofError, match="defined as"):
        prove(graph, lowered.with_ops({node.name: wrong}))
