# SPDX-License-Identifier: Apache-2.0
"""Place and route of single parts for Lattice ECP5: the clock that each could run at, and the path that limits it.

A part is placed by itself on an otherwise empty chip, with what stands around it in a design: a FIFO of two words
(`rtl/lib/fifo.sv`) on each of its streams, and a register on every other port. Only paths between registers count, so
the paths through the part's ports do, and nothing that would be a pin of the chip does. The reset is a pin. Results are
kept by content; one seed, so that the same RTL gives the same figures.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gatewright.errors import ToolError
from gatewright.ir.op import package_root
from gatewright.process import run
from gatewright.sim.cache import cache_folder, digest
from gatewright.sim.tools import find_tool
from gatewright.synth.plan import Part, needed
from gatewright.synth.yosys import SECONDS, read_script, script

DEVICE = ("--85k", "--package", "CABGA381", "--speed", "6")
"""The chip of the ULX3S 85F: LFE5U-85F-6BG381C."""
TARGET_MHZ = 200
"""What the placer aims at: more than any part is asked for, so that it tries."""
SEED = 1
TOP = "gatewright_placed"
"""The name of what is placed; the part in it is called `part`."""

_CHILD = "import sys; from pyosys import libyosys as y; y.run_pass('script ' + sys.argv[1], y.Design())"
_FIFO = "fifo"
_WIRES = ("tdata", "tvalid", "tready")
_DRIVEN = r"(_(TRELLIS|LUT4|PFUMX|L6MUX21|CCU2C|MULT18X18D|ALU54B|DP16KD)_?.*|\$.*)$"


@dataclass(frozen=True)
class Placed:
    """A part, placed and routed.

    Attributes:
        mhz: the highest clock (Fmax) of the longest path between two registers.
        start, end: where that path begins and ends: signals of the RTL, by instance.
        place: file and line where the last signal is declared or assigned; "" where Yosys kept none.
        logic_ns, routing_ns: what of the path is cells, set-up and clock-to-output included, and what is wires.
        cells: the cells that it goes through, in order, by type of step: LUTs, carry chains, memories, multipliers.
    """

    mhz: float
    start: str
    end: str
    place: str
    logic_ns: float
    routing_ns: float
    cells: int


@dataclass(frozen=True)
class Port:
    """A port of a module; `width` in bits."""

    name: str
    width: int
    output: bool


def place(part: Part, *, seconds: float = SECONDS) -> Placed:
    """Place and route a part, or read what was found of it before.

    Args:
        seconds: time limit of each of three programs.

    Raises:
        MissingToolError: pyosys or nextpnr-ecp5 is missing.
        ToolError: one of them fails; says which, on what part and why.
    """
    versions = find_tool("pyosys").version, find_tool("nextpnr-ecp5").version
    fifo = _fifo_sources()
    state = digest(part.digest, script(part, "ecp5"), [p.read_text() for p in fifo], versions, command(Path("nextpnr")))
    path = cache_folder() / "placed" / f"{digest(state, Path(__file__).read_text())}.json"
    if (found := _load(path)) is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="gatewright-place-") as name:
        found = _place(part, fifo, Path(name), seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found)))
    return found


def command(program: Path) -> list[str]:
    """What places the netlist `netlist.json` of a folder and writes `report.json`."""
    return [
        str(program), *DEVICE, "--out-of-context", "--timing-allow-fail", "--freq", str(TARGET_MHZ), "--seed",
        str(SEED), "--json", "netlist.json", "--report", "report.json",
    ]  # fmt: skip


def _place(part: Part, fifo: Sequence[Path], folder: Path, seconds: float) -> Placed:
    for source in {*part.sources, *fifo}:
        (folder / source.name).write_text(source.read_text())
    for file, text in part.memories.items():
        (folder / file).write_text(text)
    _yosys(part, folder, f"{read_script(part)}tee -q -o ports.txt portlist {part.module}\n", seconds)
    ports = read_ports((folder / "ports.txt").read_text())
    top = folder / f"{TOP}.sv"
    top.write_text(surround(part, ports))
    sources = tuple(sorted({*part.sources, *fifo, top}))
    whole = replace(part, module=TOP, parameters={}, sources=sources, soft=not part.dsp)
    _yosys(part, folder, script(whole, "ecp5"), seconds)
    _execute(part, "nextpnr", command(find_tool("nextpnr-ecp5").path), folder, seconds)
    netlist = json.loads((folder / "netlist.json").read_text())["modules"][TOP]["netnames"]
    return read_report(json.loads((folder / "report.json").read_text()), netlist)


def _fifo_sources() -> tuple[Path, ...]:
    return needed(_FIFO, {p.stem: p for p in sorted((package_root() / "rtl" / "lib").glob("*.sv"))})


def _yosys(part: Part, folder: Path, commands: str, seconds: float) -> None:
    (folder / "run.ys").write_text(commands)
    _execute(part, "Yosys", [sys.executable, "-c", _CHILD, "run.ys"], folder, seconds)


def _execute(part: Part, tool: str, command: Sequence[str], folder: Path, seconds: float) -> None:
    """Run a program to its end.

    Raises:
        ToolError: it fails, or takes too long.
    """
    try:
        status, lines = run(command, folder, seconds=seconds)
    except TimeoutError:
        raise ToolError(
            f"{part.name} ({part.module}): {tool} took more than {seconds:g} s: allow more time, or fold the unit more"
        ) from None
    if status:
        errors = [line for line in lines if "ERROR" in line] or lines[-1:] or ["it printed nothing"]
        raise ToolError(f"{part.name} ({part.module}): {tool} fails with status {status}: {errors[-1]}")


# --- what stands around a part ----------------------------------------------------------------------------------------


def read_ports(text: str) -> list[Port]:
    """The ports of a module, from what Yosys' `portlist` prints: `  input [7:0] name`."""
    found = re.findall(r"^\s*(input|output) (?:\[(-?\d+):(-?\d+)\] )?(\S+?),?$", text, re.MULTILINE)
    return [Port(name, abs(int(hi or 0) - int(lo or 0)) + 1, way == "output") for way, hi, lo, name in found]


