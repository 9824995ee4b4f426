# SPDX-License-Identifier: Apache-2.0
"""Calls of v++ and its config files (UG1393, UG1702): options, sections, keys, and what they say of kernel and card."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from gatewright.synth.tcl_model import table, words
from gatewright.synth.tcl_model.arguments import Call, Complaint, check_value
from gatewright.synth.tcl_model.model import Finding
from gatewright.synth.tcl_model.table import Slot

ONCE = ("nk", "sp", "slr", "sc", "stream_connect", "connect", "prop", "param", "syn.file", "tb.file", "freqHz", "misc",
        "data", "stall", "exec", "id", "tolerance", "chipscope", "custom", "do_first", "do_last")  # fmt: skip
"""Keys that may stand more than once; any other stands once."""


@dataclass(frozen=True)
class KernelObject:
    """What a .xo says: its kernel, the interfaces and arguments that memory can be given to."""

    name: str
    ports: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> KernelObject:
        """A .xo of the model of package_xo.

        Raises:
            Complaint: it is none.
        """
        try:
            found = json.loads(path.read_text())
            return cls(found["kernel"], tuple(found["ports"]))
        except (OSError, ValueError, KeyError, UnicodeDecodeError):
            raise Complaint(f"{path.name!r} is no kernel object that package_xo left") from None


@dataclass
class Link:
    """What a call of v++ says, from the command line and its config files.

    Attributes:
        folder: in which relative paths begin.
        kernels: what is linked.
        platform: its entry in the table; None until it is known.
        units: compute units by name, with their kernel.
    """

    folder: Path
    kernels: Mapping[str, KernelObject] = field(default_factory=dict)
    platform: Mapping[str, Any] | None = None
    units: dict[str, str] = field(default_factory=dict)


@cache
def _sections() -> Mapping[str, Mapping[str, Any]]:
    return table.read("configs")


@cache
def platforms() -> Mapping[str, Mapping[str, Any]]:
    """By name."""
    return table.read("platforms")


def platform(name: str) -> Mapping[str, Any]:
    """A platform by its name or its .xpfm.

    Raises:
        Complaint: there is none of that name.
    """
    found = platforms().get(Path(name).name.removesuffix(".xpfm"))
    if found is None:
        raise Complaint(f"platform {name!r} is unknown{words.meant(Path(name).name, platforms())} (UG1120)")
    return found


# --- config files -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A line of a config file."""

    line: int
    section: str
    key: str
    value: str


