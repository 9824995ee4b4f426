# SPDX-License-Identifier: Apache-2.0
"""From a block design to a bitstream: products, wrapper, synthesis, implementation, and lookups in the result."""

from __future__ import annotations

import re
from pathlib import Path

from gatewright.synth.tcl_model import addresses, validation, words
from gatewright.synth.tcl_model.arguments import Call, Complaint
from gatewright.synth.tcl_model.blocks import Design, current
from gatewright.synth.tcl_model.model import STEPS, Model, does, write_file
from gatewright.synth.tcl_model.objects import Filter, Thing
from gatewright.synth.tcl_model.project import check_top, opened

TARGETS = ("all", "synthesis", "simulation", "implementation", "instantiation_template", "changelog", "hw_handoff")
"""UG835 generate_target."""
GUESSES = {
    "SLACK": "0.100", "LOGIC_LEVELS": "5", "DATAPATH_DELAY": "4.000", "REQUIREMENT": "5.000", "GROUP": "clk",
    "STARTPOINT_PIN": "kernel/inst/a_reg/C", "ENDPOINT_PIN": "kernel/inst/b_reg/D",
}  # fmt: skip
"""What a good run would say."""


@does("validate_bd_design")
def validate_bd_design(model: Model, call: Call) -> str:
    """Everything that is wrong at once."""
    _validate(model, current(model), call.command.guide)
    return ""


def _validate(model: Model, design: Design, guide: str) -> None:
    if not design.cells:
        raise Complaint(f"block design {design.thing.name} is empty")
    found = [*validation.faults(design), *addresses.faults(design)]
    for fault in found[1:]:
        model.find(fault, guide)
    if found:
        raise Complaint(found[0])
    design.valid = True


def _design_of(model: Model, file: Thing) -> Design | None:
    found: Design | None = model.state.get("designs", {}).get(file.name)
    return found


@does("generate_target")
def generate_target(model: Model, call: Call) -> str:
    """Products of block designs and IPs; a block design is validated before."""
    for name in words.split(call.get("name")):
        if name not in TARGETS:
            raise Complaint(f"generate_target: {name!r} is no target{words.meant(name, TARGETS)}")
    for thing in model.objects("file,ip", " ".join(call.several["objects"])):
        design = _design_of(model, thing)
        if design is None:
            raise Complaint(f"generate_target: {thing.name} is no block design that this script made")
        if not design.valid:
            _validate(model, design, call.command.guide)
        folder = products(model, design)
        (folder / "hw_handoff").mkdir(parents=True, exist_ok=True)
        (folder / "synth").mkdir(exist_ok=True)
        (folder / "hw_handoff" / f"{design.thing.name}.hwh").write_text("written by the model of the tool\n")
        (folder / "synth" / f"{design.thing.name}.v").write_text(f"module {design.thing.name};\nendmodule\n")
        design.generated = True
    return ""


def products(model: Model, design: Design) -> Path:
    """Where the tool puts what it makes of a design: NAME.gen from 2020.2 on; beside a design that lies elsewhere."""
    project = opened(model)
    inside = project.area("srcs") / "sources_1" / "bd"
    if inside not in design.path.parents or model.release < (2020, 2):
        return design.path.parent
    return project.area("gen") / "sources_1" / "bd" / str(design.thing.name)


@does("make_wrapper")
def make_wrapper(model: Model, call: Call) -> str:
    """A Verilog module around a design: its file, which the script has to add."""
    for thing in model.objects("file", call.get("files")):
        design = _design_of(model, thing)
        if design is None:
            raise Complaint(f"make_wrapper: {thing.name} is no block design that this script made")
        if not design.valid:
            _validate(model, design, call.command.guide)
        if not {"-top", "-testbench", "-inst_template"} & call.flags:
            raise Complaint("make_wrapper: -top is missing, which says what to make")
        folder = products(model, design) / "hdl"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{design.thing.name}_wrapper"
        path = folder / f"{name}.v"
        path.write_text(f"module {name};\nendmodule\n")
        if "-import" in call.flags:
            opened(model).files[str(path)] = Thing("file", str(path), {"FILE_TYPE": "Verilog", "IS_ENABLED": "1"})
        return str(path)
    return ""


@does("export_ip_user_files", "report_ip_status", "config_ip_cache", "update_compile_order", "check_syntax")
def accepted(model: Model, call: Call) -> str:
    """What follows does not depend on it."""
    if call.has("-file"):
        write_file(model, call.get("-file"))
    return ""


# --- the design in memory ---------------------------------------------------------------------------------------------


@does("synth_design")
def synth_design(model: Model, call: Call) -> str:
    """All sources under a top level, for a part."""
    project = opened(model)
    top = call.get("-top") or project.sets["sources_1"].values["TOP"]
    if not top:
        raise Complaint("synth_design: -top is missing, and the property top of the sources is not set")
    check_top(model, top)
    if call.has("-part") and call.get("-part") != project.part.name and model.state.get("designs"):
        raise Complaint(f"synth_design: -part {call.get('-part')!r}, and the project is for {project.part.name}")
    for path, design in model.state.get("designs", {}).items():
        if not design.generated:
            raise Complaint(
                f"synth_design: products of {Path(path).name} were not generated: generate_target all first"
            )
        if project.files[path].values.get("SYNTH_CHECKPOINT_MODE") != "None":
            raise Complaint(
                f"synth_design: {Path(path).name} is to be synthesised out of context, for which nobody made the runs: "
                "set_property synth_checkpoint_mode None [get_files ...] first"
            )
    model.step = "elaborated" if "-rtl" in call.flags else "synthesised"
    model.state["top"] = top
    return "design_1"


