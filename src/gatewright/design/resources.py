# SPDX-License-Identifier: Apache-2.0
"""Resources of a design: operators' estimates, and those of the FIFOs, forks and width adapters between them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from gatewright.design.structure import BLOCK_DEPTH, Structure, fork_name
from gatewright.ir.cost import Features, Ram, counter_bits, estimate
from gatewright.ir.graph import Graph
from gatewright.ir.primitives import resource_names
from gatewright.ir.types import Stream

Resources = dict[str, float]


def add_up(parts: Iterable[Mapping[str, float]], family: str = "xc7") -> Resources:
    """Sums by resource name, every one of the family's `resource_names` present."""
    total = dict.fromkeys(resource_names(family), 0.0)
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0.0) + count
    return total


def fifo_features(width: int, depth: int, block: bool) -> Features:
    """Of a FIFO for data of `width` bits and tlast."""
    address, count = (depth - 1).bit_length(), depth.bit_length()
    wraps = depth & (depth - 1) != 0  # else the addresses start anew by themselves
    counts = {
        "address": 2.0 * address,
        "wrap": 2.0 * address * wraps,
        "count": float(count),
        "block": float(block),
        "block_bits_ecp5": float((width + 1) * block),  # Yosys keeps a word that is written while it is read
        "copy": float(address * (not block)),  # the read address is kept twice beside LUT RAM
    }
    return Features(counts, (Ram(width + 1, depth, block),))


def adapter_features(have: Stream, out: Stream) -> Features:
    """Of a width adapter: the wider side's registers, and a multiplexer where it gets narrower."""
    ratio = max(have.lanes, out.lanes) // min(have.lanes, out.lanes)
    counts = {
        "held": float(max(have.width, out.width)),
        "shifted": float(max(have.width - out.width, 0)),
        "taken": float(out.width if have.width > out.width else 0),
        "counter": counter_bits(ratio, out.beats),
    }
    return Features(counts)


def fork_features(branches: int) -> Features:
    """Of a fork: gates for valid and ready, whatever the data's width."""
    return Features({"branches": float(branches)})


@functools.lru_cache(maxsize=65536)
def _fifo(width: int, depth: int, family: str) -> Mapping[str, float]:
    return estimate("fifo", fifo_features(width, depth, depth > BLOCK_DEPTH), family)


def fifo_resources(stream: Stream, depth: int, family: str = "xc7") -> Mapping[str, float]:
    """A FIFO with tlast; nothing where depth is 0, a plain connection."""
    return _fifo(stream.width, depth, family) if depth else {}


def adapter_resources(have: Stream, out: Stream, family: str = "xc7") -> Mapping[str, float]:
    """A width adapter between two streams."""
    return estimate("width_adapter", adapter_features(have, out), family)


def fork_resources(branches: int, family: str = "xc7") -> Mapping[str, float]:
    """A fork of a stream."""
    return estimate("stream_fork", fork_features(branches), family)


def instance_resources(graph: Graph, design: Structure, family: str = "xc7") -> dict[str, Mapping[str, float]]:
    """Estimates of every instance of the RTL by its name: units, FIFOs and forks."""
    operators = {n.name: n.op for n in graph.nodes}
    parts: dict[str, Mapping[str, float]] = {}
    for unit in design.units:
        op = operators.get(unit.name) if unit.operator else None
        parts[unit.name] = op.resources(family) if op else adapter_resources(unit.ins[0], unit.outs[0], family)
    for link in design.links:
        if link.depth:
            parts[link.name] = fifo_resources(link.stream, link.depth, family)
    for source, links in design.forks().items():
        parts[fork_name(source)] = fork_resources(len(links), family)
    return parts


def unit_resources(graph: Graph, design: Structure, family: str = "xc7") -> dict[str, Resources]:
    """Estimates per unit; a unit's own part includes the FIFOs in front of it and the forks behind it.

    What no unit stands behind or in front of (a fork at an input, a FIFO at an output) counts with the unit at its
    other end.
    """
    single = instance_resources(graph, design, family)
    parts: dict[str, list[Mapping[str, float]]] = {unit.name: [single[unit.name]] for unit in design.units}
    for link in design.links:
        owner = link.sink.unit or link.source.unit
        if link.depth and owner:
            parts[owner].append(single[link.name])
    for source, links in design.forks().items():
        owner = source.unit or next((k.sink.unit for k in links if k.sink.unit), "")
        if owner:
            parts[owner].append(single[fork_name(source)])
    return {name: add_up(items, family) for name, items in parts.items()}
