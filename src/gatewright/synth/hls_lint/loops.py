# SPDX-License-Identifier: Apache-2.0
"""Loops: whether their number of turns is known at compile time, or at least told, and whether they have a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clang.cindex import Cursor, CursorKind, TypeKind

from gatewright.synth.hls_lint.constructs import Fault
from gatewright.synth.hls_lint.reading import FUNCTIONS, Unit, names

LOOPS = frozenset({CursorKind.FOR_STMT, CursorKind.WHILE_STMT, CursorKind.DO_STMT, CursorKind.CXX_FOR_RANGE_STMT})
_OPERATORS = frozenset({CursorKind.BINARY_OPERATOR, CursorKind.COMPOUND_ASSIGNMENT_OPERATOR, CursorKind.CALL_EXPR})
_WRAPPERS = frozenset({CursorKind.UNEXPOSED_EXPR, CursorKind.PAREN_EXPR})
_ASSIGNMENTS = re.compile(r"(?:[-+*/%&|^]|<<|>>)?=$")
_STEPS = ("++", "--")
_LEAVES = frozenset({CursorKind.BREAK_STMT, CursorKind.RETURN_STMT})


def faults(unit: Unit, cursor: Cursor, parents: Sequence[Cursor], told: bool, pipelined: bool) -> Iterator[Fault]:
    """What is wrong with a loop.

    Args:
        parents: of the loop, the nearest last.
        told: a loop_tripcount stands in its body.
        pipelined: a loop around it is pipelined.
    """
    in_constexpr = any(p.kind in FUNCTIONS and "constexpr" in unit.declared(p).split() for p in parents)
    if not in_constexpr and parents[-1].kind != CursorKind.LABEL_STMT:
        yield "loop-label", "a loop without a label", "name in front of it what it walks, as `row_group: for (...)`"
    reason = unbounded(unit, cursor)
    if reason is None:
        return
    if _endless(unit, cursor):
        yield "loop-bound", "a loop that never ends", "run the frames that the caller asks for, and return"
    elif pipelined:
        yield (
            "loop-bound",
            f"a loop inside a pipelined one, of which {reason}",
            "only loops of known length are unrolled",
        )
    elif not told and not in_constexpr:
        remedy = "let it run from one constant to another, or add `#pragma HLS loop_tripcount min=... max=...`"
        yield "loop-bound", f"a loop of which {reason}", remedy


def unbounded(unit: Unit, cursor: Cursor) -> str | None:
    """Why the number of turns is not known at compile time; None when it is."""
    children = list(cursor.get_children())
    if cursor.kind == CursorKind.CXX_FOR_RANGE_STMT:
        arrays = (TypeKind.CONSTANTARRAY, TypeKind.DEPENDENTSIZEDARRAY)
        known = any(c.kind == CursorKind.DECL_REF_EXPR and c.type.kind in arrays for c in children)
        return None if known else "the number of elements is not known"
    if cursor.kind != CursorKind.FOR_STMT:
        return "only the data says when it ends"
    if len(children) != 4 or children[0].kind != CursorKind.DECL_STMT:
        return "start, end and step do not all stand in its head"
    head, condition, step, body = children
    counter = next((c for c in head.get_children() if c.kind == CursorKind.VAR_DECL), None)
    if counter is None:
        return "start, end and step do not all stand in its head"
    if not all(is_static(c) for c in counter.get_children()):
        return f"{counter.spelling!r} does not start from a constant"
    return _end(unit, counter, condition, step) or _changed(unit, counter, body)


def _end(unit: Unit, counter: Cursor, condition: Cursor, step: Cursor) -> str | None:
    if not _compares(unit, condition):
        return f"the end is no comparison of {counter.spelling!r} with a constant"
    for name in _run_time(condition):
        if not names(name, counter):
            return f"the end depends on {name.spelling!r}, which is no constant"
    if not any(names(r, counter) for r in _references(condition)):
        return f"the end does not depend on {counter.spelling!r}"
    steps = list(_run_time(step))
    if len(steps) != 1 or not names(steps[0], counter):
        return f"the step of {counter.spelling!r} is no constant"
    return None


def _compares(unit: Unit, condition: Cursor) -> bool:
    children = list(condition.get_children())
    if len(children) == 1:
        return condition.kind in _WRAPPERS and _compares(unit, children[0])
    return operator(unit, condition) in ("<", "<=", ">", ">=", "!=")


def operator(unit: Unit, cursor: Cursor) -> str:
    """What stands between the operands of an operator, also of one that only an instance resolves; else ""."""
    children = list(cursor.get_children())
    source = unit.source(cursor)
    if cursor.kind not in _OPERATORS or source is None or len(children) < 2:
        return ""
    return source.code[children[0].extent.end.offset : children[-1].extent.start.offset].strip()


def _changed(unit: Unit, counter: Cursor, body: Cursor) -> str | None:
    for cursor in unit.walk(body):
        first = next(iter(cursor.get_children()), None)
        if first is None or first.kind != CursorKind.DECL_REF_EXPR or not names(first, counter):
            continue
        text = unit.text(cursor)
        steps = cursor.kind == CursorKind.UNARY_OPERATOR and (text[:2] in _STEPS or text[-2:] in _STEPS)
        if steps or _ASSIGNMENTS.match(operator(unit, cursor)):
            return f"{counter.spelling!r} changes in the body too"
    return None


def _endless(unit: Unit, cursor: Cursor) -> bool:
    children = list(cursor.get_children())
    if cursor.kind == CursorKind.WHILE_STMT and unit.text(children[0]) not in ("true", "1"):
        return False
    if cursor.kind == CursorKind.DO_STMT and unit.text(children[-1]) not in ("true", "1"):
        return False
    if cursor.kind == CursorKind.FOR_STMT and len(children) != 1:
        return False
    return not any(c.kind in _LEAVES for c in unit.walk(cursor))


def _references(cursor: Cursor) -> Iterator[Cursor]:
    return (c for c in cursor.walk_preorder() if c.kind in (CursorKind.DECL_REF_EXPR, CursorKind.MEMBER_REF_EXPR))


def _run_time(cursor: Cursor) -> Iterator[Cursor]:
    """Names in an expression that are no constants."""
    return (r for r in _references(cursor) if not _constant(r))


def is_static(cursor: Cursor) -> bool:
    """Whether nothing but constants stands in an expression."""
    return next(_run_time(cursor), None) is None


def _constant(reference: Cursor) -> bool:
    """Whether a name is known at compile time; what depends on template arguments is."""
    target = reference.referenced
    if target is None or target.kind in FUNCTIONS or target.kind == CursorKind.OVERLOADED_DECL_REF:
        return True
    if target.kind in (CursorKind.TEMPLATE_NON_TYPE_PARAMETER, CursorKind.ENUM_CONSTANT_DECL):
        return True
    if target.kind != CursorKind.VAR_DECL or not target.type.is_const_qualified():
        return False
    return all(is_static(c) for c in target.get_children() if c.kind.is_expression())
