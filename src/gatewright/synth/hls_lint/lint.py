# SPDX-License-Identifier: Apache-2.0
"""The lint over whole files: what each part of it says, as findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clang.cindex import Cursor, CursorKind

from gatewright.synth.hls_lint import calls, constructs, interfaces, loops, pragmas, text
from gatewright.synth.hls_lint.blocks import Block, find_blocks
from gatewright.synth.hls_lint.constructs import Fault
from gatewright.synth.hls_lint.findings import Finding
from gatewright.synth.hls_lint.reading import FUNCTIONS, Source, Unit, is_memory, normal, parse


@dataclass
class Lint:
    """One translation unit under the lint.

    Attributes:
        ours: names of the files that are judged, as they are included.
        top: name of the top function; "" in the library, which has none.
    """

    unit: Unit
    ours: frozenset[str]
    top: str = ""

    def definitions(self, source: Source) -> Iterator[Finding]:
        """What a file says, whether or not it is used."""
        left_in = (f for f in text.operator_faults(source.text) if not self.unit.is_left_out(source, f[0]))
        yield from self._at(source, left_in)
        for line, name in text.includes(source.text):
            if not self.unit.is_left_out(source, line):
                yield from self._at(source, ((line, f) for f in text.include_fault(name, self.ours)))
        blocks, loose = find_blocks(self.unit, source)
        for pragma in [p for p in self.unit.pragmas(source) if not p.hls] + loose:
            yield from self._at(source, ((pragma.line, f) for f in pragmas.faults(pragma, None)))
        for block in blocks:
            for pragma in block.pragmas:
                yield from self._at(source, ((pragma.line, f) for f in pragmas.faults(pragma, block)))
            yield from self._at(source, self._block(block))
        for cursor in self.unit.own(source):
            yield from self._tree(cursor, [self.unit.tu.cursor], blocks, False)

    def said_by_parser(self) -> Iterator[Finding]:
        """Errors and warnings of the parser."""
        for source, line, fault in pragmas.diagnostics(self.unit):
            yield from self._at(source, [(line, fault)])

    def calls(self, roots: Sequence[Cursor]) -> Iterator[Finding]:
        """What functions reach by calls: cycles, and what is wrong in instances of templates."""
        graph = calls.CallGraph(self.unit)
        for root in roots:
            graph.add(root)
        for cycle in graph.cycles():
            functions = [f for f, _ in cycle]
            source = self.unit.source(functions[-1])
            what = f"{calls.title(functions)}, a function that calls itself"
            if source is not None:
                fault = ("recursion", what, "write a loop of constant length, or template recursion that ends")
                yield from self._at(source, [(cycle[-1][1].line, fault)])
        for function in graph.functions.values():
            yield from self._tree(function, [self.unit.tu.cursor], None, False)
            if graph.is_constexpr(function):
                yield from self._run_time_loops(function)

    def _run_time_loops(self, function: Cursor) -> Iterator[Finding]:
        """Loops of a constexpr function, which need no bounds at compile time, where it is called at run time."""
        source = self.unit.source(function)
        for cursor in self.unit.walk(function):
            reason = loops.unbounded(self.unit, cursor) if cursor.kind in loops.LOOPS else None
            if source is not None and reason is not None:
                what = f"{function.spelling!r}, called with what is no constant, has a loop of which {reason}"
                yield from self._at(source, [(cursor.location.line, ("loop-bound", what, "call it with constants"))])

    def functions(self, source: Source) -> list[Cursor]:
        """Functions that a file defines; not constexpr ones, which recurse at compile time if at all."""
        found = []
        for cursor in self.unit.own(source):
            for inner in self.unit.walk(cursor):
                if inner.kind in FUNCTIONS and inner.is_definition() and "constexpr" not in self.unit.declared(inner):
                    found.append(inner)
        return found

    def _block(self, block: Block) -> Iterator[tuple[int, Fault]]:
        is_top = block.place == "function" and bool(self.top) and block.function.spelling == self.top
        yield from interfaces.port_faults(block) if is_top else interfaces.misplaced_faults(block)
        if block.has("dataflow"):
            yield from interfaces.region_faults(self.unit, block)

    def _tree(
        self, cursor: Cursor, parents: list[Cursor], blocks: Sequence[Block] | None, constant: bool
    ) -> Iterator[Finding]:
        """Faults of a syntax tree; of an instance (without blocks), all but those of its text."""
        source = self.unit.source(cursor)
        if source is not None:
            line = cursor.location.line
            yield from self._at(source, ((line, f) for f in constructs.faults(self.unit, cursor, constant)))
            if blocks is not None:
                yield from self._at(source, ((line, f) for f in self._text_faults(cursor, parents, blocks)))
        if is_memory(cursor):
            return
        constant = constant or constructs.is_constant(self.unit, cursor)
        for child in cursor.get_children():
            if not self.unit.is_probe(child):
                yield from self._tree(child, [*parents, cursor], blocks, constant)

    def _text_faults(self, cursor: Cursor, parents: Sequence[Cursor], blocks: Sequence[Block]) -> Iterator[Fault]:
        if cursor.kind in loops.LOOPS:
            body = next((b for b in blocks if b.place == "loop" and b.owner == cursor), None)
            around = [b for b in blocks if b.place == "loop" and b.owner in parents]
            told = body is not None and body.has("loop_tripcount")
            piped = any(b.has("pipeline") and not any(p.has("off") for p in b.pragmas) for b in around)
            yield from loops.faults(self.unit, cursor, parents, told, piped)
        elif cursor.kind == CursorKind.STATIC_ASSERT:
            messages = [c for c in cursor.get_children() if c.kind == CursorKind.STRING_LITERAL]
            yield from text.assertion_fault(messages[-1].spelling.strip('"') if messages else "")

    def _at(self, source: Source, faults: Iterable[tuple[int, Fault]]) -> Iterator[Finding]:
        for line, (rule, what, remedy) in faults:
            yield Finding(source.shown, line, rule, what, remedy)


def read_sources(root: Path, exemption: Callable[[str], str | None]) -> dict[str, Source]:
    """Files that are judged below a folder, by absolute path; findings name them from that folder on."""
    sources = {}
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".h", ".hpp", ".cpp")):
        shown = path.relative_to(root).as_posix()
        if exemption(shown) is None:
            sources[normal(str(path))] = Source(normal(str(path)), shown, path.read_text())
    return sources


def judge(
    main: Source, sources: Mapping[str, Source], include: Sequence[Path], judged: Sequence[Source], top: str
) -> set[Finding]:
    """All findings of some files.

    Args:
        main: what is parsed.
        sources: files of ours by absolute path.
        include: folders of headers.
        judged: files of ours to judge; those that `main` does not include are parsed on their own.
        top: name of the top function in `main`; "" where every function stands for itself.
    """
    ours = frozenset(n for s in sources.values() for n in (s.shown.removeprefix("include/"), Path(s.shown).name))
    unit = parse(main.path, sources, include)
    lint = Lint(unit, ours, top)
    there = {main.path, *(normal(i.include.name) for i in unit.tu.get_includes())}
    found = set(lint.said_by_parser())
    roots: list[Cursor] = []
    for source in judged:
        if source.path in there:
            found |= set(lint.definitions(source))
            roots += lint.functions(source)
        else:
            found |= judge(source, sources, include, [source], "")
    if top:
        roots = [f for f in lint.functions(main) if f.spelling == top]
        if not roots:
            remedy = f"define `void {top}(...)` in it"
            found.add(Finding(main.shown, 1, "interface", f"no top function {top!r}", remedy))
    return found | set(lint.calls(roots))


def head(source: Source, kernel: bool) -> set[Finding]:
    """What is wrong with the first lines of a library file."""
    return {Finding(source.shown, line, *fault) for line, fault in text.head_faults(source.text, kernel)}
