# SPDX-License-Identifier: Apache-2.0
"""The drawing of the units and of the FIFOs between them; a width adapter is a note on its edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gatewright.design.structure import End, Link
from gatewright.ir.types import Tensor
from gatewright.report.facts import Facts, Row
from gatewright.report.html import Html, el, join
from gatewright.report.layout import Placed, place
from gatewright.report.numbers import count, percent, scale, shape, significant

COLUMNS = 5
"""Layers in a row of the drawing."""
BOX, HEIGHT, NARROW, BETWEEN = 176, 70, 34, 26
"""In pixels: a unit's box, a lane without boxes, and what is between lanes."""
GAP, ROW_GAP, MARGIN = 72, 48, 72
"""In pixels: between boxes of a row, between rows, and at either side."""
WIDTH = 2 * MARGIN + COLUMNS * BOX + (COLUMNS - 1) * GAP

Point = tuple[float, float]


@dataclass(frozen=True, eq=False)
class _Drawing:
    """Nodes are the top level's inputs, then the operators' units, then the outputs."""

    facts: Facts

    @cached_property
    def names(self) -> list[str]:
        """Units that are drawn as boxes."""
        return [r.name for r in self.facts.rows if r.computes]

    @cached_property
    def edges(self) -> list[list[Link]]:
        """The links of each edge of the graph, source first."""
        groups: dict[object, list[Link]] = {}
        for link in self.facts.structure.links:
            groups.setdefault(link.edge, []).append(link)
        return list(groups.values())

    def node(self, end: End, *, source: bool) -> int:
        """The node at an end of an edge."""
        inputs = len(self.facts.structure.inputs)
        if end.unit:
            return inputs + self.names.index(end.unit)
        return end.port if source else inputs + len(self.names) + end.port

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Source and sink of each edge."""
        return [(self.node(e[0].source, source=True), self.node(e[-1].sink, source=False)) for e in self.edges]

    @cached_property
    def placed(self) -> Placed:
        """Layers and lanes."""
        nodes = len(self.facts.structure.inputs) + len(self.names) + len(self.facts.structure.outputs)
        return place(nodes, self.pairs)

    @cached_property
    def lanes(self) -> list[list[float]]:
        """Per row, where each lane runs, then the upper edge of the next row; a lane without boxes is narrow."""
        placed = self.placed
        rows = max(placed.layer) // COLUMNS + 1
        boxed: list[set[int]] = [set() for _ in range(rows)]
        for layer, lane in zip(placed.layer, placed.lane, strict=True):
            boxed[layer // COLUMNS].add(lane)
        most = [max(lanes) for lanes in boxed]
        for (a, b), lane in zip(self.pairs, placed.lanes, strict=True):
            for row in range(placed.layer[a] // COLUMNS, placed.layer[b] // COLUMNS + 1):
                most[row] = max(most[row], lane)
        found, y = [], 22.0
        for row in range(rows):
            places = []
            for lane in range(most[row] + 1):
                tall = HEIGHT if lane in boxed[row] else NARROW
                places.append(y + tall / 2)
                y += tall + BETWEEN
            y += ROW_GAP - BETWEEN
            found.append([*places, y])
        return found

    def left(self, layer: int) -> float:
        """Left edge of a layer's boxes."""
        return MARGIN + layer % COLUMNS * (BOX + GAP)

    def middle(self, layer: int, lane: int) -> float:
        """Height at which a lane runs through a layer's row."""
        return self.lanes[layer // COLUMNS][lane]

    def path(self, edge: int) -> list[Point]:
        """Corners of an edge's line."""
        (a, b), lane = self.pairs[edge], self.placed.lanes[edge]
        first, last = self.placed.layer[a], self.placed.layer[b]
        y = self.middle(first, lane)
        points: list[Point] = [(self.left(first) + BOX, y)]
        if self.placed.lane[a] != lane:
            x = self.left(first) + BOX / 2 + 18
            points = [(x, self._rim(a, lane)), (x, y)]
        for row in range(first // COLUMNS + 1, last // COLUMNS + 1):
            # Each lane has its own track around the end of a row, so that no two lines share one.
            away = 14 + 9 * lane
            between, below = self.lanes[row - 1][-1] - ROW_GAP / 2 - 4 - 7 * lane, self.middle(row * COLUMNS, lane)
            right, left = WIDTH - MARGIN + away, MARGIN - 60 - 7 * lane
            points += [(right, y), (right, between), (left, between), (left, below)]
            y = below
        if self.placed.lane[b] == lane:
            return [*points, (self.left(last), y)]
        x = self.left(last) + BOX / 2 - 18
        return [*points, (x, y), (x, self._rim(b, lane))]

    def _rim(self, node: int, lane: int) -> float:
        """The side of a node's box that looks towards another lane."""
        down = lane > self.placed.lane[node]
        return self.middle(self.placed.layer[node], self.placed.lane[node]) + (HEIGHT / 2 if down else -HEIGHT / 2)

    def label(self, edge: int) -> Point:
        """Middle of the room for an edge's label: in front of its sink's layer."""
        layer = self.placed.layer[self.pairs[edge][1]]
        room = GAP if layer % COLUMNS else MARGIN - 16
        return self.left(layer) - room / 2 - 2, self.middle(layer, self.placed.lanes[edge])


def network(facts: Facts) -> Html:
    """The drawing, in a box of its own that scrolls."""
    drawing = _Drawing(facts)
    height = drawing.lanes[-1][-1] - ROW_GAP + 6
    edges = [_edge(drawing, i) for i in range(len(drawing.edges))]
    inputs = [
        _port(drawing, i, item.name, item.tensor, "input") for i, item in enumerate(facts.graph.inputs)
    ]  # fmt: skip
    units = [_unit(drawing, facts, row) for row in facts.rows if row.computes]
    first = len(inputs) + len(units)
    outputs = [
        _port(drawing, first + i, name, facts.graph.tensors[tensor], "output")
        for i, (tensor, name) in enumerate(facts.graph.leaving.items())
    ]
    svg = el(
        "svg", _arrow(), edges, inputs, units, outputs,
        viewBox=f"0 0 {WIDTH} {height:.0f}", width=WIDTH, height=int(height), role="group",
        aria_label="Units of the design from input to output, with the FIFOs between them",
    )  # fmt: skip
    return el("div", svg, class_="scroll drawing", tabindex="0", role="region", aria_label="Drawing of the network")


def _arrow() -> Html:
    tip = el("path", d="M0 0 8 4 0 8z", class_="tip")
    marker = el(
        "marker", tip, id="arrow", viewBox="0 0 8 8", refX="8", refY="4", markerWidth="7", markerHeight="7",
        orient="auto", markerUnits="userSpaceOnUse",
    )  # fmt: skip
    return el("defs", marker)


def _edge(drawing: _Drawing, edge: int) -> Html:
    links = drawing.edges[edge]
    main = next(link for link in links if link.main)
    x, y = drawing.label(edge)
    lanes = [links[0].stream.lanes, links[-1].stream.lanes]
    words = f"{'▸'.join(str(n) for n in dict.fromkeys(lanes))} × {links[0].stream.bits} b"
    what = f"{_end(links[0].source, 'input')} to {_end(links[-1].sink, 'output')}"
    about = [what, f"FIFO depth {count(main.depth)} ({count(main.bits)} bits)" if main.depth else "wires, no FIFO"]
    about.append(f"{links[-1].stream.beats:,} beats a frame of {lanes[-1]} × {links[0].stream.bits} bits")
    if main.depth:
        about.append(f"most held: {count(drawing.facts.timing.peak[main.name])}")
    about += [f"width adapter {k.sink.unit}" for k in links[:-1]]
    return el(
        "g",
        el("title", "\n".join(about)),
        el("path", d=_rounded(drawing.path(edge)), marker_end="url(#arrow)"),
        el("text", f"FIFO {main.depth}" if main.depth else "wires", x=x, y=y - 5, class_="fifo"),
        el("text", words, x=x, y=y + 12),
        class_="edge deep" if main.depth > 16 else "edge",
    )


def _end(end: End, port: str) -> str:
    return end.unit or f"{port} {end.port}"


def _rounded(points: Sequence[Point], radius: float = 7) -> str:
    """A path through points with rounded corners."""
    parts = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        ends = []
        for other in (before, after):
            length = abs(other[0] - here[0]) + abs(other[1] - here[1])
            part = min(radius, length / 2) / length if length else 0
            ends.append((here[0] + part * (other[0] - here[0]), here[1] + part * (other[1] - here[1])))
        (ax, ay), (bx, by) = ends
        parts.append(f"L{ax:g} {ay:g}Q{here[0]:g} {here[1]:g} {bx:g} {by:g}")
    return "".join([*parts, f"L{points[-1][0]:g} {points[-1][1]:g}"])


def _unit(drawing: _Drawing, facts: Facts, row: Row) -> Html:
    node = len(facts.structure.inputs) + drawing.names.index(row.name)
    x, y = _corner(drawing, node)
    slowest = row.name == facts.summary["bottleneck"]
    share = row.cycles / facts.interval
    tensor = facts.graph.node(row.name).op.outputs[0]
    resources = ", ".join(f"{count(v)} {k}" for k, v in row.predicted.items() if v >= 0.5)
    about = [
        f"{row.name}: {row.operator}" + (", the bottleneck" if slowest else ""),
        *([row.folded] if row.folded else []),
        f"{count(row.cycles)} cycles a frame, {percent(share)} of the interval",
        f"gives {row.output}, scale {scale(row.scale or 1.0)}",
        f"predicted: {resources}",
    ]
    texts = [
        (14, "name" if len(row.name) <= 21 else "name long", _fit(row.name, 26)),
        (29, "what", _fit(" · ".join(filter(None, (row.operator, row.folded))), 32)),
        (43, "what", _fit(f"{shape(tensor.shape)} {_type(tensor)}", 32)),
        (57, "what", _scale(tensor)),
    ]
    body = [
        el("title", "\n".join(about)),
        el("rect", x=x, y=y, width=BOX, height=HEIGHT, rx=5, class_="box"),
        [el("text", text, x=x + 9, y=y + dy + 2, class_=kind) for dy, kind, text in texts],
        el("rect", x=x + 9, y=y + HEIGHT - 7, width=BOX - 18, height=3, class_="track"),
        el("rect", x=x + 9, y=y + HEIGHT - 7, width=(BOX - 18) * min(1.0, share), height=3, class_="fill"),
    ]
    if slowest:
        body.append(el("text", "▼ bottleneck", x=x + BOX, y=y - 6, class_="flag"))
    kind = "unit bottleneck" if slowest else "unit"
    return el("a", body, href=f"#{row.anchor}", class_=kind, data_unit=row.index, aria_label="; ".join(about))


def _port(drawing: _Drawing, node: int, name: str, tensor: Tensor, kind: str) -> Html:
    x, y = _corner(drawing, node)
    text = join(
        el("text", t, x=x + BOX / 2, y=y + dy, class_=c)
        for dy, c, t in (
            (24, "name", _fit(name, 26)),
            (40, "what", kind),
            (55, "what", _fit(f"{shape(tensor.shape)} {_type(tensor)}", 30)),
        )
    )
    about = f"{kind} {name}: {tensor}, scale {scale(tensor.scale)}"
    return el(
        "g", el("title", about), el("rect", x=x, y=y, width=BOX, height=HEIGHT, rx=35, class_="box"), text,
        class_="port",
    )  # fmt: skip


def _corner(drawing: _Drawing, node: int) -> Point:
    layer = drawing.placed.layer[node]
    return drawing.left(layer), drawing.middle(layer, drawing.placed.lane[node]) - HEIGHT / 2


def _type(tensor: Tensor) -> str:
    if tensor.encoding == "bipolar":
        return "bipolar"
    return f"{'int' if tensor.signed else 'uint'}{tensor.bits}"


def _scale(tensor: Tensor) -> str:
    """The scale, or the scales' range, short enough for a box."""
    if not isinstance(tensor.scale, tuple):
        return f"scale {significant(tensor.scale)}"
    low, high = (significant(v, 2) for v in (min(tensor.scale), max(tensor.scale)))
    return f"scale {low}" if low == high else _fit(f"scale {low} … {high}", 30)


def _fit(text: str, length: int) -> str:
    """Text cut in its middle, where names differ least."""
    if len(text) <= length:
        return text
    tail = (length - 1) * 3 // 5
    return f"{text[: length - 1 - tail]}…{text[-tail:]}"
