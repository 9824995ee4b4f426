# SPDX-License-Identifier: Apache-2.0
"""The blocks of a file, and the pragmas that stand in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from clang.cindex import Cursor, CursorKind

from gatewright.synth.hls_lint.loops import LOOPS
from gatewright.synth.hls_lint.pragma_text import PragmaLine
from gatewright.synth.hls_lint.reading import FUNCTIONS, Source, Unit, is_memory
from gatewright.synth.hls_lint.table import Place


@dataclass
class Block:
    """A body in braces.

    Attributes:
        place: what it is the body of.
        owner: the function or loop; None of a region.
        function: around it.
        body: the braces and what is between them.
    """

    place: Place
    owner: Cursor | None
    function: Cursor
    body: Cursor
    pragmas: list[PragmaLine] = field(default_factory=list)

    def holds(self, line: int) -> bool:
        """Whether a line of its own stands in it."""
        return bool(self.body.extent.start.line < line <= self.body.extent.end.line)

    def has(self, name: str) -> bool:
        """Whether a pragma stands directly in it."""
        return any(p.name.lower() == name for p in self.pragmas)


def find_blocks(unit: Unit, source: Source) -> tuple[list[Block], list[PragmaLine]]:
    """The blocks of a file with their pragmas, and pragmas in none."""
    blocks = [b for c in unit.own(source) for b in _blocks(unit, c, None, None)]
    loose: list[PragmaLine] = []
    for pragma in unit.pragmas(source):
        around = [b for b in blocks if b.holds(pragma.line)]
        if around:
            start = max(around, key=lambda b: (b.body.extent.start.offset, -b.body.extent.end.offset))
            start.pragmas.append(pragma)
        elif pragma.hls:
            loose.append(pragma)
    return blocks, loose


def _blocks(unit: Unit, cursor: Cursor, parent: Cursor | None, function: Cursor | None) -> Iterator[Block]:
    if cursor.kind in FUNCTIONS:
        function = cursor
    if cursor.kind == CursorKind.COMPOUND_STMT and function is not None and parent is not None:
        if parent.kind in FUNCTIONS:
            yield Block("function", parent, function, cursor)
        elif parent.kind in LOOPS:
            yield Block("loop", parent, function, cursor)
        else:
            yield Block("region", None, function, cursor)
    for child in () if is_memory(cursor) else cursor.get_children():
        yield from _blocks(unit, child, cursor, function)
