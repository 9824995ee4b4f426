# SPDX-License-Identifier: Apache-2.0
"""Runs of a project: launched, waited for, opened (UG835, UG904 "Running Implementation in Project Mode")."""

from __future__ import annotations

from pathlib import Path

from gatewright.synth.tcl_model import words
from gatewright.synth.tcl_model.arguments import Call, Complaint
from gatewright.synth.tcl_model.model import Model, does, write_file
from gatewright.synth.tcl_model.objects import Thing
from gatewright.synth.tcl_model.project import RUN_STEPS, check_top, opened


@does("get_runs")
def get_runs(model: Model, call: Call) -> list[Thing]:
    """By name."""
    return model.look_up(call, list(opened(model).runs.values()), "run")


@does("current_run")
def current_run(model: Model, call: Call) -> list[Thing]:
    """Implementation, unless synthesis is asked for."""
    return [opened(model).runs["synth_1" if "-synthesis" in call.flags else "impl_1"]]


@does("launch_runs")
def launch_runs(model: Model, call: Call) -> str:
    """To the end, or to a step; implementation runs synthesis first."""
    project = opened(model)
    top = project.sets["sources_1"].values["TOP"] or model.state.get("wrapper", "")
    if not top:
        raise Complaint("launch_runs: there is no top level: make a wrapper, add it, and set the property top")
    check_top(model, top)
    project.sets["sources_1"].values["TOP"] = top
    for run in model.objects("run", " ".join(call.several["runs"])):
        steps = RUN_STEPS.get(run.name, ())
        step = call.get("-to_step", steps[-1] if run.name == "synth_1" else "route_design")
        if step not in steps:
            raise Complaint(f"launch_runs: {step!r} is no step of {run.name}{words.meant(step, steps)}")
        for name in ("synth_1", "impl_1") if run.name == "impl_1" else (run.name,):
            project.runs[name].values["started"] = step if name == run.name else RUN_STEPS[name][-1]
        folder = Path(run.values["DIRECTORY"])
        folder.mkdir(parents=True, exist_ok=True)
        if step == "write_bitstream":
            write_file(model, str(folder / f"{top}.bit"))
    return ""


@does("wait_on_run", "wait_on_runs")
def wait_on_run(model: Model, call: Call) -> str:
    """A run that was launched is done then."""
    for run in model.objects("run", " ".join(call.several.get("runs", ())) or call.get("run")):
        if "started" not in run.values:
            raise Complaint(f"{call.command.name}: {run.name} was never launched")
        for thing in opened(model).runs.values():
            if "started" in thing.values:
                thing.values |= {"PROGRESS": "100%", "STATUS": f"{thing.values['started']} Complete!"}
    return ""


@does("reset_run")
def reset_run(model: Model, call: Call) -> str:
    """As it began."""
    for run in model.objects("run", call.get("run")):
        run.values.pop("started", None)
        run.values |= {"PROGRESS": "0%", "STATUS": "Not started"}
    return ""


@does("open_run")
def open_run(model: Model, call: Call) -> str:
    """The design that a run left."""
    run = model.objects("run", call.get("run"))[0]
    if run.values["PROGRESS"] != "100%":
        raise Complaint(f"open_run: {run.name} is not done: launch_runs and wait_on_run come first")
    reached = run.values["started"]
    model.step = {"synth_design": "synthesised", "opt_design": "optimised", "place_design": "placed"}.get(
        reached, "routed"
    )
    return run.name
