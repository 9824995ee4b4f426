# SPDX-License-Identifier: Apache-2.0
"""Which function calls which, through the instances of templates, and what calls itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from clang import cindex
from clang.cindex import Cursor, CursorKind

from gatewright.synth.hls_lint.constructs import is_constant
from gatewright.synth.hls_lint.loops import is_static
from gatewright.synth.hls_lint.reading import FUNCTIONS, Unit

_CALLS = frozenset({CursorKind.CALL_EXPR, CursorKind.UNEXPOSED_EXPR})
_NAMES = frozenset({CursorKind.DECL_REF_EXPR, CursorKind.MEMBER_REF_EXPR, CursorKind.CALL_EXPR})


@dataclass(frozen=True)
class Call:
    """A call at run time.

    Attributes:
        line: of the call.
        function: called, an instance where it is one of a template.
    """

    line: int
    function: Cursor


@dataclass
class CallGraph:
    """Functions of ours that run when some function does, and their calls of each other.

    Attributes:
        functions: by their unified name, which tells instances apart.
        calls: by the name of the function that calls.
    """

    unit: Unit
    functions: dict[str, Cursor] = field(default_factory=dict)
    calls: dict[str, list[Call]] = field(default_factory=dict)

    def add(self, function: Cursor) -> None:
        """Add a function and all that it reaches."""
        waiting = [function]
        while waiting:
            current = waiting.pop()
            name = key(current)
            if name in self.functions:
                continue
            self.functions[name] = current
            self.calls[name] = [c for c in self._calls(current, current) if self.unit.source(c.function) is not None]
            waiting += [c.function for c in self.calls[name]]

    def cycles(self) -> Iterator[list[tuple[Cursor, Call]]]:
        """Every way in which a function calls itself: the functions in turn, each with the call of the next."""
        done: set[str] = set()
        for start in self.functions:
            yield from self._cycles(start, [], {}, done)

    def _cycles(
        self, name: str, path: list[tuple[Cursor, Call]], at: dict[str, int], done: set[str]
    ) -> Iterator[list[tuple[Cursor, Call]]]:
        if name in at:
            yield path[at[name] :]
            return
        if name in done or name not in self.functions:
            return
        at[name] = len(path)
        for call in self.calls[name]:
            yield from self._cycles(key(call.function), [*path, (self.functions[name], call)], at, done)
        del at[name]
        done.add(name)

    def _calls(self, cursor: Cursor, within: Cursor) -> Iterator[Call]:
        """Calls below something; what is evaluated at compile time is no call."""
        for child in cursor.get_children():
            if is_constant(self.unit, child) or self.unit.is_probe(child):
                continue
            target = child.referenced if child.kind in _NAMES else None
            if child.kind == CursorKind.CALL_EXPR and target is not None and self._is_folded(child, target):
                continue
            if target is not None and target.kind in FUNCTIONS:
                yield Call(child.location.line, target.get_definition() or target)
            elif child.kind in _CALLS and self._calls_own_name(child, within):
                yield Call(child.location.line, within)
            yield from self._calls(child, within)

    def _is_folded(self, call: Cursor, target: Cursor) -> bool:
        """Whether a call is one of a constexpr function with constants: the compiler puts its value there."""
        return self.is_constexpr(target) and all(is_static(a) for a in call.get_arguments())

    def is_constexpr(self, function: Cursor) -> bool:
        """Whether a function of ours may run at compile time."""
        return "constexpr" in self.unit.declared(function.get_definition() or function).split()

    def _calls_own_name(self, call: Cursor, within: Cursor) -> bool:
        """Whether a call that only an instance resolves is one of the same template with the same arguments.

        Explicit template arguments, and packs that get shorter, lead to other instances: these end at compile time, or
        the compiler says so.
        """
        children = list(call.get_children())
        if not children or any(c.kind == CursorKind.PACK_EXPANSION_EXPR for c in children):
            return False
        name, *arguments = children
        if "<" in self.unit.text(name) or len(arguments) != _arity(within):
            return False
        overloads = [c for c in name.walk_preorder() if c.kind == CursorKind.OVERLOADED_DECL_REF]
        return any(c.spelling == within.spelling and _means(c, within) for c in overloads)


def _arity(function: Cursor) -> int:
    return sum(1 for c in function.get_children() if c.kind == CursorKind.PARM_DECL)


def _means(overloads: Cursor, function: Cursor) -> bool:
    lib = cindex.conf.lib
    return any(
        lib.clang_getOverloadedDecl(overloads, i) == function for i in range(lib.clang_getNumOverloadedDecls(overloads))
    )


def key(function: Cursor) -> str:
    """A name that no two functions or instances share."""
    return f"{function.get_usr()} {function.displayname} {function.hash}"


def title(functions: Sequence[Cursor]) -> str:
    """Functions that call each other in turn, and the first again."""
    names = [f.spelling for f in functions]
    return " -> ".join([*names, names[0]])
