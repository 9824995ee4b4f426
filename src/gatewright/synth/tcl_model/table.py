# SPDX-License-Identifier: Apache-2.0
"""What the user guides say of commands, read from the tables beside this file.

An entry has the guide with its section, and a syntax line as the guides write it, with types in place of names:

    [-part <part>] [-force] <name> [<dir:folder>]     brackets: may be left out; three points: any number of them

Types: text, name, int, float, bool, size, list, dict, part, vlnv, file, folder, newfile (its folder must be there), any
of these with a label in front (`dir:folder`); `int 1..16` has limits, `a|b|c` is one of these words, and
`@bd_pin,bd_port` are objects of these kinds, of which there must be at least one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "tables"
COMMON = ("-quiet", "-verbose")
"""Options of every command (UG835, "Tcl Initialization Scripts" and each entry)."""
_PIECE = re.compile(r"(\[)?\s*(--?\w[\w.\-]*)?\s*(?:<([^>]+)>)?(\.\.\.)?\s*(\])?\s*")


@dataclass(frozen=True)
class Slot:
    """An option or a positional argument.

    Attributes:
        name: with its hyphen; the label of a positional one.
        kind: a type as in the syntax; None for an option without value.
        required: it must stand.
        several: any number of them.
    """

    name: str
    kind: str | None
    required: bool
    several: bool = False


@dataclass(frozen=True)
class Command:
    """An entry of a table.

    Attributes:
        name: of the command.
        guide: user guide and section.
        options, arguments: what it takes.
        needs: what must be there before: "project", "bd", "core", or a step of the design ("synthesised", ...).
        note: what the model knows of it beyond the syntax, or why it is taken as it is.
    """

    name: str
    guide: str
    options: Mapping[str, Slot]
    arguments: tuple[Slot, ...]
    needs: tuple[str, ...] = ()
    note: str = ""
    since: tuple[int, int] | None = None
    until: tuple[int, int] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def read(name: str) -> dict[str, Any]:
    """A table's TOML."""
    found: dict[str, Any] = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return found


@cache
def commands(name: str) -> Mapping[str, Command]:
    """The commands of a table."""
    return {command: _command(command, dict(entry)) for command, entry in read(name).items()}


def _command(name: str, entry: dict[str, Any]) -> Command:
    options: dict[str, Slot] = {}
    arguments: list[Slot] = []
    for slot in slots(entry.pop("syntax")):
        if slot.name.startswith("-"):
            options[slot.name] = slot
        else:
            arguments.append(slot)
    for option in COMMON if entry.pop("common", True) else ():
        options.setdefault(option, Slot(option, None, False))
    since, until = (_release(entry.pop(key, "")) for key in ("since", "until"))
    return Command(
        name, entry.pop("guide"), options, tuple(arguments), tuple(entry.pop("needs", "").split()),
        entry.pop("note", ""), since, until, entry,
    )  # fmt: skip


def _release(text: str) -> tuple[int, int] | None:
    year, _, number = text.partition(".")
    return (int(year), int(number)) if text else None


def slots(syntax: str) -> list[Slot]:
    """The options and arguments of a syntax line.

    Raises:
        ValueError: it is none.
    """
    found, at = [], 0
    syntax = syntax.strip()
    while at < len(syntax):
        match = _PIECE.match(syntax, at)
        if match is None or match.end() == at or bool(match.group(1)) != bool(match.group(5)):
            raise ValueError(f"no syntax: {syntax[at:]!r}")
        opened, option, kind, several, _ = match.groups()
        label, _, rest = (kind or "").partition(":")
        found.append(Slot(option or label, (rest or label) or None, not opened, bool(several)))
        at = match.end()
    return found
