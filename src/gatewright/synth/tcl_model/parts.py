# SPDX-License-Identifier: Apache-2.0
"""Parts: which there are, by the rule that part numbers follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from gatewright.synth.tcl_model import words
from gatewright.synth.tcl_model.arguments import Complaint
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
    if name not in parts():
        raise Complaint(f"part {name!r} is unknown{words.meant(name, parts())}")
    return parts()[name]
