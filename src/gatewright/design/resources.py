# SPDX-License-Identifier: Apache-2.0
"""The first resource model: operators' own estimates, and those of FIFOs and width adapters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gatewright.design.structure import BLOCK_DEPTH, Structure, Unit
from gatewright.ir.graph import Graph
from gatewright.ir.types import Stream

NAMES = ("LUT", "FF", "BRAM36", "DSP")

Resources = dict[str, float]


def add_up(parts: Iterable[Mapping[str, float]]) -> Resources:
    """Sums by resource name, every name of `NAMES` present."""
    total = dict.fromkeys(NAMES, 0.0)
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0.0) + count
    return total


def fifo_resources(stream: Stream, depth: int) -> Resources:
    """A FIFO with tlast: distributed RAM of 32 words a LUT pair, or block RAM of 1024 x 36."""
    width = stream.width + 1
    if depth == 0:
        return {}
    if depth > BLOCK_DEPTH:
        return {"LUT": 40.0, "FF": 45.0, "BRAM36": float(-(-width // 36) * -(-depth // 1024))}
    return {"LUT": width * 0.7 * -(-depth // 32) + 10, "FF": 10.0}


def adapter_resources(unit: Unit) -> Resources:
    """A width adapter: registers for the wider side and a multiplexer."""
    width = max(s.width for s in (*unit.ins, *unit.outs))
    return {"LUT": width * 0.6 + 15, "FF": width + 15.0}


def unit_resources(graph: Graph, design: Structure) -> dict[str, Resources]:
    """Estimates per unit; a unit's own part includes the FIFOs in front of it."""
    operators = {n.name: n.op for n in graph.nodes}
    parts: dict[str, list[Mapping[str, float]]] = {}
    for unit in design.units:
        parts[unit.name] = [operators[unit.name].resources() if unit.operator else adapter_resources(unit)]
    for link in design.links:
        if link.sink.unit:
            parts[link.sink.unit].append(fifo_resources(link.stream, link.depth))
    return {name: add_up(items) for name, items in parts.items()}
