# SPDX-License-Identifier: Apache-2.0
"""The top function's ports, and dataflow regions: what stands in them, and the streams between their calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clang.cindex import Cursor, CursorKind, TypeKind

from gatewright.synth.hls_lint.blocks import Block
from gatewright.synth.hls_lint.constructs import Fault
from gatewright.synth.hls_lint.pragma_text import parts
from gatewright.synth.hls_lint.reading import Unit, names

_STREAM = re.compile(r"^(?:const )?hls::stream<")
_ADDRESSES = ("m_axi", "ap_memory", "bram")


def port_faults(block: Block) -> Iterator[tuple[int, Fault]]:
    """Ports of the top function without a pragma, and with one that does not fit.

    Args:
        block: the body of the top function.
    """
    function = block.function
    modes: dict[str, list[tuple[int, str]]] = {"return": []}
    arguments = {c.spelling: c for c in function.get_children() if c.kind == CursorKind.PARM_DECL}
    modes |= {name: [] for name in arguments}
    for pragma in block.pragmas:
        if pragma.name.lower() != "interface" or pragma.value("port") is None:
            continue
        for port in parts(pragma.value("port") or ""):
            if port in modes:
                modes[port].append((pragma.line, (pragma.value("mode") or "").lower()))
            else:
                fault = ("interface", f"port={port} is no argument of {function.spelling!r}", f"name {_names(modes)}")
                yield pragma.line, fault
    for port, found in modes.items():
        if not found:
            what = f"port {port!r} of top function {function.spelling!r} without an interface pragma"
            yield function.location.line, ("interface", what, f"write `#pragma HLS interface mode=... port={port}`")
        for line, mode in found if port in arguments else ():
            yield from ((line, f) for f in _mode_fault(arguments[port], mode))


def _names(ports: dict[str, list[tuple[int, str]]]) -> str:
    return ", ".join(sorted(ports))


def _mode_fault(argument: Cursor, mode: str) -> Iterator[Fault]:
    kind = argument.type.get_canonical()
    stream = is_stream(argument)
    if stream and mode not in ("axis", "ap_fifo", ""):
        yield "interface", f"mode={mode} of stream {argument.spelling!r}", "write mode=axis"
    memory = kind.kind in (TypeKind.POINTER, TypeKind.LVALUEREFERENCE, TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY)
    if mode in _ADDRESSES and not memory:
        yield "interface", f"mode={mode} of {argument.spelling!r}, which is no address", "write mode=s_axilite"


def misplaced_faults(block: Block) -> Iterator[tuple[int, Fault]]:
    """Interface pragmas of functions that are not the top."""
    for pragma in block.pragmas:
        if pragma.name.lower() == "interface":
            what = f"pragma HLS interface in {block.function.spelling!r}, which is not the top function"
            yield pragma.line, ("interface", what, "leave it out: the tool joins functions by itself")


def region_faults(unit: Unit, block: Block) -> Iterator[tuple[int, Fault]]:
    """What is wrong in a dataflow region."""
    streams: list[Cursor] = []
    for statement in block.body.get_children():
        if unit.is_probe(statement):
            continue
        if statement.kind == CursorKind.DECL_STMT:
            streams += [c for c in statement.get_children() if c.kind == CursorKind.VAR_DECL and is_stream(c)]
        elif not _is_call(statement):
            what = f"`{unit.text(statement).splitlines()[0]}` in a dataflow region"
            yield statement.location.line, ("dataflow", what, "put it into a function that the region calls")
        elif statement.kind == CursorKind.CALL_EXPR and statement.type.get_canonical().kind != TypeKind.VOID:
            what = f"call of {statement.spelling!r}, which returns a value, in a dataflow region"
            yield statement.location.line, ("dataflow", what, "return it through a stream")
    yield from _stream_faults(unit, block, streams)


def _stream_faults(unit: Unit, block: Block, streams: Sequence[Cursor]) -> Iterator[tuple[int, Fault]]:
    given = {
        name
        for pragma in block.pragmas
        if pragma.name.lower() == "stream" and pragma.value("depth") is not None
        for name in parts(pragma.value("variable") or "")
    }
    uses = [c for c in block.body.walk_preorder() if c.kind == CursorKind.DECL_REF_EXPR and not unit.is_probe(c)]
    for stream in streams:
        name = stream.spelling
        if name not in given:
            remedy = f"write `#pragma HLS stream variable={name} depth=...` under it"
            yield (
                stream.location.line,
                ("stream-depth", f"stream {name!r} of a dataflow region without a depth", remedy),
            )
        ends = sum(names(c, stream) for c in uses)
        if not _is_array(stream) and ends != 2:
            what = f"stream {name!r} of a dataflow region stands in {ends} calls"
            yield stream.location.line, ("stream-ends", what, "let one call write it and one read it")


def _is_call(statement: Cursor) -> bool:
    if statement.kind == CursorKind.CALL_EXPR:
        return True
    children = list(statement.get_children())
    if statement.kind == CursorKind.UNEXPOSED_EXPR:  # of a template that is not instantiated, or with temporaries
        return bool(children) and (_is_call(children[0]) or children[0].kind == CursorKind.DECL_REF_EXPR)
    return False


def is_stream(variable: Cursor) -> bool:
    """Whether a variable is a stream, or an array or reference of some."""
    kind = variable.type.get_canonical()
    while kind.kind in (TypeKind.CONSTANTARRAY, TypeKind.LVALUEREFERENCE):
        kind = kind.element_type if kind.kind == TypeKind.CONSTANTARRAY else kind.get_pointee()
    return _STREAM.match(kind.spelling) is not None


def _is_array(variable: Cursor) -> bool:
    return bool(variable.type.get_canonical().kind == TypeKind.CONSTANTARRAY)
