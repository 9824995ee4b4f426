# SPDX-License-Identifier: Apache-2.0
"""Tables: what they refuse, what the ROM holds at every address, and that lowering equals its definition everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.errors import ConfigError, ProofError
from gatewright.ir.chain import MIXED, Step, direction, evaluate
from gatewright.ir.graph import single
from gatewright.ir.op import as_int64
from gatewright.ir.serial import graph_from_files, graph_to_files
from gatewright.ir.types import Tensor
from gatewright.ops.activation import Activation
from gatewright.ops.lut import Lut, inputs_of
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove

CHANNELS = 3


@pytest.mark.parametrize(
    ("source", "table", "options", "message"),
    [
        (Tensor((2,), 0, 2047), np.zeros((1, 2048)), {}, "an input of 11 bits needs 2048 words .*: quantise the input"),
        (Tensor((2,), 0, 3), np.zeros((1, 3)), {}, r"table of shape \(1, 3\) .*: need \(1, 4\) or \(2, 4\)"),
        (Tensor((2,), 0, 3), np.zeros((3, 4)), {}, r"table of shape \(3, 4\) for 2 channels of 4 inputs"),
        (Tensor((2,), 0, 1), np.zeros((1, 2)), {"encoding": "bipolar"}, "a bipolar output holds -1 and .1 only"),
        (Tensor((2,), 0, 1), np.zeros((1, 2)), {"pe": 3}, "pe=3 does not divide 2 channels: use 1 or 2"),
    ],
)
def test_what_does_not_fit_is_refused(source: Tensor, table: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=f"lut: .*{message}"):
        Lut(source, as_int64(table), **options)


@pytest.mark.parametrize("op", [pytest.param(op, id=str(i)) for i, op in enumerate(Lut.examples())])
def test_the_rom_holds_the_table(op: Lut) -> None:
    """Reads every word as the kernel does: address {group, stored input}, an element per lane or one for all."""
    memory, bits = op.memories()["table"], op.source.bits
    inputs = inputs_of(op.source)
    codes = (inputs + 1) // 2 if op.source.encoding == "bipolar" else inputs & (1 << bits) - 1
    x = np.broadcast_to(inputs.reshape(-1, *[1] * len(op.source.shape)), (len(inputs), *op.source.shape))
    want = op.reference(x)[0].reshape(len(inputs), -1, op.channels)[:, 0]
    for c in range(op.channels):
        group, lane = (0, 0) if op.shared else divmod(c, op.pe)
        have = memory.words[(group << bits) + codes, lane]
        np.testing.assert_array_equal(2 * have - 1 if op.encoding == "bipolar" else have, want[:, c])
    assert len(memory.words) == (1 if op.shared else op.channels // op.pe) << bits


NUMBERS = st.integers(-32, 32).map(lambda v: v / 8)
PLAIN = st.sampled_from(["relu", "sigmoid", "tanh", "softplus", "erf", "abs"]).map(Step)
PER_CHANNEL = st.builds(
    lambda kind, v: Step(kind, tuple(v)),
    st.sampled_from(["mul", "add", "leaky"]),
    st.one_of(st.lists(NUMBERS, min_size=1, max_size=1), st.lists(NUMBERS, min_size=CHANNELS, max_size=CHANNELS)),
)
OTHERS = st.one_of(
    st.tuples(NUMBERS, NUMBERS).map(lambda v: Step("clip", (min(v), max(v)))),
    NUMBERS.map(lambda v: Step("elu", (v,))),
)
LEAVES = st.one_of(PLAIN, PER_CHANNEL, OTHERS)
CHAINS = st.lists(LEAVES, max_size=2).map(tuple)
STEPS = st.lists(
    st.one_of(LEAVES, st.builds(lambda k, a, b: Step(k, branches=(a, b)), st.sampled_from(["sum", "product"]),
                                CHAINS, CHAINS)), max_size=3
).map(tuple)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_direction_is_that_of_the_values(steps: tuple[Step, ...]) -> None:
    """Whatever is not called MIXED is monotone, but for the last bit of a library's function."""
    y = evaluate(steps, np.linspace(-6, 6, 193)[:, None].repeat(CHANNELS, axis=1))
    rise = np.diff(y, axis=0)
    slack = 1e-12 * np.abs(y).max()
    for channel, sign in enumerate(direction(steps, CHANNELS)):
        if sign != MIXED:
            assert (rise[:, channel] * sign >= -slack).all()
        if sign == 0:
            assert (np.abs(rise[:, channel]) <= slack).all()


@settings(max_examples=150, deadline=None)
@given(
    STEPS,
    st.sampled_from([0.5, 0.0625, 0.3]),
    st.integers(1, 8),
    st.sampled_from(["signed", "unsigned", "bipolar"]),
    st.one_of(st.tuples(st.integers(-40, 20), st.integers(1, 60)).map(lambda v: (v[0], v[0] + v[1])), st.none()),
)
def test_lowering_equals_the_definition_for_every_input(
    steps: tuple[Step, ...], scale: float, bits: int, kind: str, limits: tuple[int, int] | None
) -> None:
    """Chains of any functions on narrow inputs, bipolar ones (None) included; also once it is saved and read again."""
    source = Tensor((CHANNELS,), -1, 1, 0.25, "bipolar") if limits is None else Tensor((CHANNELS,), *limits, 0.25)
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind == "signed" and bits > 1 else (0, (1 << bits) - 1)
    lo, hi = (-1, 1) if kind == "bipolar" else (lo, hi)
    op = Activation(source, steps, scale, lo, hi, kind == "bipolar")
    graph = graph_from_files(*graph_to_files(single(op)))
    (certificate,) = prove(graph, lowered := lower(graph))
    x = np.broadcast_to(inputs_of(source)[:, None], (len(inputs_of(source)), CHANNELS))
    (have,) = lowered.reference(x)
    np.testing.assert_array_equal(have, op.define(x))
    assert (certificate.method, certificate.compared) == ("exhaustive", x.size)
    (bounds,) = lowered.nodes[0].op.bounds()
    assert (list(bounds.lo), list(bounds.hi)) == (have.min(axis=0).tolist(), have.max(axis=0).tolist())
    assert lowered.nodes[0].op.outputs == op.outputs


def test_a_wrong_entry_is_no_proof() -> None:
    graph = single(Activation(Tensor((2,), -8, 7, 0.5), (Step("abs"),), 0.5, 0, 7))
    lowered = lower(graph)
    (node,) = lowered.nodes
    assert isinstance(node.op, Lut) and node.op.shared
    table = node.op.table.copy()
    table[0, 3] += 1
    with pytest.raises(ProofError, match="channel 0, input -5: defined as 5, the hardware gives 6"):
        prove(graph, lowered.with_ops({node.name: Lut(node.op.source, as_int64(table), node.op.scale)}))
