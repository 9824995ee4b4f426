# SPDX-License-Identifier: Apache-2.0
"""Objects of the tools: what a lookup returns, their properties, and filters over them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from gatewright.synth.tcl_model import words
from gatewright.synth.tcl_model.arguments import Complaint
from gatewright.synth.tcl_model.table import read


@dataclass(eq=False)
class Thing:
    """An object.

    Attributes:
        kind: "bd_cell", "run", ..., as in the table of properties.
        name: which a Tcl list of objects shows.
        values: properties that differ from what their kind begins with.
        data: what belongs to it in the model.
    """

    kind: str
    name: str
    values: dict[str, str] = field(default_factory=dict)
    data: Any = None

    def get(self, key: str) -> str | None:
        """A property, whatever the case of its name; None where it has none."""
        folded = key.upper()
        if folded in ("NAME", "PATH") and folded not in self.values:
            return self.name.rpartition("/")[2] if folded == "NAME" and self.kind.startswith("bd_") else self.name
        if folded == "CLASS":
            return self.kind
        return next((v for k, v in self.values.items() if k.upper() == folded), None)

    def set(self, key: str, value: str) -> None:
        """Set a property, under the name that it has already where it has one."""
        known = next((k for k in self.values if k.upper() == key.upper()), key)
        self.values[known] = value


@cache
def kinds() -> Mapping[str, Mapping[str, Any]]:
    """The table of properties."""
    return read("properties")


def legal(kind: str, key: str, *, write: bool) -> tuple[bool, str, str]:
    """Whether objects of a kind have a property, its type where the table knows one, and who says so."""
    entry = kinds().get(kind, {})
    guide = str(entry.get("guide", "UG912 Vivado Design Suite Properties Reference"))
    tables = [entry.get("write", {})] + ([] if write else [entry.get("read", {})])
    for table in tables:
        for name, kind_of in table.items():
            if re.fullmatch(name, key, re.IGNORECASE):
                return True, str(kind_of), guide
    return False, "", guide


def known(kind: str) -> list[str]:
    """Names of the properties of a kind, patterns left out."""
    entry = kinds().get(kind, {})
    return [n for table in ("write", "read") for n in entry.get(table, {}) if re.fullmatch(r"[\w.]+", n)]


# --- filters ----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:(\()|(\))|(&&)|(\|\|)|(==|!=|=~|!~|<=|>=|<|>)|"([^"]*)"|\{([^}]*)\}|([^\s()&|=!<>~"]+|!))"""
)
_KINDS = ("(", ")", "&&", "||", "op", "text", "text", "word")
_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "=~": lambda a, b: words.glob(b).fullmatch(a) is not None,
    "!~": lambda a, b: words.glob(b).fullmatch(a) is None,
    "<": lambda a, b: float(a) < float(b),
    ">": lambda a, b: float(a) > float(b),
    "<=": lambda a, b: float(a) <= float(b),
    ">=": lambda a, b: float(a) >= float(b),
}


class Filter:
    """An expression over properties (UG835 "filter", UG894 "Filtering Based on Properties").

    Raises:
        Complaint: it is none.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None or match.end() == at:
                raise Complaint(f"filter {text!r} cannot be read from {text[at:]!r} on")
            index = next(i for i in range(1, 9) if match.group(i) is not None)
            self.tokens.append((_KINDS[index - 1], match.group(index)))
            at = match.end()
        self.at = 0
        self.test = self._or()
        if self.at < len(self.tokens):
            raise Complaint(f"filter {text!r}: {self.tokens[self.at][1]!r} is one word too many")

    def keep(self, things: Iterable[Thing]) -> list[Thing]:
        """The objects for which it holds.

        Raises:
            Complaint: they have no such property.
        """
        return [t for t in things if self.test(t)]

    def _next(self) -> tuple[str, str]:
        if self.at == len(self.tokens):
            raise Complaint(f"filter {self.text!r} ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def _peek(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def _or(self) -> Callable[[Thing], bool]:
        tests = [self._and()]
        while self._peek() == "||":
            self._next()
            tests.append(self._and())
        return lambda t: any(test(t) for test in tests)

    def _and(self) -> Callable[[Thing], bool]:
        tests = [self._term()]
        while self._peek() == "&&":
            self._next()
            tests.append(self._term())
        return lambda t: all(test(t) for test in tests)

    def _term(self) -> Callable[[Thing], bool]:
        kind, text = self._next()
        if kind == "(":
            test = self._or()
            if self._next()[0] != ")":
                raise Complaint(f"filter {self.text!r}: a parenthesis is never closed")
            return test
        if (kind, text) == ("word", "!"):
            inner = self._term()
            return lambda t: not inner(t)
        if self._peek() != "op":
            return lambda t: _property(t, text).lower() in ("1", "true")
        operator = _OPERATORS[self._next()[1]]
        value = self._next()[1]
        return lambda t: operator(_property(t, text), value)


def _property(thing: Thing, key: str) -> str:
    if not legal(thing.kind, key, write=False)[0]:
        raise Complaint(f"a {thing.kind} has no property {key!r}{words.meant(key, known(thing.kind))}")
    return thing.get(key) or ""