@does("opt_design", "place_design", "route_design", "phys_opt_design", "power_opt_design")
def implement(model: Model, call: Call) -> str:
    """A step; none is taken twice or backwards."""
    step = call.command.extra.get("step")
    if step and STEPS.index(model.step) > STEPS.index(step):
        raise Complaint(f"{call.command.name}: the design is {model.step} already")
    model.step = str(step or model.step)
    return ""


@does("write_bitstream")
def write_bitstream(model: Model, call: Call) -> str:
    """The file, and a .bin beside it where it is asked for."""
    path = call.get("file")
    if not path.endswith(".bit"):
        raise Complaint(f"write_bitstream: {path!r} must end in .bit")
    if (model.cwd / path).exists() and "-force" not in call.flags:
        raise Complaint(f"write_bitstream: {path!r} is there already, and -force is not given")
    write_file(model, path)
    if "-bin_file" in call.flags:
        write_file(model, path.removesuffix(".bit") + ".bin")
    return ""


@does("write_hw_platform")
def write_hw_platform(model: Model, call: Call) -> str:
    """A fixed platform with its bitstream needs one."""
    path = call.get("file", "platform.xsa")
    if not path.endswith(".xsa"):
        raise Complaint(f"write_hw_platform: {path!r} must end in .xsa")
    if (model.cwd / path).exists() and "-force" not in call.flags:
        raise Complaint(f"write_hw_platform: {path!r} is there already, and -force is not given")
    if (
        "-include_bit" in call.flags
        and model.step != "routed"
        and not any("write_bitstream" in r.values.get("started", "") for r in opened(model).runs.values())
    ):
        raise Complaint("write_hw_platform: -include_bit, and no bitstream was written")
    write_file(model, path)
    return str(model.cwd / path)


@does("current_design")
def current_design(model: Model, call: Call) -> list[Thing]:
    """What is in memory."""
    return [Thing("design", "design_1", {"PART": opened(model).part.name, "TOP": model.state.get("top", "")})]


@does("close_design")
def close_design(model: Model, call: Call) -> str:
    """Out of memory."""
    model.step = ""
    return ""


@does("report_utilization", "report_timing_summary", "report_timing", "report_power")
def report(model: Model, call: Call) -> str:
    """To a file; some options need others."""
    for option, other in call.command.extra.get("with", {}).items():
        if call.has(option) and not call.has(other):
            raise Complaint(f"{call.command.name}: {option} needs {other}")
    for name in call.command.extra.get("writes", ()):
        if call.has(name):
            write_file(model, call.get(name))
    return "report" if "-return_string" in call.flags else ""


# --- the netlist, of which the model knows nothing --------------------------------------------------------------------


@does("get_cells", "get_nets", "get_pins", "get_ports", "get_pblocks")
def get_netlist(model: Model, call: Call) -> list[Thing]:
    """Any pattern is taken for one object that is there; a filter is only read."""
    kind = call.command.name.removeprefix("get_").removesuffix("s")
    if call.has("-filter"):
        Filter(call.get("-filter"))
    patterns = [p for w in call.several.get("patterns", ()) for p in words.split(w)] or ["*"]
    return [Thing(kind, re.sub(r"[*?]+", "any", p)) for p in patterns]


@does("get_clocks", "all_clocks")
def get_clocks(model: Model, call: Call) -> list[Thing]:
    """Those that the processing system makes, by the names that its constraints give them (PG082, PG201)."""
    designs = list(model.state.get("designs", {}).values())
    zynq = any(c.core.vlnv.endswith("processing_system7") for d in designs for c in d.cells.values())
    pattern = r"/FCLK_CLK(\d)$" if zynq else r"/pl_clk(\d)$"
    numbers = [m.group(1) for d in designs for net in d.nets.values() for e in net if (m := re.search(pattern, e))]
    found = [
        Thing("clock", f"{'clk_fpga_' if zynq else 'clk_pl_'}{n}", {"PERIOD": "5.000"}) for n in sorted(set(numbers))
    ]
    return model.look_up(call, found, "clock")


@does("create_clock")
def create_clock(model: Model, call: Call) -> list[Thing]:
    """A clock at an object, or a virtual one."""
    return [Thing("clock", call.get("-name", "clk"), {"PERIOD": call.get("-period")})]


@does("get_timing_paths")
def get_timing_paths(model: Model, call: Call) -> list[Thing]:
    """As many as are asked for."""
    count = int(call.get("-max_paths", "1"))
    values = {**GUESSES, **{k: v for k, v in model.answers.items() if k in GUESSES}}
    return [Thing("timing_path", f"path_{i}", dict(values)) for i in range(min(count, 4))]
