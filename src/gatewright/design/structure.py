# SPDX-License-Identifier: Apache-2.0
"""The hardware of a folded graph as units joined by FIFOs: what the cycle model runs and what emitters write.

Every edge of the graph is a FIFO; where its ends differ in lanes, one or two width adapters follow, each with a FIFO
of its own behind it. A tensor with several readers goes through a fork. An output with one reader leaves the last unit
as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from gatewright.errors import ConfigError
from gatewright.ir.graph import Edge, Graph
from gatewright.ir.op import Memory, port_prefixes
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import Stream, Tensor

LEAST_DEPTH = 2
"""Words that a FIFO needs so that neither side waits for the other's registered handshake."""
BLOCK_DEPTH = 128
"""Deeper FIFOs lie in block RAM and take one cycle more."""


@dataclass(frozen=True, eq=False)
class Unit:
    """An instance of a kernel.

    Attributes:
        name: unique in the design.
        module: the kernel's name in every target.
        parameters: of the kernel, by their Python names.
        ins, outs: streams, in the order of the ports.
        prefixes: AXI4-Stream prefixes of the ports, inputs then outputs.
        operator: whether it computes an operator of the graph (else infrastructure).
        streamable: memories that the RTL kernel has a port for.
        streamed: those of them whose words come through it.
    """

    name: str
    module: str
    parameters: Mapping[str, int]
    memories: Mapping[str, Memory | tuple[Memory, ...]]
    schedule: Schedule
    ins: tuple[Stream, ...]
    outs: tuple[Stream, ...]
    prefixes: tuple[list[str], list[str]]
    operator: bool
    streamable: tuple[str, ...] = ()
    streamed: tuple[str, ...] = ()

    @property
    def roms(self) -> Mapping[str, Memory | tuple[Memory, ...]]:
        """The memories that lie in the RTL kernel."""
        return {name: memory for name, memory in self.memories.items() if name not in self.streamed}


@dataclass(frozen=True)
class End:
    """One end of a link: a unit's port, or a port of the top level (unit "")."""

    unit: str
    port: int


@dataclass(frozen=True)
class Link:
    """A FIFO between two ends; depth 0 is a plain connection.

    Attributes:
        name: unique in the design.
        edge: the graph's edge that it belongs to.
        main: whether it holds the edge's designed depth (others only stand between width adapters).
    """

    name: str
    source: End
    sink: End
    stream: Stream
    depth: int
    edge: Edge
    main: bool = True

    @property
    def block(self) -> bool:
        """Whether the FIFO lies in block RAM."""
        return self.depth > BLOCK_DEPTH

    @property
    def bits(self) -> int:
        """Bits stored, tlast included."""
        return self.depth * (self.stream.width + 1)


@dataclass(frozen=True, eq=False)
class Structure:
    """Units and links of a design; the top level's streams in the order of the graph's inputs and outputs.

    Attributes:
        outputs: one stream a tensor that leaves, however many outputs of the graph it is.
        leaves: by which of those streams each output of the graph leaves.
    """

    name: str
    units: tuple[Unit, ...]
    links: tuple[Link, ...]
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]
    leaves: tuple[int, ...]

    def links_from(self, source: End) -> list[Link]:
        """The links that leave an end; several make a fork."""
        return [link for link in self.links if link.source == source]

    def forks(self) -> dict[End, list[Link]]:
        """Ends with several readers, and the links that leave each."""
        sources = dict.fromkeys(link.source for link in self.links)
        return {s: links for s in sources if len(links := self.links_from(s)) > 1}


def fork_name(source: End) -> str:
    """The name of the fork at an end."""
    return f"{source.unit or 'top'}_o{source.port}_fork"


def structure(graph: Graph) -> Structure:
    """The hardware of a graph without composite operators.

    Raises:
        ConfigError: a composite operator is left, or two parts of the hardware would have one name.
    """
    builder = _Builder(graph)
    for edge in graph.edges():
        builder.connect(edge)
    for i, link in enumerate(builder.links):
        if link.name in builder.units or any(link.name == k.name for k in builder.links[:i]):
            raise ConfigError(f"a FIFO and another part of the design are both called {link.name!r}: rename that node")
    return Structure(
        graph.name,
        tuple(builder.units.values()),
        tuple(builder.links),
        tuple(builder.streams[End("", i)] for i in range(len(graph.inputs))),
        tuple(builder.outputs),
        tuple(list(graph.leaving).index(o.tensor) for o in graph.outputs),
    )


