# SPDX-License-Identifier: Apache-2.0
"""Parts: which there are, by the rule that part numbers follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from gatewright.synth.tcl_model import words
from gatewright.synth.tcl_model.arguments import CHECKS, Complaint
from gatewright.synth.tcl_model.objects import Thing
from gatewright.synth.tcl_model.table import read


@cache
def parts() -> Mapping[str, Thing]:
    """All parts by name."""
    return {thing.name: thing for thing in _all()}


def _all() -> Iterator[Thing]:
    for device, entry in read("parts").items():
        between = "" if device.startswith("xc7") else "-"
        for package in entry["packages"]:
            for grade in entry["grades"]:
                name = f"{device}{between}{package}{grade}"
                values = {"DEVICE": device, "FAMILY": entry["family"], "PACKAGE": package, "SPEED": grade}
                yield Thing("part", name, values, entry)


def part(name: str) -> Thing:
    """A part.

    Raises:
        Complaint: there is none of that name.
    """
    if wrong := _wrong(name, Path()):
        raise Complaint(f"part {name!r} {wrong}")
    return parts()[name]


def _wrong(name: str, folder: Path) -> str:
    return "" if name in parts() else f"is unknown{words.meant(name, parts())}"


CHECKS["part"] = _wrong
