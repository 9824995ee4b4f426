# SPDX-License-Identifier: Apache-2.0
"""The words of a call, held against its entry in the table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gatewright.synth.tcl_model import words
from gatewright.synth.tcl_model.table import Command, Slot

_OPTION = r"(--?[A-Za-z_][\w.\-]*)"
_JOINED = r"(--?[A-Za-z_][\w.\-]*)(?:=(.*))?"
"""Some tools join an option and its value (UG1399, "config_interface -m_axi_addr64=true"; v++)."""


class Complaint(Exception):
    """What the tool, or its user guide, has against a call."""


@dataclass(frozen=True)
class Call:
    """A call that its entry allows.

    Attributes:
        command: the entry.
        values: of options with a value, and of positional arguments, by name; each as it was written.
        flags: options without value.
        several: words of arguments that may be given more than once.
    """

    command: Command
    values: Mapping[str, str]
    flags: frozenset[str]
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """A value, or what stands for none."""
        return self.values.get(name, default)

    def has(self, name: str) -> bool:
        """Whether an option or an argument was given."""
        return name in self.flags or name in self.values or name in self.several


def bind(command: Command, given: Sequence[str]) -> Call:
    """Sort the words of a call.

    Raises:
        Complaint: an unknown option, one without its value, too many words, or too few.
    """
    values: dict[str, str] = {}
    flags: set[str] = set()
    free: list[str] = []
    several: dict[str, list[str]] = {}
    rest = list(given)
    # Positional arguments may be named too (UG835, "make_wrapper -files", "set_property -objects").
    named = {f"-{slot.name}": slot for slot in command.arguments}
    while rest:
        word = rest.pop(0)
        match = re.fullmatch(_JOINED if command.extra.get("joined") else _OPTION, word, re.DOTALL)
        if match is None:
            free.append(word)
            continue
        word, *joined = (g for g in match.groups() if g is not None)
        rest[:0] = joined
        slot = command.options.get(word) or named.get(word)
        if slot is None:
            raise Complaint(f"{command.name} has no option {word!r}{words.meant(word, command.options)}")
        if slot.kind is None:
            if joined:
                raise Complaint(f"{command.name}: {word} takes no value")
            flags.add(word)
        elif not rest:
            raise Complaint(f"{command.name}: {word} has no value")
        elif slot.several:
            several.setdefault(slot.name, []).append(rest.pop(0))
        elif slot.name in values:
            raise Complaint(f"{command.name}: {word} stands twice")
        else:
            values[slot.name] = rest.pop(0)
    _positional(command, free, values, several)
    for slot in (*command.options.values(), *command.arguments):
        if slot.required and slot.name not in values and slot.name not in several and slot.name not in flags:
            raise Complaint(f"{command.name}: {slot.name} is missing")
    return Call(command, values, frozenset(flags), {k: tuple(v) for k, v in several.items()})


def _positional(command: Command, free: list[str], values: dict[str, str], several: dict[str, list[str]]) -> None:
    """Words without an option; what may be left out is filled only when more words come than must."""
    open_slots = [s for s in command.arguments if s.name not in values and s.name not in several]
    spare = len(free) - sum(s.required for s in open_slots)
    for slot in open_slots:
        if slot.several:
            must_follow = sum(s.required for s in open_slots[open_slots.index(slot) + 1 :])
            taken = free[: len(free) - must_follow]
            if taken:
                several[slot.name] = taken
            del free[: len(taken)]
        elif free and (slot.required or spare > 0):
            spare -= not slot.required
            values[slot.name] = free.pop(0)
    if free:
        raise Complaint(f"{command.name}: {free[0]!r} is one word too many")


def check_value(slot: Slot, value: str, folder: Path, objects: Callable[[str, str], object]) -> None:
    """A value against its type.

    Args:
        folder: in which relative paths begin.
        objects: looks up the objects of some kinds that a value names.

    Raises:
        Complaint: it is none of that type.
    """
    kind = slot.kind or ""
    if kind.startswith("@"):
        objects(kind[1:], value)
        return
    if "|" in kind:
        if value not in kind.split("|"):
            raise Complaint(f"{slot.name} {value!r} is none of {kind}{words.meant(value, kind.split('|'))}")
        return
    base, _, limits = kind.partition(" ")
    check = CHECKS.get(base)
    if check is not None:
        reason = check(value, folder)
        if reason:
            raise Complaint(f"{slot.name} {value!r} {reason}")
    if limits:
        low, high = (float(n) for n in limits.split(".."))
        if not low <= float(value) <= high:
            raise Complaint(f"{slot.name} {value!r} is outside of {limits}")


def check_values(call: Call, folder: Path, objects: Callable[[str, str], object]) -> None:
    """All words of a call against their types, as `check_value` does it.

    Raises:
        Complaint: one is none of its type.
    """
    slots = {**call.command.options, **{s.name: s for s in call.command.arguments}}
    for name, many in {**{n: (v,) for n, v in call.values.items()}, **call.several}.items():
        for value in many:
            check_value(slots[name], value, folder, objects)


def _integer(value: str, folder: Path) -> str:
    return "" if re.fullmatch(r"[+-]?(\d+|0[xX][0-9a-fA-F]+)", value) else "is no integer"


def _float(value: str, folder: Path) -> str:
    return "" if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value) else "is no number"


def _boolean(value: str, folder: Path) -> str:
    return "" if value.lower() in ("0", "1", "true", "false", "yes", "no", "on", "off") else "is no boolean"


def _name(value: str, folder: Path) -> str:
    return "" if re.fullmatch(r"[A-Za-z_][\w.\-/]*", value) else "is no name"


def _vlnv(value: str, folder: Path) -> str:
    return "" if re.fullmatch(r"[^:\s]+:[^:\s]+:[^:\s]+(:[^:\s]+)?", value) else "is not vendor:library:name:version"


def _size(value: str, folder: Path) -> str:
    return "" if re.fullmatch(r"(\d+|0[xX][0-9a-fA-F_]+)[KMGTPE]?", value) else "is no size such as 4096, 64K or 0x1000"


def _file(value: str, folder: Path) -> str:
    return "" if (folder / value).is_file() else "is no file"


def _folder(value: str, folder: Path) -> str:
    return "" if (folder / value).is_dir() else "is no folder"


def _newfile(value: str, folder: Path) -> str:
    path = folder / value
    if not value or path.is_dir():
        return "is no name of a file"
    return "" if path.parent.is_dir() else f"cannot be written: there is no folder {str(Path(value).parent)!r}"


def _list(value: str, folder: Path) -> str:
    try:
        words.split(value)
    except ValueError as error:
        return f"is no list: {error}"
    return ""


def _dict(value: str, folder: Path) -> str:
    reason = _list(value, folder)
    return reason or ("" if len(words.split(value)) % 2 == 0 else "has a key without a value")


CHECKS: dict[str, Callable[[str, Path], str]] = {
    "int": _integer, "float": _float, "bool": _boolean, "name": _name, "vlnv": _vlnv, "size": _size, "file": _file,
    "folder": _folder, "newfile": _newfile, "list": _list, "dict": _dict,
}  # fmt: skip
"""By type, what is wrong with a value, as the end of a sentence; `parts` adds its own."""