def surround(part: Part, ports: Sequence[Port]) -> str:
    """A module with the part, a FIFO on each of its streams and a register on every other port."""
    by_name = {p.name: p for p in ports}
    streams = [p.name.removesuffix("_tvalid") for p in ports if p.name.endswith("_tvalid") and _is_stream(p, by_name)]
    outside = ["input wire clk", "input wire rst_n"]
    body: list[str] = []
    taken = {"clk", "rst_n"}
    for prefix in streams:
        names = [f"{prefix}_{k}" for k in ("tdata", "tlast", "tvalid", "tready") if f"{prefix}_{k}" in by_name]
        taken |= set(names)
        _add_fifo(prefix, [by_name[n] for n in names[:-2]], by_name[f"{prefix}_tvalid"].output, outside, body)
    for port in ports:
        if port.name not in taken:
            _add_register(port, outside, body)
    values = ", ".join(f".{k}({_value(v)})" for k, v in sorted(part.parameters.items()))
    pins = ", ".join(f".{p.name}({p.name if p.name in ('clk', 'rst_n') else f'i_{p.name}'})" for p in ports)
    body.append(f"  {part.module}{f' #({values})' if values else ''} part ({pins});")
    return f"module {TOP} (\n  " + ",\n  ".join(outside) + "\n);\n" + "\n".join(body) + "\nendmodule\n"


def _is_stream(valid: Port, by_name: Mapping[str, Port]) -> bool:
    """Whether tvalid is that of a stream of one reader, with data."""
    ready, data = (by_name.get(valid.name.replace("_tvalid", k)) for k in ("_tready", "_tdata"))
    return (
        ready is not None and data is not None and valid.width == ready.width == 1
        and data.output == valid.output != ready.output
    )  # fmt: skip


