# SPDX-License-Identifier: Apache-2.0
"""What Vitis HLS does with a script (UG1399): a project, its sources, a solution, and its steps in their order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from gatewright.synth.tcl_model import words
from gatewright.synth.tcl_model.arguments import Call, Complaint
from gatewright.synth.tcl_model.model import Handler, Model, write_file

_NEEDED = ("top", "sources", "solution", "part", "clock")


@dataclass
class Solution:
    """What a script has said so far."""

    top: str = ""
    sources: list[Path] = field(default_factory=list)
    bench: list[Path] = field(default_factory=list)
    solution: str = ""
    part: str = ""
    clock: str = ""
    synthesised: bool = False


def _state(model: Model) -> Solution:
    found: Solution = model.state["hls"]
    return found


def open_project(model: Model, call: Call) -> str:
    """A project."""
    model.state["hls"] = Solution()
    return ""


def close_project(model: Model, call: Call) -> str:
    """None is open then."""
    model.state.clear()
    return ""


def set_top(model: Model, call: Call) -> str:
    """The function that becomes the top level; it is looked for when the project is complete."""
    _state(model).top = call.get("top")
    return ""


def add_files(model: Model, call: Call) -> str:
    """Sources, or the test bench's; folders are taken as they are."""
    state = _state(model)
    for name in words.split(call.get("src_files")):
        path = model.cwd / name
        if not path.exists():
            raise Complaint(f"add_files: {name!r} is not there")
        (state.bench if "-tb" in call.flags else state.sources).append(path)
    for flags in (call.get("-cflags"), call.get("-csimflags")):
        for folder in re.findall(r"-I\s*(\S+)", flags):
            if not (model.cwd / folder).is_dir():
                raise Complaint(f"add_files: {folder!r} of {flags!r} is no folder")
    return ""


def open_solution(model: Model, call: Call) -> str:
    """Part and clock belong to it."""
    _state(model).solution = call.get("solution")
    return ""


def set_part(model: Model, call: Call) -> str:
    """What is synthesised for."""
    _ordered(model, call, "solution")
    _state(model).part = call.get("part")
    return ""


def create_clock(model: Model, call: Call) -> str:
    """A period in nanoseconds, or a frequency with its unit."""
    _ordered(model, call, "solution")
    if not re.fullmatch(r"\d+(\.\d+)?(ns|MHz)?", call.get("-period")):
        raise Complaint(f"create_clock: -period {call.get('-period')!r} is no time or frequency")
    _state(model).clock = call.get("-period")
    return ""


def config(model: Model, call: Call) -> str:
    """Settings of the solution."""
    _ordered(model, call, "solution")
    return ""


def step(model: Model, call: Call) -> str:
    """Simulation and synthesis need a complete project, what follows needs synthesis."""
    name, state = call.command.name, _state(model)
    _ordered(model, call, *_NEEDED)
    _check_top(state)
    if name in ("csim_design", "cosim_design") and not state.bench:
        raise Complaint(f"{name}: there is no test bench: add_files -tb")
    if name in ("cosim_design", "export_design") and not state.synthesised:
        raise Complaint(f"{name}: csynth_design comes first")
    if name == "csynth_design":
        state.synthesised = True
    if call.has("-output"):
        write_file(model, call.get("-output"))
    return ""


def _ordered(model: Model, call: Call, *needed: str) -> None:
    """What must have been said before.

    Raises:
        Complaint: it was not.
    """
    for name in needed:
        if not getattr(_state(model), name):
            how = {"top": "set_top", "sources": "add_files", "solution": "open_solution", "part": "set_part"}
            raise Complaint(f"{call.command.name}: {how.get(name, 'create_clock')} comes first")


def _check_top(state: Solution) -> None:
    texts = [p.read_text(errors="replace") for p in state.sources if p.is_file()]
    if not any(re.search(rf"\b{re.escape(state.top)}\s*\(", t) for t in texts):
        raise Complaint(f"top {state.top!r} is no function of the sources")


DOES: dict[str, Handler] = {
    "open_project": open_project, "close_project": close_project, "set_top": set_top, "add_files": add_files,
    "open_solution": open_solution, "set_part": set_part, "create_clock": create_clock,
    "set_clock_uncertainty": config, "config_interface": config, "config_compile": config, "config_export": config,
    "csim_design": step, "csynth_design": step, "cosim_design": step, "export_design": step,
}  # fmt: skip
"""By name: some of Vivado's commands have the same."""
