# SPDX-License-Identifier: Apache-2.0
"""Certificates say what was shown; whatever differs from its definition anywhere is refused with the place."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from tests.models import small_network

from gatewright.errors import ProofError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.chain import Step
from gatewright.ir.graph import Graph, single
from gatewright.ir.op import Bounds, as_int64
from gatewright.ir.types import Tensor, bits_for
from gatewright.ops.activation import Activation
from gatewright.ops.dense import Dense
from gatewright.ops.requant import Requant
from gatewright.ops.threshold import Threshold
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove

STEPS = (Step("mul", (0.37, -1.2, 0.9)), Step("add", (0.4, 2.0, -3.0)))
NARROW = Activation(Tensor((3,), -200, 180, 0.05), STEPS, 0.8, -8, 7)
WIDE = Activation(Tensor((3,), -300, 300, 0.513), STEPS, 1.0377, -128, 127)
LARGE = Activation(Tensor((3,), -(1 << 23), 1 << 23, 0.0001), STEPS, 120.0, -8, 7)


def planted(op: Activation, **changes: object) -> tuple[Graph, Graph]:
    graph = single(op)
    lowered = lower(graph)
    return graph, lowered.with_ops({"u_activation": replace(lowered.nodes[0].op, **changes)})


def first_difference(model: Graph, lowered: Graph) -> list[tuple[int, int]]:
    """All (channel, input) where the hardware is wrong, by trying every input."""
    source = model.inputs[0].tensor
    x = np.broadcast_to(np.arange(source.lo, source.hi + 1)[:, None], (source.hi - source.lo + 1, source.channels))
    wrong = np.argwhere(model.reference(x)[0] != lowered.reference(x)[0])
    return [(int(c), int(x[i, c])) for i, c in wrong]


@pytest.mark.parametrize("op", [NARROW, LARGE], ids=["exhaustive", "steps"])
@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("shift", [-1, 1])
def test_threshold_off_by_one(op: Activation, channel: int, shift: int) -> None:
    graph, lowered = single(op), lower(single(op))
    hardware = lowered.nodes[0].op
    assert isinstance(hardware, Threshold)
    inner = [k for k, t in enumerate(hardware.thresholds[channel]) if op.source.lo < t < op.source.hi]
    for k in (inner[0], inner[len(inner) // 2], inner[-1]):
        table = np.array(hardware.thresholds)
        table[channel, k] += shift
        wrong = graph, lowered.with_ops({"u_activation": replace(hardware, thresholds=as_int64(table))})
        with pytest.raises(ProofError) as caught:
            prove(*wrong)
        match = re.fullmatch(
            r"u_activation: channel (\d), input (-?\d+): defined as (-?\d+), the hardware gives (-?\d+)",
            str(caught.value),
        )
        assert match is not None
        at, value, want, have = map(int, match.groups())
        assert at == channel and value == (table[channel, k] if shift < 0 else table[channel, k] - 1)
        x = np.full((1, 3), value)
        assert (op.define(x)[0, at], wrong[1].reference(x)[0][0, at]) == (want, have) and want != have


def test_wrong_multiplier() -> None:
    hardware = lower(single(WIDE)).nodes[0].op
    assert isinstance(hardware, Requant)
    for field in ("mult", "add"):
        values = np.array(getattr(hardware, field))
        values[2] += 1 if field == "mult" else 1 << hardware.shift - 1
        graph, lowered = planted(WIDE, **{field: as_int64(values)})
        differences = first_difference(graph, lowered)
        assert differences
        with pytest.raises(ProofError, match=r"u_activation: channel 2, input (-?\d+): defined as") as caught:
            prove(graph, lowered)
        assert (2, int(re.search(r"input (-?\d+)", str(caught.value)).group(1))) in differences


def test_wrong_direction() -> None:
    graph, lowered = planted(NARROW, falling=as_int64([0, 0, 0]))
    with pytest.raises(ProofError, match="u_activation: channel 1, input"):
        prove(graph, lowered)


@dataclass(frozen=True, eq=False)
class TooNarrow(Dense):
    """Declares fewer accumulator bits than its sums need."""

    @property
    def acc_bits(self) -> int:
        return super().acc_bits - 1


def test_narrow_accumulator() -> None:
    op = Dense.examples()[0]
    assert prove(single(op), single(op))[0].accumulator_bits == op.acc_bits
    narrow = single(TooNarrow(op.source, op.weight))
    name = narrow.nodes[0].name
    assert op.acc_bits == bits_for(op.partial_lo, op.partial_hi)
    with pytest.raises(
        ProofError,
        match=rf"{name}: partial sums reach {op.partial_lo}..{op.partial_hi}, more than {op.acc_bits - 1} bits hold",
    ):
        prove(narrow, narrow)


@dataclass(frozen=True, eq=False)
class Understated(Dense):
    """Declares tighter limits of its output than its bounds reach."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        (out,) = super().outputs
        return (replace(out, hi=out.hi - 1),)

    def bounds(self) -> tuple[Bounds, ...]:
        return super().bounds()


def test_limits_that_are_exceeded() -> None:
    op = Dense.examples()[0]
    graph = single(Understated(op.source, op.weight))
    top = max(op.bounds()[0].hi)
    with pytest.raises(ProofError, match=rf"u_\w+: reaches -?\d+\.\.{top} but its output is declared .*{top - 1}\]"):
        prove(graph, graph)


def test_certificates_of_a_network() -> None:
    b, y = small_network()
    graph = from_onnx(b.model(y))
    lowered = lower(graph)
    certificates = prove(graph, lowered)
    assert [c.node for c in certificates] == [n.name for n in lowered.nodes]
    for certificate, node in zip(certificates, lowered.nodes, strict=True):
        (out,) = node.op.outputs
        assert out.lo <= certificate.lo <= certificate.hi <= out.hi
        assert certificate.bits_given == out.bits >= certificate.bits_needed == bits_for(certificate.lo, certificate.hi)
        assert certificate.witness
        if node.op.name() == "dense":
            assert certificate.accumulator_bits == bits_for(certificate.accumulator_lo, certificate.accumulator_hi)
        if node.name.startswith("quant"):
            definition = graph.node(node.name).op
            spans = (definition.source.hi - definition.source.lo + 1) * definition.source.channels
            assert (certificate.method, certificate.compared) == ("exhaustive", spans)
            assert certificate.steps > 0
        record = certificate.to_json()
        assert ("accumulator_bits" in record) == (node.op.name() == "dense")
        assert None not in record.values()
