# SPDX-License-Identifier: Apache-2.0
"""The design as gates: what synthesis made computes what golden does, cycle for cycle, in Verilator and in CXXRTL."""

from __future__ import annotations

from dataclasses import replace

from gatewright.boards import load_board
from gatewright.build import Build
from gatewright.design.plan import PREDICTED_FRAMES
from gatewright.design.resources import add_up, instance_resources
from gatewright.errors import ConfigError
from gatewright.progress import Progress
from gatewright.sim.netlist import SIMULATORS
from gatewright.sim.rtl import group_of, stream
from gatewright.synth.cell_models import cell_models
from gatewright.synth.netlist import GateDesign, gate_design, gate_parts
from gatewright.synth.plan import plan
from gatewright.verify.check import Case, StageResult, timed

AFFORDABLE_LUTS = 2_000
"""Predicted LUTs up to which gates are simulated unasked: about a minute or two of synthesis the first time."""

FILE = "synth/netlist.v"
"""Where the last netlist that was simulated lies in its build folder."""


def netlist_stage(case: Case, name: str, simulator: str) -> StageResult:
    """Synthesise, compile, run a few frames and compare.

    Args:
        name: of the stage.
        simulator: from `SIMULATORS`.

    Raises:
        GatewrightError: a tool is missing or fails, or the netlist stalls or breaks the protocol.
    """
    build = case.build
    build.emitted("rtl")  # before anything is said of its size
    if reason := _too_large(case, name):
        return StageResult(name, "not_run", reason)
    gates = synthesised(build, case.progress)
    _write(build, gates)
    case = case.first(case.requested or PREDICTED_FRAMES)
    case.progress("compiling the netlist")
    cells = cell_models(gates.cells, simulator, gates.family)
    model = SIMULATORS[simulator](gates.text, cells, gates.name, group_of(build.structure))
    run = stream(build.structure, model, case.integers, None, "running the netlist", case.progress)
    parts = tuple(part.to_json() for part in gates.parts)
    return replace(timed(case, name, run), parts=parts, note=_note(gates))


def _too_large(case: Case, name: str) -> str:
    """Why a stage is not run unasked."""
    if case.asked:
        return ""
    family = load_board(case.build.summary()["board"]).family
    luts = add_up(instance_resources(case.build.design_graph, case.build.structure, family).values(), family)["LUT"]
    if luts <= AFFORDABLE_LUTS:
        return ""
    return (
        f"a design of {luts:,.0f} predicted LUTs takes long to synthesise and to compile as gates; unasked it is done "
        f"up to {AFFORDABLE_LUTS:,}: gatewright check {case.build.directory} --stages {name} does it"
    )


def synthesised(build: Build, progress: Progress) -> GateDesign:
    """The netlists of a build's parts for its board's family.

    Raises:
        ConfigError: the RTL was changed since it was compiled.
        ToolError: pyosys is missing, or a part cannot be synthesised.
    """
    if changed := [name for name in build.changed() if name.startswith("rtl/")]:
        raise ConfigError(f"{build.directory / changed[0]} was changed since it was compiled: compile the model again")
    family = load_board(build.summary()["board"]).family
    parts = gate_parts(plan(build.structure, build.rtl / "kernels"), family, progress=progress)
    return gate_design(build.structure, parts)


def _write(build: Build, gates: GateDesign) -> None:
    """Leave the netlist in the build folder.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path = build.directory / FILE
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(gates.text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error})") from error


def _note(gates: GateDesign) -> str:
    """What of a design was not the vendor's cells by Yosys' models, in one sentence."""
    own = [p.part.name for p in gates.parts if p.modelled]
    soft = [p.part.name for p in gates.parts if p.part.soft]
    said = [f"all {len(gates.parts)} parts as gates"]
    if own:
        said.append(f"block RAM by a model of Gatewright's own in {', '.join(own)}")
    if soft:
        said.append(f"products in LUTs, where the board uses DSP slices, in {', '.join(soft)}")
    if unblocked := [p.part.name for p in gates.parts if p.part.unblocked]:
        said.append(f"memories in LUTs, where the board uses block RAM, in {', '.join(unblocked)}")
    return "; ".join(said)