def entries(text: str) -> Iterator[Entry | Finding]:
    """The lines of a config file; a finding for each that is none."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if match := re.fullmatch(r"\[([\w.]+)\]", stripped):
            section = match.group(1)
            if section not in _sections() or section == "general":
                guide = "UG1393 Vitis Compiler Configuration File"
                yield Finding("", number, f"section {section!r} is unknown{words.meant(section, _sections())}", guide)
        elif "=" not in stripped:
            yield Finding("", number, f"{stripped!r} is no key=value", "UG1393 Vitis Compiler Configuration File")
        else:
            key, value = stripped.split("=", 1)
            yield Entry(number, section, key.strip(), value.strip())


def check_config(path: Path, link: Link, file: str) -> list[Finding]:
    """What is wrong with a config file; what it says goes into `link`.

    Args:
        path: of the file.
        link: what is known so far of kernels and platform.
        file: its name in findings.
    """
    found: list[Finding] = []
    seen: set[tuple[str, str]] = set()
    lines = list(entries(path.read_text(encoding="utf-8")))
    # nk names units that sp and slr speak of, wherever it stands, and the platform counts for all.
    order = {"platform": 0, "nk": 1}
    for entry in sorted(lines, key=lambda e: order.get(e.key, 2) if isinstance(e, Entry) else 0):
        if isinstance(entry, Finding):
            found.append(Finding(file, entry.line, entry.what, entry.guide))
            continue
        guide = str(_sections().get(entry.section or "general", {}).get("guide", ""))
        try:
            _check_entry(entry, link)
            if entry.key not in ONCE and (entry.section, entry.key) in seen:
                raise Complaint(f"{entry.key} stands twice: only the first counts")
        except Complaint as complaint:
            found.append(Finding(file, entry.line, str(complaint), guide))
        seen.add((entry.section, entry.key))
    return sorted(found, key=lambda f: f.line)


def _check_entry(entry: Entry, link: Link) -> None:
    if not entry.section:
        options = table.commands("programs")["v++"].options
        slot = options.get(f"--{entry.key}")
        if entry.key in (own := _sections()["general"]["keys"]):
            check_rule(own[entry.key], entry.key, entry.value, link)
        elif slot is None:
            raise Complaint(f"v++ has no option {entry.key!r}{words.meant(entry.key, [o.strip('-') for o in options])}")
        else:
            _check_option(slot, entry.value, link)
        return
    section = _sections().get(entry.section)
    if section is None:
        return
    rule = section["keys"].get(entry.key)
    if rule is None:
        raise Complaint(f"[{entry.section}] has no key {entry.key!r}{words.meant(entry.key, section['keys'])}")
    check_rule(rule, entry.key, entry.value, link)


def _check_option(slot: Slot, value: str, link: Link) -> None:
    if slot.kind is None:
        if value.lower() not in ("0", "1", "true", "false"):
            raise Complaint(f"{slot.name.strip('-')}={value!r} is neither 1 nor 0")
        return
    check_value(slot, value, link.folder, lambda kinds, text: ())
    if slot.name in ("-f", "--platform"):
        link.platform = platform(value)
    if slot.name == "--kernel_frequency":
        _frequency(value)


def _frequency(value: str) -> None:
    """Whole megahertz, for all clocks or each by its number (UG1393 "--kernel_frequency")."""
    if not re.fullmatch(r"\d+|\d+:\d+(\|\d+:\d+)*", value):
        raise Complaint(f"kernel_frequency={value!r} is neither a whole number of MHz nor of the form 0:300|1:500")
    for mhz in re.findall(r"(?:^|:)(\d+)(?=$|\|)", value):
        if not 10 <= int(mhz) <= 800:
            raise Complaint(f"kernel_frequency={value!r}: {mhz} MHz is out of reach of any kernel")


def check_rule(rule: str, key: str, value: str, link: Link) -> None:
    """A value against the rule of its key.

    Raises:
        Complaint: it breaks it.
    """
    special = _RULES.get(rule)
    if special is not None:
        special(value, link)
        return
    check_value(Slot(key, rule, True), value, link.folder, lambda kinds, text: ())


def _nk(value: str, link: Link) -> None:
    match = re.fullmatch(r"(\w+):(\d+)(?::([\w.,]+))?", value)
    if match is None:
        raise Complaint(f"nk={value!r} is not of the form KERNEL:NUMBER:UNIT,UNIT...")
    kernel, count = match.group(1), int(match.group(2))
    if link.kernels and kernel not in link.kernels:
        raise Complaint(f"nk={value!r}: no kernel {kernel!r} is linked{words.meant(kernel, link.kernels)}")
    units = re.split(r"[.,]", match.group(3)) if match.group(3) else [f"{kernel}_{i + 1}" for i in range(count)]
    if len(units) != count:
        raise Complaint(f"nk={value!r}: {count} units, and {len(units)} names")
    link.units.update(dict.fromkeys(units, kernel))


def _unit(text: str, name: str, link: Link) -> KernelObject | None:
    units = link.units or {f"{k}_1": k for k in link.kernels}
    if units and name not in units:
        raise Complaint(f"{text}: there is no compute unit {name!r}{words.meant(name, units)}")
    return link.kernels.get(units.get(name, ""))


def _sp(value: str, link: Link) -> None:
    match = re.fullmatch(r"(\w+)\.(\w+):(\w+?)(?:\[(\d+)(?::(\d+))?\])?", value)
    if match is None:
        raise Complaint(f"sp={value!r} is not of the form UNIT.PORT:MEMORY[FIRST:LAST]")
    unit, port, memory, first, last = match.groups()
    kernel = _unit(f"sp={value!r}", unit, link)
    if kernel is not None and port not in kernel.ports:
        raise Complaint(f"sp={value!r}: kernel {kernel.name} has no port {port!r}{words.meant(port, kernel.ports)}")
    if link.platform is None:
        return
    memories = link.platform["memory"]
    if memory not in memories:
        raise Complaint(f"sp={value!r}: the platform has no {memory}, but {', '.join(memories)}")
    most = int(memories[memory])
    ends = [int(n) for n in (first, last) if n is not None]
    if any(n >= most for n in ends) or (len(ends) == 2 and ends[0] > ends[1]):
        raise Complaint(f"sp={value!r}: the platform has {memory}[0] to {memory}[{most - 1}]")


def _slr(value: str, link: Link) -> None:
    match = re.fullmatch(r"(\w+):SLR(\d+)", value)
    if match is None:
        raise Complaint(f"slr={value!r} is not of the form UNIT:SLR0")
    _unit(f"slr={value!r}", match.group(1), link)
    if link.platform is not None and int(match.group(2)) >= link.platform["slrs"]:
        raise Complaint(f"slr={value!r}: the platform has SLR0 to SLR{link.platform['slrs'] - 1}")


def _prop(value: str, link: Link) -> None:
    match = re.fullmatch(r"run\.(\w+)\.(.+?)=(.*)", value)
    if match is None:
        raise Complaint(f"prop={value!r} is not of the form run.RUN.PROPERTY=VALUE")
    run, key, setting = match.groups()
    if not re.fullmatch(r"impl_1|synth_1|\w*synth_1|__KERNEL__|impl_\w+", run):
        raise Complaint(f"prop={value!r}: there is no run {run!r}")
    step = re.fullmatch(
        r"(?i)strategy|report_strategy|steps\.(init|synth|opt|power_opt|place|post_place_power_opt|phys_opt|route|"
        r"post_route_phys_opt)_design\.(is_enabled|args\.[\w ]+|tcl\.(pre|post))", key
    )  # fmt: skip
    if step is None:
        raise Complaint(f"prop={value!r}: a run has no property {key!r} that is known here (UG912, UG904)")
    if key.lower().endswith("is_enabled") and setting.lower() not in ("true", "false", "0", "1"):
        raise Complaint(f"prop={value!r}: {setting!r} is no boolean")
    if re.search(r"(?i)tcl\.(pre|post)$", key) and not (link.folder / setting).is_file():
        raise Complaint(f"prop={value!r}: {setting!r} is no file")


def _param(value: str, link: Link) -> None:
    if not re.fullmatch(r"[\w.\-{}]+=.*", value):
        raise Complaint(f"{value!r} is not of the form NAME=VALUE")


def _stream(value: str, link: Link) -> None:
    if not re.fullmatch(r"\w+\.\w+:\w+\.\w+(:\d+)?", value):
        raise Complaint(f"stream_connect={value!r} is not of the form UNIT.PORT:UNIT.PORT")


def _hz(value: str, link: Link) -> None:
    match = re.fullmatch(r"(\d+):([\w.,]+)", value)
    if match is None:
        raise Complaint(f"freqHz={value!r} is not of the form HERTZ:UNIT.PIN,...")
    for end in match.group(2).split(","):
        _unit(f"freqHz={value!r}", end.split(".")[0], link)


_RULES: Mapping[str, Callable[[str, Link], None]] = {
    "nk": _nk, "sp": _sp, "slr": _slr, "prop": _prop, "param": _param, "stream": _stream, "hz": _hz,
}  # fmt: skip


# --- calls ------------------------------------------------------------------------------------------------------------


def check_call(call: Call, folder: Path) -> tuple[list[Finding], Link]:
    """What is wrong with a call of v++, whose options exist, and with its config files."""
    link = Link(folder)
    found: list[Finding] = []
    kernels: dict[str, KernelObject] = {}
    for name in call.several.get("input_files", ()):
        if name.endswith(".xo") and (folder / name).is_file():
            kernel = KernelObject.load(folder / name)
            kernels[kernel.name] = kernel
    link.kernels = kernels
    for option in ("-f", "--platform"):
        if call.has(option):
            link.platform = platform(call.get(option))
    for name in call.several.get("--config", ()):
        found += check_config(folder / name, link, str(folder / name))
    for option, values in call.several.items():
        section, _, key = option.lstrip("-").partition(".")
        rule = _sections().get(section, {}).get("keys", {}).get(key)
        for value in values if rule is not None else ():
            check_rule(str(rule), key, value, link)
    linking = {"-l", "--link"} & call.flags
    if linking and link.platform is None and not found:
        raise Complaint("v++ --link: no platform is named, neither here nor in a config file")
    if linking and not kernels:
        raise Complaint("v++ --link: there is nothing to link: name a .xo")
    if not linking and not {"-c", "--compile", "-p", "--package"} & call.flags:
        raise Complaint("v++: one of --compile, --link and --package must stand")
    return found, link
