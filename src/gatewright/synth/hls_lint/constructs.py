# SPDX-License-Identifier: Apache-2.0
"""Constructs of C++ that have no hardware: types, expressions, and what is used from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from clang import cindex
from clang.cindex import Cursor, CursorKind, StorageClass, TypeKind

from gatewright.synth.hls_lint.reading import FUNCTIONS, Unit

Fault = tuple[str, str, str]
"""Rule, what stands there, and the remedy."""

HEAP = frozenset(
    {"malloc", "calloc", "realloc", "aligned_alloc", "alloca", "strdup", "free", "operator new", "operator delete"}
)
STD_TYPES = frozenset({"integral_constant", "true_type", "false_type", "conditional", "enable_if", "numeric_limits"})
"""Of `std`, what has no state: constants about types, and names of integers."""
TRAITS = frozenset({"type_traits", "limits", "cstdint", "cstddef"})
"""Headers of `std` that hold nothing but such."""
STD_FUNCTIONS = frozenset({"move", "forward", "declval"})
CONTRACTS = frozenset({"__assert_fail"})
"""Behind `assert`, which Vitis HLS takes as a promise about values."""
HLS_HEADERS = frozenset({"ap_int.h", "ap_axi_sdata.h", "hls_stream.h", "hls_vector.h", "hls_burst_maxi.h"})
HLS4ML_HEADERS = frozenset({"nnet_common.h"})
INCLUDES = HLS_HEADERS | HLS4ML_HEADERS | TRAITS | {"cassert"}

_STATEMENTS: dict[CursorKind, Fault] = {
    CursorKind.CXX_NEW_EXPR: ("allocation", "`new`", "declare an array of fixed size"),
    CursorKind.CXX_DELETE_EXPR: ("allocation", "`delete`", "declare an array of fixed size"),
    CursorKind.CXX_TYPEID_EXPR: ("rtti", "`typeid`", "choose by templates or `if` on a constant"),
    CursorKind.CXX_DYNAMIC_CAST_EXPR: ("rtti", "`dynamic_cast`", "choose by templates or `if` on a constant"),
    CursorKind.CXX_THROW_EXPR: ("exception", "`throw`", "refuse at compile time, with static_assert"),
    CursorKind.CXX_TRY_STMT: ("exception", "`try`", "refuse at compile time, with static_assert"),
    CursorKind.CXX_REINTERPRET_CAST_EXPR: ("pointer-cast", "`reinterpret_cast`", "take bits with range() or slices"),
    CursorKind.GOTO_STMT: ("goto", "`goto`", "write a loop or a branch"),
    CursorKind.INDIRECT_GOTO_STMT: ("goto", "`goto`", "write a loop or a branch"),
    CursorKind.ASM_STMT: ("assembler", "`asm`", "write C++"),
    CursorKind.MS_ASM_STMT: ("assembler", "`asm`", "write C++"),
}
_TYPED = frozenset({CursorKind.VAR_DECL, CursorKind.PARM_DECL, CursorKind.FIELD_DECL})
_CASTS = frozenset({CursorKind.CSTYLE_CAST_EXPR, CursorKind.CXX_STATIC_CAST_EXPR, CursorKind.CXX_FUNCTIONAL_CAST_EXPR})
_ALIASES = frozenset({CursorKind.TYPEDEF_DECL, CursorKind.TYPE_ALIAS_DECL})
_REFERENCES = frozenset({CursorKind.DECL_REF_EXPR, CursorKind.MEMBER_REF_EXPR, CursorKind.OVERLOADED_DECL_REF})
_TYPE_REFERENCES = frozenset({CursorKind.TEMPLATE_REF, CursorKind.TYPE_REF})
_FLOAT = re.compile(r"\b(?:long double|float|double|half|__fp16|_Float16|__bf16)\b")
_STD = re.compile(r"\bstd::(?:__\w+::)*(\w+)")


def faults(unit: Unit, cursor: Cursor, constant: bool) -> Iterator[Fault]:
    """What is wrong with one node of the syntax tree, without what is below it.

    Args:
        constant: it is evaluated at compile time.
    """
    kind = cursor.kind
    if kind in _STATEMENTS:
        yield _STATEMENTS[kind]
    elif kind == CursorKind.FLOATING_LITERAL:
        yield _float(f"the number {unit.text(cursor) or 'here'}")
    elif kind in _REFERENCES:
        if not constant:
            yield from _reference(unit, cursor)
    elif kind in _TYPE_REFERENCES:
        yield from _type_reference(unit, cursor)
    elif kind == CursorKind.CXX_BASE_SPECIFIER:
        yield from _type(cursor.type, f"base class {cursor.type.spelling!r}")
        if cindex.conf.lib.clang_isVirtualBase(cursor):
            yield "virtual", f"virtual base {cursor.type.spelling!r}", "inherit without `virtual`"
    elif kind in FUNCTIONS:
        yield from _function(cursor)
    elif kind in _TYPED or kind in _ALIASES or kind in _CASTS:
        name = cursor.spelling or cursor.type.spelling
        yield from _type(cursor.type if kind not in _ALIASES else cursor.underlying_typedef_type, f"{name!r}")
        if kind == CursorKind.VAR_DECL:
            yield from _state(unit, cursor)


def _function(cursor: Cursor) -> Iterator[Fault]:
    name = f"{cursor.spelling!r}"
    if cursor.is_virtual_method():
        yield "virtual", f"virtual function {name}", "pass the class as a template argument"
    if cursor.kind not in (CursorKind.CONSTRUCTOR, CursorKind.DESTRUCTOR):
        yield from _type(cursor.result_type, f"what {name} returns")
    if cursor.type.kind == TypeKind.FUNCTIONPROTO and cursor.type.is_function_variadic():
        yield "language", f"{name} takes any number of arguments by `...`", "write a variadic template"


def _type(kind: cindex.Type, of: str) -> Iterator[Fault]:
    """What is wrong with the type of something."""
    spelling = f"{kind.spelling} {kind.get_canonical().spelling}"
    if _FLOAT.search(spelling):
        yield _float(f"{of}, a {kind.spelling!r},")
    for name in sorted(n for n in set(_STD.findall(spelling)) - STD_TYPES if not n.endswith("_t")):
        yield "std-library", f"{of} is of type std::{name}", "use arrays of fixed size, ap_int and hls::stream"
    if _calls_through(kind.get_canonical()):
        yield "function-pointer", f"{of} is a pointer to a function", "pass the function's class as a template argument"
    if kind.get_canonical().kind == TypeKind.VARIABLEARRAY:
        yield "allocation", f"{of} is an array of variable size", "give it the size of the largest case"


def _float(what: str) -> Fault:
    return "float", f"{what} is floating point", "use ap_int of proven width; scales belong to the host"


def _calls_through(kind: cindex.Type) -> bool:
    """Whether a type is, or points to, a function."""
    if kind.kind in (TypeKind.FUNCTIONPROTO, TypeKind.FUNCTIONNOPROTO):
        return True
    if kind.kind in (TypeKind.POINTER, TypeKind.LVALUEREFERENCE, TypeKind.RVALUEREFERENCE, TypeKind.MEMBERPOINTER):
        return _calls_through(kind.get_pointee())
    if kind.kind in (TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY):
        return _calls_through(kind.element_type)
    return False


def _state(unit: Unit, cursor: Cursor) -> Iterator[Fault]:
    """Variables that outlive a call and are not constant."""
    parent = cursor.semantic_parent
    scope = parent is None or parent.kind not in FUNCTIONS
    if not scope and cursor.storage_class != StorageClass.STATIC and cursor.tls_kind == cindex.TLSKind.NONE:
        return
    kind = cursor.type
    while kind.kind in (TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY, TypeKind.DEPENDENTSIZEDARRAY):
        kind = kind.element_type
    if kind.is_const_qualified() or "constexpr" in unit.declared(cursor).split():
        return
    what = "global variable" if scope else "static variable"
    yield "state", f"{what} {cursor.spelling!r} can change", "make it constexpr, or a local variable of the kernel"


def _reference(unit: Unit, cursor: Cursor) -> Iterator[Fault]:
    """Use of what the C and C++ libraries define."""
    for target in _targets(cursor):
        if not unit.is_library(target):
            continue
        if target.kind in FUNCTIONS:
            yield from _library_function(target)
        elif target.kind == CursorKind.VAR_DECL and not target.type.is_const_qualified():
            name = _qualified(target)
            yield "system-call", f"{name!r} of the system", "print and read in the test bench"


def _type_reference(unit: Unit, cursor: Cursor) -> Iterator[Fault]:
    """Use of a class or template of `std`, also where its arguments are not known yet."""
    target = cursor.referenced
    if target is None or not unit.is_library(target) or Path(target.location.file.name).name in TRAITS:
        return
    name = _qualified(target)
    if name.startswith("std::") and target.spelling not in STD_TYPES:
        yield "std-library", f"use of {name!r}", "use arrays of fixed size, ap_int and hls::stream"


def _targets(cursor: Cursor) -> list[Cursor]:
    """What a name stands for; of overloads that only an instantiation tells apart, the first."""
    if cursor.kind == CursorKind.OVERLOADED_DECL_REF:
        lib = cindex.conf.lib
        return [lib.clang_getOverloadedDecl(cursor, 0)] if lib.clang_getNumOverloadedDecls(cursor) else []
    return [cursor.referenced] if cursor.referenced is not None else []


def _library_function(target: Cursor) -> Iterator[Fault]:
    name = _qualified(target)
    if target.spelling in HEAP:
        yield "allocation", f"call of {name!r}", "declare an array of fixed size"
    elif name.startswith("std::"):
        parent = target.semantic_parent.spelling
        if target.spelling not in STD_FUNCTIONS and parent not in STD_TYPES:
            yield "std-library", f"call of {name!r}", "write the few operators that it takes"
    elif target.spelling not in CONTRACTS:
        yield "system-call", f"call of {name!r}", "do it in the test bench"


def _qualified(cursor: Cursor) -> str:
    names = [cursor.spelling]
    parent = cursor.semantic_parent
    while parent is not None and parent.kind != CursorKind.TRANSLATION_UNIT:
        if parent.spelling and not parent.spelling.startswith("__"):
            names.append(parent.spelling)
        parent = parent.semantic_parent
    return "::".join(reversed(names))


def is_constant(unit: Unit, cursor: Cursor) -> bool:
    """Whether what is below is evaluated at compile time."""
    if cursor.kind in (CursorKind.STATIC_ASSERT, CursorKind.ENUM_CONSTANT_DECL):
        return True
    return cursor.kind == CursorKind.VAR_DECL and "constexpr" in unit.declared(cursor).split()