def _add_fifo(prefix: str, data: Sequence[Port], output: bool, outside: list[str], body: list[str]) -> None:
    """Of a stream that the part gives (output) or takes; the other side of the FIFO is outside."""
    width = sum(p.width for p in data)
    way, back = ("output", "input") if output else ("input", "output")
    outside += [
        f"{way} wire [{width - 1}:0] {prefix}_word",
        f"{way} wire {prefix}_valid",
        f"{back} wire {prefix}_ready",
    ]
    inner = "{" + ", ".join(f"i_{p.name}" for p in data) + "}"
    inside = (inner, f"i_{prefix}_tvalid", f"i_{prefix}_tready")
    beyond = (f"{prefix}_word", f"{prefix}_valid", f"{prefix}_ready")
    sides = {"s": inside if output else beyond, "m": beyond if output else inside}
    pins = [f".{s}_{k}({net})" for s, nets in sides.items() for k, net in zip(_WIRES, nets, strict=True)]
    body += [f"  wire [{p.width - 1}:0] i_{p.name};" for p in data]
    body.append(f"  wire i_{prefix}_tvalid, i_{prefix}_tready;")
    body.append(f"  {_FIFO} #(.WIDTH({width}), .DEPTH(2)) {prefix}_fifo (.clk(clk), .rst_n(rst_n), {', '.join(pins)});")


def _add_register(port: Port, outside: list[str], body: list[str]) -> None:
    kept, given = (port.name, f"i_{port.name}") if port.output else (f"i_{port.name}", port.name)
    outside.append(f"{'output reg' if port.output else 'input wire'} [{port.width - 1}:0] {port.name}")
    body.append(f"  {'wire' if port.output else 'reg'} [{port.width - 1}:0] i_{port.name};")
    body.append(f"  always @(posedge clk) {kept} <= {given};")


def _value(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


# --- what nextpnr reports ---------------------------------------------------------------------------------------------


def read_report(report: Mapping[str, Any], netnames: Mapping[str, Any]) -> Placed:
    """The clock and the longest path of nextpnr's report (`--report`, JSON).

    Args:
        netnames: of Yosys' netlist, whose attribute `src` says where in the RTL a signal is.

    Raises:
        ToolError: it has no path between two registers.
    """
    paths = [p for p in report["critical_paths"] if p["from"] == p["to"] and p["from"].startswith("posedge")]
    if not paths or not report["fmax"]:
        raise ToolError("nextpnr reports no path between two registers: there is nothing to time")
    clock = min(report["fmax"].values(), key=lambda c: float(c["achieved"]))
    path = max(paths, key=lambda p: sum(float(s["delay"]) for s in p["path"]))["path"]
    routing = sum(float(s["delay"]) for s in path if s["type"] == "routing")
    end = _signal(path[-1]["to"]["cell"])
    return Placed(
        float(clock["achieved"]),
        _signal(path[0]["from"]["cell"]),
        end,
        _source(end, netnames),
        sum(float(s["delay"]) for s in path) - routing,
        routing,
        sum(s["type"] == "logic" for s in path),
    )


def _signal(cell: str) -> str:
    """The signal that a cell drives, from its name: Yosys appends types and ports of cells to it, nextpnr its own."""
    return re.sub(_DRIVEN, "", cell).removeprefix("part.")


def _source(signal: str, netnames: Mapping[str, Any]) -> str:
    """File and line of a signal; "" where Yosys kept none. It writes `file:line.column-line.column|...`."""
    for name in (f"part.{signal}", signal):
        if found := re.match(r"([^|]+?:\d+)", str(netnames.get(name, {}).get("attributes", {}).get("src", ""))):
            return found.group(1)
    return ""


def _load(path: Path) -> Placed | None:
    """What is kept, or None where it is missing or damaged."""
    try:
        return Placed(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