class _Builder:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.units: dict[str, Unit] = {}
        self.links: list[Link] = []
        self.outputs: list[Stream] = []
        self.streams: dict[End, Stream] = {}
        self.writer: dict[str, End] = {}
        self.readers: dict[str, int] = {}
        for edge in graph.edges():
            self.readers[edge.tensor] = self.readers.get(edge.tensor, 0) + 1
        for i, item in enumerate(graph.inputs):
            self.writer[item.name] = End("", i)
            self.streams[End("", i)] = self._input_stream(item.name, item.tensor)
        for node in graph.nodes:
            if node.op.composite:
                raise ConfigError(f"{node.name}: {node.op.name()} is composite: lower the graph before designing it")
            self._add_unit(
                Unit(
                    node.name,
                    node.op.name(),
                    node.op.parameters(),
                    node.op.memories(),
                    node.op.schedule(),
                    node.op.in_streams,
                    node.op.out_streams,
                    port_prefixes(node.op),
                    True,
                    node.op.streamable,
                    node.op.streamed,
                )
            )
            for port, tensor in enumerate(node.outputs):
                self.writer[tensor] = End(node.name, port)

    def _input_stream(self, name: str, tensor: Tensor) -> Stream:
        """As the first reader wants it, so that no adapter stands at the top."""
        for node in self.graph.nodes:
            if name in node.inputs:
                return node.op.in_streams[node.inputs.index(name)]
        return tensor.stream(1)

    def _add_unit(self, unit: Unit) -> None:
        if unit.name in self.units:
            raise ConfigError(f"a width adapter and a node are both called {unit.name!r}: rename that node")
        self.units[unit.name] = unit
        for port, stream in enumerate(unit.outs):
            self.streams[End(unit.name, port)] = stream

    def connect(self, edge: Edge) -> None:
        """Lay the links of one edge, adapters included."""
        source = self.writer[edge.tensor]
        stream = self.streams[source]
        if edge.consumer not in self.units:
            depth = 0 if self.readers[edge.tensor] == 1 and source.unit else LEAST_DEPTH
            port = len(self.outputs)
            self.outputs.append(stream)
            self.links.append(Link(f"{edge.consumer}_out_fifo", source, End("", port), stream, depth, edge))
            return
        want = self.units[edge.consumer].ins[edge.port].lanes
        adapters: list[Unit] = []
        for lanes in adapter_lanes(stream.lanes, want):
            adapters.append(
                width_adapter(
                    f"{edge.consumer}_adapter{edge.port}_{lanes}", adapters[-1].outs[0] if adapters else stream, lanes
                )
            )
        # The edge's depth belongs where words are widest: only there can a whole burst wait for the reader.
        widest = max([stream.lanes, *(a.outs[0].lanes for a in adapters)])
        for adapter in adapters:
            self._add_unit(adapter)
            widest = self._link(source, End(adapter.name, 0), stream, edge, widest)
            source, stream = End(adapter.name, 0), adapter.outs[0]
        self._link(source, End(edge.consumer, edge.port), stream, edge, widest)

    def _link(self, source: End, sink: End, stream: Stream, edge: Edge, widest: int) -> int:
        """Lay a FIFO; the first of `widest` lanes takes the edge's depth. Returns the lanes still looked for, or 0."""
        here = stream.lanes == widest
        depth = self.graph.depths.get(edge, LEAST_DEPTH) if here else LEAST_DEPTH
        self.links.append(
            Link(f"{sink.unit}_fifo{sink.port}", source, sink, stream, max(depth, LEAST_DEPTH), edge, here)
        )
        return 0 if here else widest


def adapter_lanes(have: int, want: int) -> list[int]:
    """Lane counts behind each width adapter from `have` to `want`: none, one, or two over the common multiple."""
    if have == want:
        return []
    if have % want == 0 or want % have == 0:
        return [want]
    return [math.lcm(have, want), want]


def width_adapter(name: str, stream: Stream, lanes: int) -> Unit:
    """A unit that regroups a stream; one lane count must divide the other."""
    out = replace(stream, lanes=lanes, beats=stream.beats * stream.lanes // lanes)
    steps = max(stream.beats, out.beats)
    step = np.arange(steps)
    need = step // (steps // stream.beats) + 1
    ratio = steps // out.beats
    produce = step % ratio == ratio - 1
    parameters = {
        "bits": stream.bits,
        "in_lanes": stream.lanes,
        "out_lanes": lanes,
        "in_beats": stream.beats,
        "out_beats": out.beats,
    }
    return Unit(
        name,
        "width_adapter",
        parameters,
        {},
        Schedule(steps, 1, (need,), (produce,)),
        (stream,),
        (out,),
        (["s_axis"], ["m_axis"]),
        False,
    )
