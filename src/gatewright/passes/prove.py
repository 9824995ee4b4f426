# SPDX-License-Identifier: Apache-2.0
"""The proof: every lowered layer equals its definition for every reachable input, and no width is too narrow.

The lowered hardware is compared with the definition by evaluating both, apart from the search that made it. Where all
inputs can be enumerated they are. Otherwise both functions are monotone per channel, and two monotone functions that
agree at the limits of the input, at each step of the definition and just below it agree everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatewright.errors import ProofError
from gatewright.ir.graph import Graph, Node
from gatewright.ir.op import Bounds, Op, step_probes
from gatewright.ir.types import IntArray, bits_for
from gatewright.ops.lut import inputs_of

EXHAUSTIVE = 1 << 22
"""Input values times channels up to which every value is compared."""


@dataclass(frozen=True)
class Certificate:
    """What was proven of one node.

    Attributes:
        node, operator: which.
        lo, hi: exact limits of its output, reached by `witness`.
        lo_channel, hi_channel: the first channel that reaches each.
        bits_needed, bits_given: of the output; equal but where the model's own quantiser is wider than what it sees.
        accumulator_lo, accumulator_hi, accumulator_bits: of partial sums in any order, where there are any.
        method: "bounds" (limits only), "exhaustive" (every input of every channel) or "steps" (every step position).
        compared: input values compared, over all channels.
        steps: steps of the definition, over all channels.
        witness: the input that reaches each bound, in words.
    """

    node: str
    operator: str
    lo: int
    hi: int
    lo_channel: int
    hi_channel: int
    bits_needed: int
    bits_given: int
    witness: str
    accumulator_lo: int | None = None
    accumulator_hi: int | None = None
    accumulator_bits: int | None = None
    method: str = "bounds"
    compared: int = 0
    steps: int = 0

    def to_json(self) -> dict[str, Any]:
        """As in `proof.json`; what does not apply is left out."""
        return {k: v for k, v in asdict(self).items() if v is not None}


def prove(model: Graph, lowered: Graph) -> list[Certificate]:
    """Certificates of every node of `lowered`, which came from `model`.

    Raises:
        ProofError: a layer that differs from its definition, or a width that is too narrow.
    """
    definitions: Mapping[str, Op] = {n.name: n.op for n in model.nodes}
    return [certify(node, definitions.get(node.name)) for node in lowered.nodes]


def certify(node: Node, definition: Op | None) -> Certificate:
    """The certificate of one lowered node, from its definition where it came from one of its name.

    Raises:
        ProofError: it differs from its definition, or a width is too narrow.
    """
    bounds, tensor = node.op.bounds()[0], node.op.outputs[0]
    lo, hi = min(bounds.lo), max(bounds.hi)
    if lo < tensor.lo or hi > tensor.hi:
        raise ProofError(f"{node.name}: reaches {lo}..{hi} but its output is declared {tensor}")
    needed = 1 if tensor.encoding == "bipolar" else bits_for(lo, hi)
    method, compared, steps = "bounds", 0, 0
    positions = None if definition is None or definition is node.op else definition.step_positions()
    if definition is not None and positions is not None:
        method, compared, steps = _equal(node, definition, positions)
    return Certificate(
        node.name,
        node.op.name(),
        lo,
        hi,
        bounds.lo.index(lo),
        bounds.hi.index(hi),
        needed,
        tensor.bits,
        bounds.witness,
        *_accumulator(node, bounds),
        method,
        compared,
        steps,
    )


def _accumulator(node: Node, bounds: Bounds) -> tuple[int | None, int | None, int | None]:
    if bounds.partial_lo is None or bounds.partial_hi is None:
        return None, None, None
    given = getattr(node.op, "acc_bits", node.op.outputs[0].bits)
    if bits_for(bounds.partial_lo, bounds.partial_hi) > given:
        raise ProofError(
            f"{node.name}: partial sums reach {bounds.partial_lo}..{bounds.partial_hi}, more than {given} bits hold"
        )
    return bounds.partial_lo, bounds.partial_hi, given


def _equal(node: Node, definition: Op, positions: IntArray) -> tuple[str, int, int]:
    """Method, values compared and steps of an elementwise operator against its definition."""
    source, channels = node.op.inputs[0], node.op.inputs[0].channels
    if (source.hi - source.lo + 1) * channels <= EXHAUSTIVE:
        values = inputs_of(source)[:, None]
        method, probes = "exhaustive", np.broadcast_to(values, (len(values), channels))
    else:
        method, probes = "steps", step_probes(positions, source)
    shape = (-1, *(1,) * (len(source.shape) - 1), channels)
    want, have = (
        op.reference(np.ascontiguousarray(probes).reshape(shape))[0].reshape(probes.shape)
        for op in (definition, node.op)
    )
    wrong = np.argwhere(want != have)
    if len(wrong):
        i, c = wrong[0]
        raise ProofError(
            f"{node.name}: channel {c}, input {probes[i, c]}: defined as {want[i, c]}, the hardware gives {have[i, c]}"
        )
    return method, probes.size, int((positions <= source.hi).sum())
