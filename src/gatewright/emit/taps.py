# SPDX-License-Identifier: Apache-2.0
"""The nets of a top level that a debugger watches, and the top level with them on its pins.

The text is that of the build, so that what is watched is what lies there, edits included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gatewright.design.structure import End, Link, Structure, fork_name
from gatewright.emit.rtl import Nets
from gatewright.errors import ConfigError
from gatewright.ir.graph import Graph
from gatewright.ir.importing import unique_name
from gatewright.ir.types import Stream

Part = Literal["input", "fork", "fifo", "unit"]


@dataclass(frozen=True)
class Tap:
    """A watched net.

    Attributes:
        prefix: of its pins.
        net: in the top level.
        stream: what it carries.
        tensor: of the graph, whose elements it carries in stream order.
        part: what drives it: the top level's input, a fork, a FIFO, or a unit.
        name: of that part.
        module: its kernel.
        link: whose FIFO the net comes out of, or leads into; the first of several where it leads into a fork.
    """

    prefix: str
    net: str
    stream: Stream
    tensor: str
    part: Part
    name: str
    module: str
    link: Link


def taps(graph: Graph, design: Structure) -> tuple[Tap, ...]:
    """Everything that can be watched, each net once, in the order in which data passes."""
    found: dict[str, Tap] = {}
    for tap in _walk(graph, design):
        if tap.net not in found:
            # Verilator writes two underscores in a row, which nodes of torch's exporter have, in a way of its own.
            plain = unique_name(re.sub("__+", "_", tap.prefix), {t.prefix for t in found.values()})
            found[tap.net] = replace(tap, prefix=plain)
    return tuple(found.values())


def _walk(graph: Graph, design: Structure) -> Iterator[Tap]:
    nets, units, forks = Nets(design), {u.name: u for u in design.units}, design.forks()

    def tap(net: str, link: Link, part: Part, name: str, module: str) -> Tap:
        return Tap(f"monitor_{net}", net, link.stream, link.edge.tensor, part, name, module, link)

    def behind(end: End, part: Part, name: str, module: str) -> Iterator[Tap]:
        for link in design.links_from(end)[:1]:
            yield tap(nets.source(end), link, part, name, module)

    def on_the_way(consumer: str) -> Iterator[Tap]:
        for link in (k for k in design.links if k.edge.consumer == consumer):
            if link.source in forks:
                yield tap(nets.branch[link.name], link, "fork", fork_name(link.source), "stream_fork")
            if link.depth:
                yield tap(nets.sink(link.sink), link, "fifo", link.name, "fifo")
            unit = units.get(link.sink.unit)
            if unit is not None and not unit.operator:
                yield from behind(End(unit.name, 0), "unit", unit.name, unit.module)

    for i, item in enumerate(graph.inputs):
        yield from behind(End("", i), "input", item.name, "")
    for node in graph.nodes:
        yield from on_the_way(node.name)
        for port in range(len(node.outputs)):
            yield from behind(End(node.name, port), "unit", node.name, units[node.name].module)
    for output in graph.outputs:
        yield from on_the_way(output.name)


def watched_top(text: str, name: str, watched: Sequence[Tap]) -> str:
    """A top level as `emit` writes it, its watched nets on pins `monitor_NET_tdata`, `_tvalid`, `_tready`, `_tlast`.

    Raises:
        ConfigError: the text has no such module with a list of ports.
    """
    start, begun, rest = text.partition(f"module {name} (\n")
    ports, closed, body = rest.partition("\n);\n")
    body, ended, after = body.rpartition("endmodule")
    if not (begun and closed and ended):
        raise ConfigError(
            f"{name}.sv is no longer a module {name} with one port a line, as it was emitted: its inner streams cannot "
            "be watched; compile the model again"
        )
    pins, wires = [ports], []
    for tap in watched:
        width, pad = tap.stream.width, tap.stream.padded_width - tap.stream.width
        pins.append(f"  output wire [{tap.stream.padded_width - 1}:0] {tap.prefix}_tdata")
        pins += [f"  output wire {tap.prefix}_{pin}" for pin in ("tvalid", "tready", "tlast")]
        data = f"{tap.net}[{width - 1}:0]"
        padded = f"{{{pad}'d0, {data}}}" if pad else data
        wires += [
            f"  assign {tap.prefix}_tdata = {padded};",
            f"  assign {tap.prefix}_tlast = {tap.net}[{width}];",
            f"  assign {tap.prefix}_tvalid = {tap.net}_valid;",
            f"  assign {tap.prefix}_tready = {tap.net}_ready;",
        ]
    header, inserted = ",\n".join(pins), "\n".join([*wires, ""])
    return f"{start}{begun}{header}{closed}{body}{inserted}{ended}{after}"
