# SPDX-License-Identifier: Apache-2.0
"""The tool's state, and how a call is taken: held against the table, then done by whoever knows more of it.

Modules of this package that know what a command does register it with `does`; all others are taken as the table says:
they need what it names, write the files that it names, and take the design to the step that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gatewright.synth.tcl_model import words
from gatewright.synth.tcl_model.arguments import Call, Complaint, bind, check_values
from gatewright.synth.tcl_model.objects import Filter, Thing
from gatewright.synth.tcl_model.table import Command

Handler = Callable[["Model", Call], "str | Sequence[Thing]"]
HANDLERS: dict[str, Handler] = {}
STEPS = ("", "elaborated", "synthesised", "optimised", "placed", "routed")
"""What becomes of a design, in order (UG904, "Non-Project Mode")."""
LATER = ("coroutine", "lmap", "tailcall", "throw", "try", "yield", "yieldto", "zlib")
_LACKS: Mapping[str, str] = {
    "project": "no project is open: create_project or open_project comes first",
    "bd": "no block design is open: create_bd_design or open_bd_design comes first",
    "core": "no core is open: ipx::package_project comes first",
    "hls": "no project is open: open_project comes first",
}


@dataclass(frozen=True)
class Finding:
    """Something that the tool would refuse, or that its user guide tells to do otherwise.

    Attributes:
        file: of the script.
        line: where the command stands; 0 where that is unknown.
        what: is wrong.
        guide: user guide and section.
    """

    file: str
    line: int
    what: str
    guide: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" + (f" ({self.guide})" if self.guide else "")


NAMED: dict[str, Callable[[Model], Mapping[str, Thing]]] = {}
"""Kinds that commands also take by name (UG835, as in "launch_runs synth_1"): the objects that there are."""


def does(*names: str) -> Callable[[Handler], Handler]:
    """Register what commands do."""

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return register


@dataclass
class Model:
    """A tool.

    Attributes:
        title: for messages.
        guide: that lists its commands.
        table: its commands.
        release: of the tool.
        answers: what properties have that only a real run would know, such as SLACK.
        cwd: of the script, now.
        handlers: what its commands do.
        fails: commands that fail, and their messages: what a run can meet although the script is right.
        step: which of `STEPS` the design in memory has reached.
        state: what modules keep, by their own names.
        said: by the script to its console, by lines; `line` is one that has not ended.
        calls: of the tool's commands, in order, with their words.
        saved: what was written to files that the model would have to read back, by path.
    """

    title: str
    guide: str
    table: Mapping[str, Command]
    release: tuple[int, int]
    answers: Mapping[str, str]
    cwd: Path
    handlers: Mapping[str, Handler] = field(default_factory=lambda: HANDLERS)
    fails: Mapping[str, str] = field(default_factory=dict)
    step: str = ""
    state: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    line: str = ""
    findings: list[Finding] = field(default_factory=list)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)
    issued: dict[tuple[str, str], Thing] = field(default_factory=dict)
    nothing: str = ""
    place: tuple[str, int] = ("", 0)

    # --- a call -------------------------------------------------------------------------------------------------------

    def call(self, name: str, given: Sequence[str]) -> tuple[bool, str]:
        """Take a call: whether it is good, and what it returns or why not."""
        name = name.removeprefix("::")
        entry = self.table.get(name)
        self.calls.append((name, *given))
        if name in self.fails:
            return False, self.fails[name]
        try:
            return True, self._taken(name, entry, given)
        except Complaint as complaint:
            self.find(str(complaint), entry.guide if entry else self.guide)
            return False, str(complaint)

    def find(self, what: str, guide: str) -> None:
        """Report something of the line that is being run."""
        finding = Finding(*self.place, what, guide)
        if finding not in self.findings:
            self.findings.append(finding)

    def _taken(self, name: str, entry: Command | None, given: Sequence[str]) -> str:
        if entry is None and name in LATER:
            raise Complaint(f"{name!r} came with Tcl 8.6, and {self.title} has 8.5 (UG894)")
        if entry is None:
            raise Complaint(f"{self.title} has no command {name!r} that is known here{words.meant(name, self.table)}")
        release = "{}.{}".format(*self.release)
        if entry.since and self.release < entry.since:
            raise Complaint(f"{name} is newer than {self.title} {release}")
        if entry.until and self.release > entry.until:
            raise Complaint(f"{name} is no longer there in {self.title} {release}")
        call = bind(entry, given)
        try:
            self._check_needs(entry)
        except Complaint:
            if "-quiet" in call.flags:
                return ""
            raise
        check_values(call, self.cwd, self.objects)
        if "refused" in entry.extra:
            raise Complaint(f"{name}: {entry.extra['refused']}")
        handler = self.handlers.get(name, _plain)
        answer = handler(self, call)
        return answer if isinstance(answer, str) else self.issue(answer)

    def _check_needs(self, entry: Command) -> None:
        for need in entry.needs:
            if need in STEPS:
                if STEPS.index(self.step) < STEPS.index(need):
                    have = f"is {self.step}" if self.step else "is not open"
                    raise Complaint(f"{entry.name}: the design must be {need} before, and {have}")
            elif self.state.get(need) is None:
                raise Complaint(f"{entry.name}: {_LACKS[need]}")

    # --- objects ------------------------------------------------------------------------------------------------------

    def issue(self, things: Sequence[Thing]) -> str:
        """Objects as a script sees them."""
        for thing in things:
            self.issued.pop((thing.kind, thing.name), None)
            self.issued[thing.kind, thing.name] = thing
        return words.join(t.name for t in things)

    def objects(self, kinds: str, value: str) -> list[Thing]:
        """The objects of some kinds, separated by commas ("any" for all), that a word names.

        Raises:
            Complaint: it names none, or something else.
        """
        names = words.split(value)
        if not names:
            raise Complaint(f"there is no object to work on{self.nothing or ': the list is empty'}")
        return [self._object(kinds.split(","), name) for name in names]

    def _object(self, kinds: Sequence[str], name: str) -> Thing:
        of_name = [t for (k, n), t in self.issued.items() if n == name]
        for thing in reversed(of_name):
            if thing.kind in kinds or "any" in kinds:
                return thing
        for kind in kinds:
            by_name = NAMED.get(kind)
            if by_name is not None and name in (found := by_name(self)):
                return found[name]
        wanted = " or ".join(kinds)
        if of_name:
            raise Complaint(f"{name!r} is a {of_name[-1].kind}, not a {wanted}")
        raise Complaint(f"{name!r} is text, not an object: look up a {wanted} with get_...")

    def look_up(self, call: Call, things: Sequence[Thing], what: str) -> list[Thing]:
        """Objects by the patterns and filter of a get_ command; remembers it where there are none."""
        found = list(things)
        patterns = [p for w in call.several.get("patterns", ()) for p in words.split(w)]
        if "patterns" in call.values:
            patterns += words.split(call.values["patterns"])
        options = {"regexp": "-regexp" in call.flags, "nocase": "-nocase" in call.flags}
        if patterns:
            tests = [words.glob(p, **options) for p in patterns]
            found = [t for t in found if any(_names(t, test) for test in tests)]
        if "-filter" in call.values:
            found = Filter(call.values["-filter"]).keep(found)
        if not found:
            hint = words.meant(patterns[0].lstrip("/"), [t.name.lstrip("/") for t in things]) if patterns else ""
            asked = " ".join([*patterns, *([call.values["-filter"]] if "-filter" in call.values else [])])
            self.nothing = f": {call.command.name} {asked} in line {self.place[1]} found no {what}{hint}"
        return found


def _names(thing: Thing, test: Any) -> bool:
    """A pattern meets the name, with or without the "/" in front, or the file's last part."""
    names = [thing.name, thing.name.lstrip("/")]
    if thing.kind == "file":
        names.append(Path(thing.name).name)
    return any(test.fullmatch(n) for n in names)


def write_file(model: Model, path: str, text: str = "") -> Path:
    """Write a file for a command; its folder must be there."""
    target = model.cwd / path
    if not target.parent.is_dir():
        raise Complaint(f"{path!r} cannot be written: there is no folder {str(Path(path).parent)!r}")
    target.write_text(text or "written by the model of the tool\n", encoding="utf-8")
    return target


def _plain(model: Model, call: Call) -> str:
    """A command of which the table says all that the model knows."""
    extra = call.command.extra
    for name in extra.get("writes", ()):
        if call.has(name):
            path = model.cwd / call.get(name)
            if path.exists() and "-force" in call.command.options and "-force" not in call.flags:
                raise Complaint(f"{call.command.name}: {call.get(name)!r} is there already, and -force is not given")
            write_file(model, call.get(name))
    if "step" in extra:
        model.step = str(extra["step"])
    return str(extra.get("returns", ""))
