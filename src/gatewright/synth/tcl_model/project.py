# SPDX-License-Identifier: Apache-2.0
"""Projects: parts, files, file sets, and runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from gatewright.synth.tcl_model import words
from gatewright.synth.tcl_model.arguments import Call, Complaint
from gatewright.synth.tcl_model.model import NAMED, Model, does
from gatewright.synth.tcl_model.objects import Thing
from gatewright.synth.tcl_model.parts import part, parts
from gatewright.synth.tcl_model.session import SETTERS, real

_TYPES = {
    ".v": "Verilog", ".vh": "Verilog Header", ".sv": "SystemVerilog", ".svh": "Verilog Header", ".vhd": "VHDL",
    ".vhdl": "VHDL", ".xdc": "XDC", ".tcl": "TCL", ".mem": "Memory File", ".mif": "Memory Initialization Files",
    ".coe": "Data Files", ".dat": "Data Files", ".bd": "Block Designs", ".xci": "IP", ".dcp": "Design Checkpoint",
}  # fmt: skip
RUN_STEPS = {
    "synth_1": ("synth_design",),
    "impl_1": ("init_design", "opt_design", "power_opt_design", "place_design", "post_place_power_opt_design",
               "phys_opt_design", "route_design", "post_route_phys_opt_design", "write_bitstream"),
}  # fmt: skip
"""UG904, "Running Implementation in Project Mode"."""


@dataclass
class Project:
    """What is open.

    Attributes:
        thing: the project as an object.
        folder: in which it lies; that of the script where it lies in memory.
        in_memory: it has no folder of its own.
        files: by absolute path.
        sets, runs: by name.
    """

    thing: Thing
    folder: Path
    in_memory: bool
    files: dict[str, Thing] = field(default_factory=dict)
    sets: dict[str, Thing] = field(default_factory=dict)
    runs: dict[str, Thing] = field(default_factory=dict)

    @property
    def part(self) -> Thing:
        """What is synthesised for."""
        return part(self.thing.values["PART"])

    def area(self, suffix: str) -> Path:
        """The folder NAME.SUFFIX in which the tool keeps sources, products or runs."""
        name = "" if self.in_memory else self.thing.name
        return self.folder / f"{name}.{suffix}"


def opened(model: Model) -> Project:
    """The project that is open; commands that need none open one in memory, as the tool does (UG892)."""
    project: Project | None = model.state.get("project")
    if project is None:
        project = _new(model, "New Project", model.cwd, True, "xc7a35tcpg236-1")
    return project


def _new(model: Model, name: str, folder: Path, in_memory: bool, part_name: str) -> Project:
    values = {"PART": part_name, "DIRECTORY": str(folder), "TARGET_LANGUAGE": "Verilog", "NAME": name}
    project = Project(Thing("project", name, values), folder, in_memory)
    for set_name, kind in (("sources_1", "DesignSrcs"), ("constrs_1", "Constrs"), ("sim_1", "SimulationSrcs")):
        project.sets[set_name] = Thing("fileset", set_name, {"FILESET_TYPE": kind, "TOP": ""})
    for run in RUN_STEPS if not in_memory else ():
        values = {"PROGRESS": "0%", "STATUS": "Not started", "NEEDS_REFRESH": "0", "STRATEGY": "",
                  "DIRECTORY": str(project.area("runs") / run)}  # fmt: skip
        project.runs[run] = Thing("run", run, values)
    model.state["project"] = project
    return project


@does("create_project")
def create_project(model: Model, call: Call) -> list[Thing]:
    """A new project, in memory or in a folder."""
    if model.state.get("project") is not None:
        raise Complaint("create_project: a project is open already; close_project comes first")
    in_memory = "-in_memory" in call.flags
    name = call.get("name", "project_1")
    folder = Path(real(model, call.get("dir", "." if in_memory or not call.has("name") else name)))
    if not in_memory:
        if (folder / f"{name}.xpr").exists() and "-force" not in call.flags:
            raise Complaint(f"create_project: {name}.xpr is there already, and -force is not given")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.xpr").write_text("written by the model of the tool\n")
    return [_new(model, name, folder, in_memory, call.get("-part", "xc7a35tcpg236-1")).thing]


@does("close_project")
def close_project(model: Model, call: Call) -> str:
    """Nothing is open after it; packaged cores lie on disk."""
    model.state.clear()
    model.step = ""
    return ""


@does("current_project")
def current_project(model: Model, call: Call) -> list[Thing]:
    """What is open."""
    return [opened(model).thing]


@does("get_projects")
def get_projects(model: Model, call: Call) -> list[Thing]:
    """What is open, if anything is."""
    return [model.state["project"].thing] if model.state.get("project") else []


@does("set_part")
def set_part(model: Model, call: Call) -> list[Thing]:
    """Of the project."""
    found = part(call.get("part"))
    opened(model).thing.values["PART"] = found.name
    return [found]


@does("get_parts")
def get_parts(model: Model, call: Call) -> list[Thing]:
    """Those of the table."""
    if call.has("-of_objects"):
        return [opened(model).part]
    return model.look_up(call, list(parts().values()), "part")


@does("get_board_parts")
def get_board_parts(model: Model, call: Call) -> list[Thing]:
    """None is installed."""
    return model.look_up(call, [], "board part")


# --- files ------------------------------------------------------------------------------------------------------------


def _add(model: Model, paths: list[str], what: str) -> list[Thing]:
    project = opened(model)
    if not paths:
        raise Complaint(f"{what}: no file is named{model.nothing}")
    found = []
    for path in paths:
        full = real(model, path)
        if not Path(full).is_file():
            raise Complaint(f"{what}: {path!r} is no file")
        kind = _TYPES.get(Path(full).suffix)
        if kind is None:
            raise Complaint(f"{what}: {path!r}: files that end in {Path(full).suffix!r} are no source")
        found.append(project.files.setdefault(full, Thing("file", full, {"FILE_TYPE": kind, "IS_ENABLED": "1"})))
    return found


@does("add_files", "import_files")
def add_files(model: Model, call: Call) -> list[Thing]:
    """Files, or all sources below a folder."""
    paths: list[str] = []
    for path in (p for word in call.several.get("files", ()) for p in words.split(word)):
        full = model.cwd / path
        if full.is_dir():
            paths += [str(p) for p in sorted(full.rglob("*")) if p.suffix in _TYPES]
        else:
            paths.append(path)
    return _add(model, paths, call.command.name)


@does("read_verilog", "read_vhdl", "read_mem", "read_bd")
def read_sources(model: Model, call: Call) -> list[Thing]:
    """Sources without a project (UG892, "Non-Project Mode"), or into the one that is open."""
    name = call.command.name
    found = _add(model, [p for word in call.several["files"] for p in words.split(word)], name)
    for thing in found:
        kind = thing.values["FILE_TYPE"]
        if name == "read_verilog":
            if kind not in ("Verilog", "SystemVerilog", "Verilog Header"):
                raise Complaint(f"read_verilog: {thing.name!r} is {kind}")
            if "-sv" in call.flags:
                thing.values["FILE_TYPE"] = "SystemVerilog"
        elif name == "read_mem" and kind not in ("Memory File", "Memory Initialization Files", "Data Files"):
            raise Complaint(f"read_mem: {thing.name!r} is {kind}")
    return found


@does("read_xdc")
def read_xdc(model: Model, call: Call) -> list[Thing]:
    """Constraints."""
    return _add(model, [call.get("file")], "read_xdc")


@does("get_files")
def get_files(model: Model, call: Call) -> list[Thing]:
    """By name, or by the end of their path."""
    files = list(opened(model).files.values())
    patterns = [p for w in call.several.get("patterns", ()) for p in words.split(w)]
    for pattern in patterns:
        full = real(model, pattern)
        if any(t.name == full for t in files):
            return [t for t in files if t.name == full]
    return model.look_up(call, files, "file of the project")


@does("remove_files")
def remove_files(model: Model, call: Call) -> str:
    """From the project."""
    for thing in model.objects("file", " ".join(call.several["files"])):
        opened(model).files.pop(thing.name, None)
        model.state.get("designs", {}).pop(thing.name, None)
    return ""


@does("get_ips")
def get_ips(model: Model, call: Call) -> list[Thing]:
    """None outside of block designs."""
    return model.look_up(call, [], "IP")


@does("get_filesets")
def get_filesets(model: Model, call: Call) -> list[Thing]:
    """By name."""
    return model.look_up(call, list(opened(model).sets.values()), "file set")


@does("current_fileset")
def current_fileset(model: Model, call: Call) -> list[Thing]:
    """Sources, unless another kind is asked for."""
    chosen = next((n for flag, n in (("-constrset", "constrs_1"), ("-simset", "sim_1")) if flag in call.flags), "")
    return [opened(model).sets[chosen or "sources_1"]]


@does("create_fileset")
def create_fileset(model: Model, call: Call) -> list[Thing]:
    """One more."""
    sets, name = opened(model).sets, call.get("name")
    if name in sets:
        raise Complaint(f"create_fileset: {name!r} is there already")
    sets[name] = Thing("fileset", name, {"FILESET_TYPE": "", "TOP": ""})
    return [sets[name]]


def modules(model: Model) -> set[str]:
    """Modules of the Verilog sources."""
    found: set[str] = set()
    for path, thing in opened(model).files.items():
        if thing.values["FILE_TYPE"] in ("Verilog", "SystemVerilog"):
            found |= set(re.findall(r"^\s*module\s+(?:automatic\s+)?(\w+)", Path(path).read_text(), re.MULTILINE))
    return found


def check_top(model: Model, top: str) -> None:
    """A top level must be a module of the sources.

    Raises:
        Complaint: it is none.
    """
    found = modules(model)
    if top not in found:
        raise Complaint(f"top {top!r} is no module of the sources{words.meant(top, found)}")


def _set_fileset(model: Model, thing: Thing, key: str, value: str) -> None:
    if key.upper() == "TOP":
        check_top(model, value)
    if key.upper() == "IP_REPO_PATHS":
        _check_repositories(model, value)


def _set_project(model: Model, thing: Thing, key: str, value: str) -> None:
    if key.upper() == "IP_REPO_PATHS":
        _check_repositories(model, value)
    if key.upper() == "BOARD_PART":
        raise Complaint(f"board_part {value!r}: board files are an extra download that may not be there; set the part")


def _check_repositories(model: Model, value: str) -> None:
    for path in words.split(value):
        folder = Path(real(model, path))
        if not folder.is_dir():
            raise Complaint(f"ip_repo_paths: {path!r} is no folder")
        if not any(folder.rglob("component.xml")):
            raise Complaint(f"ip_repo_paths: there is no component.xml below {path!r}")


SETTERS["fileset"], SETTERS["project"] = _set_fileset, _set_project
NAMED["run"] = lambda model: opened(model).runs
NAMED["fileset"] = lambda model: opened(model).sets
