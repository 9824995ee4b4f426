# SPDX-License-Identifier: Apache-2.0
"""Pragmas against their table, and against what the parser says of the names and numbers in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from clang import cindex

from gatewright.synth.hls_lint.blocks import Block
from gatewright.synth.hls_lint.constructs import Fault
from gatewright.synth.hls_lint.pragma_text import PragmaLine, Probe
from gatewright.synth.hls_lint.reading import Source, Unit, normal
from gatewright.synth.hls_lint.table import CONTROL_MODES, PRAGMAS, RELEASE, WITHDRAWN, Option, Pragma

_NAME = re.compile(r"[A-Za-z_][\w:]*(?:<.*>)?|\d[\w.+-]*")


def faults(pragma: PragmaLine, block: Block | None) -> Iterator[Fault]:
    """What is wrong with a pragma by the table alone.

    Args:
        block: that it stands in directly; None outside of functions.
    """
    if not pragma.hls:
        if pragma.name != "once":
            yield "pragma", f"`#pragma {pragma.name}`", "only `#pragma once` and `#pragma HLS ...` stand in a kernel"
        return
    row = pragma.row
    if row is None:
        yield "pragma", f"unknown `#pragma HLS {pragma.name}`", _replacement(pragma.name)
        return
    if pragma.rest:
        yield "pragma-option", f"`{pragma.rest}` in pragma HLS {row.name} is no option", _legal(pragma)
    yield from _places(row, block)
    yield from _options(pragma, row)


def _replacement(name: str) -> str:
    if name.lower() in WITHDRAWN:
        return f"Vitis HLS has withdrawn it, write {WITHDRAWN[name.lower()]}"
    close = difflib.get_close_matches(name.lower(), [p.name for p in PRAGMAS], 1)
    return f"did you mean {close[0]!r}?" if close else f"Vitis HLS {RELEASE} knows {', '.join(p.name for p in PRAGMAS)}"


def _legal(pragma: PragmaLine) -> str:
    legal = [o.text() for o in pragma.known_options() if not o.later]
    return f"it takes {', '.join(legal)}" if legal else "it takes none"


def _places(row: Pragma, block: Block | None) -> Iterator[Fault]:
    if block is None:
        yield "pragma-place", f"pragma HLS {row.name} outside of a function", "put it into the body that it is about"
    elif block.place not in row.places:
        where = {"function": "the body of a function", "loop": "the body of a loop", "region": "a block of its own"}
        legal = " or ".join(where[p] for p in row.places)
        yield "pragma-place", f"pragma HLS {row.name} in {where[block.place]}", f"it stands in {legal}"


def _options(pragma: PragmaLine, row: Pragma) -> Iterator[Fault]:
    known = {o.name.lower(): o for o in pragma.known_options()}
    seen: set[str] = set()
    for name, value in pragma.options:
        option = known.get(name.lower())
        if option is None:
            yield "pragma-option", f"pragma HLS {row.name} has no option {name!r}", _suggestion(pragma, name, value)
        elif option.later:
            yield "pragma-option", f"{name!r} of pragma HLS {row.name} came after {RELEASE}", _legal(pragma)
        elif name.lower() in seen:
            yield "pragma-option", f"{name!r} stands twice in pragma HLS {row.name}", "write it once"
        else:
            yield from _value(row, option, value)
        seen.add(name.lower())
    for option in known.values():
        if option.required and option.name.lower() not in seen:
            yield "pragma-option", f"pragma HLS {row.name} without {option.name}", f"write {option.text()}"
    yield from _combinations(pragma, row, seen)


def _suggestion(pragma: PragmaLine, name: str, value: str | None) -> str:
    for option in pragma.known_options():
        if value is None and name.lower() in option.words:
            return f"write {option.name}={name.lower()}, as releases from 2022 on document it"
    close = difflib.get_close_matches(name.lower(), [o.name.lower() for o in pragma.known_options()], 1)
    return f"did you mean {close[0]!r}?" if close else _legal(pragma)


def _value(row: Pragma, option: Option, value: str | None) -> Iterator[Fault]:
    what = f"{option.name} of pragma HLS {row.name}"
    if option.kind == "flag":
        if value is not None:
            yield "pragma-value", f"{what} is {value!r}", f"write {option.name} alone"
    elif value is None:
        yield "pragma-value", f"{what} has no value", f"write {option.text()}"
    elif option.kind == "word" and value.lower() not in option.words:
        close = difflib.get_close_matches(value.lower(), option.words, 1)
        yield (
            "pragma-value",
            f"{what} is {value!r}",
            f"did you mean {close[0]!r}?" if close else f"write {option.text()}",
        )
    elif option.kind in ("name", "number") and _NAME.fullmatch(value) is None:
        yield "pragma-value", f"{what} is {value!r}", f"write {option.text()}"


def _combinations(pragma: PragmaLine, row: Pragma, seen: set[str]) -> Iterator[Fault]:
    for first, second in row.excludes:
        if {first, second} <= seen:
            yield "pragma-option", f"{first} and {second} in one pragma HLS {row.name}", "keep one of them"
    for option, other in row.needs:
        if option in seen and other not in seen:
            yield "pragma-option", f"{option} of pragma HLS {row.name} without {other}", f"write {other}=... too"
    if row.one_of and not seen & set(row.one_of):
        yield "pragma-option", f"pragma HLS {row.name} without any of {', '.join(row.one_of)}", _legal(pragma)
    if row.first and (not pragma.options or pragma.options[0][0].lower() not in row.first):
        remedy = f"begin its options with {' or '.join(row.first)}"
        yield "pragma-option", f"pragma HLS {row.name} without {' or '.join(row.first)} in front", remedy
    style, kind = (pragma.value("style") or "").lower(), (pragma.value("type") or "complete").lower()
    if row.name == "pipeline" and "rewind" in seen and style in ("flp", "frp"):
        yield (
            "pragma-option",
            f"rewind and style={style} in one pragma HLS pipeline",
            "rewind goes with style=stp alone",
        )
    if row.name in ("array_partition", "array_reshape"):
        if kind == "complete" and "factor" in seen:
            yield "pragma-option", f"factor of pragma HLS {row.name} with type=complete", "leave it out"
        if kind in ("block", "cyclic") and "factor" not in seen:
            yield "pragma-option", f"type={kind} of pragma HLS {row.name} without factor", "write factor=... too"
    if row.name == "interface":
        yield from _control(pragma)


def _control(pragma: PragmaLine) -> Iterator[Fault]:
    mode, port = (pragma.value("mode") or "").lower(), pragma.value("port")
    if mode in CONTROL_MODES and port != "return":
        yield (
            "pragma-value",
            f"mode={mode} of port {port!r}",
            "it is for port=return, which starts and ends the function",
        )
    if port == "return" and mode not in (*CONTROL_MODES, "s_axilite", ""):
        yield "pragma-value", f"mode={mode} of port=return", f"write s_axilite or {', '.join(CONTROL_MODES)}"


def diagnostics(unit: Unit) -> Iterator[tuple[Source, int, Fault]]:
    """What the parser says of files of ours: their C++, and names and numbers in their pragmas."""
    seen: set[tuple[str, int, int]] = set()
    for diagnostic in unit.tu.diagnostics:
        place = diagnostic.location
        source = unit.sources.get(normal(place.file.name)) if place.file else None
        if diagnostic.severity < cindex.Diagnostic.Warning or source is None:
            if diagnostic.severity >= cindex.Diagnostic.Error:
                yield from _elsewhere(unit, diagnostic)
            continue
        if (source.path, place.line, place.column) in seen:
            continue
        seen.add((source.path, place.line, place.column))
        if place.line in source.pragma_lines:
            yield from ((source, place.line, f) for f in _probed(source, place.line, place.column, diagnostic.spelling))
        elif diagnostic.option.startswith(("-Wc++17", "-Wc++20", "-Wc++2", "-Wpre-c++")):
            yield source, place.line, ("language", diagnostic.spelling, "write it in C++14")
        else:
            yield source, place.line, ("parse", diagnostic.spelling, "write standard C++14")


def _elsewhere(unit: Unit, diagnostic: cindex.Diagnostic) -> Iterator[tuple[Source, int, Fault]]:
    """An error in a header that is not ours, at the line of ours that led to it, else at the top of the file."""
    main = unit.sources[normal(unit.tu.spelling)]
    for note in diagnostic.children:
        file = note.location.file
        if file is not None and normal(file.name) in unit.sources:
            fault = ("parse", diagnostic.spelling, "write standard C++14")
            yield unit.sources[normal(file.name)], note.location.line, fault
            return
    yield main, 1, ("parse", diagnostic.spelling, "write standard C++14")


def _probed(source: Source, line: int, column: int, spelling: str) -> Iterator[Fault]:
    probes = [p for p in source.probes if p.line == line]
    probe = next((p for p in probes if p.columns[0] <= column < p.columns[1]), None)
    if probe is not None:
        yield _wrong(probe, spelling)


def _wrong(probe: Probe, spelling: str) -> Fault:
    what = f"{probe.option.name}={probe.value} of pragma HLS {probe.pragma.name}"
    if probe.option.kind != "integer":
        return "pragma-variable", f"{what} names nothing that is declared above", "name a variable in scope"
    if "negative size" in spelling:
        return "pragma-value", what, f"it must be at least {probe.option.least}"
    if "undeclared" in spelling or "no member" in spelling:
        return "pragma-variable", f"{what}: {spelling}", "name a constant in scope"
    return "pragma-value", f"{what} is no constant", "write a number or a constant expression"
