# SPDX-License-Identifier: Apache-2.0
"""Synthesis with Yosys for the 7 series, UltraScale+ and ECP5, each part in a process of its own, kept by content.

Beside the counts of a part its netlist is kept as Verilog, a module of a name of its own: what is simulated is what was
counted.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from gatewright.boards import Family
from gatewright.errors import ToolError
from gatewright.process import Running
from gatewright.progress import Progress, silent
from gatewright.sim.cache import cache_folder, digest
from gatewright.sim.tools import find_tool
from gatewright.synth.cells import count, levels
from gatewright.synth.plan import Part

SECONDS = 900.0
"""Time limit of one part unless another is given."""

SHARED_WORDS = 8
"""ROMs of so few words have columns that are constant, or equal: what reads them gets simpler when mapped with them."""

LEAST_MEMORY = 4 << 30
"""Bytes that every process may take, however many run."""

_CHILD = """
import resource, sys
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
from pyosys import libyosys
libyosys.run_pass("script " + sys.argv[1], libyosys.Design())
"""


@dataclass(frozen=True)
class Netlist:
    """What came out of the synthesis of a part.

    Attributes:
        cells: how many there are of each type.
        levels: of logic between registers.
        family: of the cells.
    """

    cells: Mapping[str, int]
    levels: int
    family: Family = "xc7"

    @property
    def resources(self) -> dict[str, float]:
        """What the cells occupy, by the names of `cells.COUNTED`.

        Raises:
            ToolError: a cell of unknown size.
        """
        return count(self.cells, self.family)


COMMANDS: Mapping[Family, str] = {
    "xc7": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
    "xcup": "synth_xilinx -family xcup -flatten -noiopad -noclkbuf",
    "ecp5": "synth_ecp5 -abc9 -noiopad",
}
"""What synthesises a part; ABC9 maps in all of them."""


def script(part: Part, family: Family) -> str:
    """The Yosys commands for a part, run in a folder with its memory files; the netlist goes to netlist.json.

    Yosys takes no notice of the attribute use_dsp: a part that shall multiply in LUTs is synthesised without DSP
    slices. ROMs of more than `SHARED_WORDS` words are mapped by themselves and flattened afterwards: among other logic,
    with time to spare, ABC9 makes up to four LUTs a column of 64 words where one will do.
    """
    lines = read_script(part).splitlines()
    if part.unblocked:  # what a memory's own attribute asks for comes before -nobram
        lines += [f"setattr -unset {name} m:*" for name in ("ram_style", "rom_style")]
    synth = f"{COMMANDS[family]}{'' if part.dsp else ' -nodsp'}{' -nobram' if part.unblocked else ''}"
    if any(path.stem == "rom" for path in part.sources) and part.words > SHARED_WORDS:
        lines += ["setattr -mod -set keep_hierarchy 1 *rom*", synth, "setattr -mod -unset keep_hierarchy *", "flatten"]
    else:
        lines.append(synth)
    lines.append("write_json netlist.json")
    return "\n".join(lines) + "\n"


def read_script(part: Part) -> str:
    """The Yosys commands that read a part with its parameters."""
    values = " ".join(f"-set {name} {_literal(value)}" for name, value in sorted(part.parameters.items()))
    lines = [f"read_verilog -sv -defer {path.name}" for path in part.sources]
    if values:
        lines.append(f"chparam {values} {part.module}")
    return "\n".join([*lines, f"hierarchy -top {part.module}"]) + "\n"


def _literal(value: int | str) -> str:
    """As `chparam` reads it, which knows no minus sign."""
    if isinstance(value, str):
        return f'"{value}"'
    return str(value) if value >= 0 else f"32'sh{value & 0xFFFFFFFF:08x}"


def key(part: Part, family: Family) -> str:
    """Of a part's netlist in the cache: over sources, parameters, memories, commands, family and Yosys' version."""
    return digest(part.digest, script(part, family), family, find_tool("pyosys").version)


def netlist_module(part: Part, family: Family) -> str:
    """The name of a part's netlist as a Verilog module; parts that are the same hardware share it."""
    return f"{part.module}_{key(part, family)}"


def netlist_file(part: Part, family: Family) -> Path:
    """Where a part's netlist is kept as Verilog, once `synthesise` was asked for it."""
    return _store() / f"{key(part, family)}.v"


def synthesise(
    parts: Iterable[Part],
    family: Family,
    *,
    verilog: bool = False,
    jobs: int = 2,
    seconds: float = SECONDS,
    progress: Progress = silent,
) -> dict[str, Netlist]:
    """The netlists of parts by name; parts that are the same hardware are synthesised once, and kept.

    Args:
        verilog: whether every `netlist_file` must be there too, not the counts alone.
        jobs: processes at a time.
        seconds: time limit of each.

    Raises:
        MissingToolError: pyosys is missing.
        ToolError: Yosys rejects a part, breaks off or takes too long; says which part and what to do.
    """
    keys = {part.name: (key(part, family), part) for part in parts}
    distinct = dict(keys.values())
    store = _store()
    done: dict[str, Netlist] = {
        k: n
        for k in distinct
        if (n := _load(store / f"{k}.json", family)) is not None and (not verilog or _is_whole(store / f"{k}.v"))
    }
    progress("synthesis", len(done), len(distinct))
    pool, runner = ThreadPoolExecutor(jobs), _Runner(family, seconds, jobs)
    try:
        running = {pool.submit(runner.run, part): k for k, part in distinct.items() if k not in done}
        for future in as_completed(running):
            k = running[future]
            done[k], text = future.result()
            _save(store / f"{k}.v", text)
            _save(store / f"{k}.json", json.dumps({"cells": done[k].cells, "levels": done[k].levels}))
            progress("synthesis", len(done), len(distinct))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        runner.stop()
    return {name: done[k] for name, (k, _) in keys.items()}


class _Runner:
    """Runs Yosys processes, and can end all of them."""

    def __init__(self, family: Family, seconds: float, jobs: int) -> None:
        self.family, self.seconds = family, seconds
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self.memory = max(LEAST_MEMORY, memory // jobs)
        self._running: set[Running] = set()
        self._lock = Lock()

    def run(self, part: Part) -> tuple[Netlist, str]:
        """Synthesise one part: its counts, and its netlist as Verilog.

        Raises:
            ToolError: says what went wrong.
        """
        with tempfile.TemporaryDirectory(prefix="gatewright-synth-") as name:
            folder = Path(name)
            for path in part.sources:
                (folder / path.name).write_text(path.read_text())
            for file, text in part.memories.items():
                (folder / file).write_text(text)
            export = f"rename {part.module} {netlist_module(part, self.family)}\nwrite_verilog -noattr netlist.v\n"
            (folder / "part.ys").write_text(script(part, self.family) + export)
            log, status = self._execute(part, folder)
            netlist, verilog = folder / "netlist.json", folder / "netlist.v"
            if status or not netlist.is_file() or not verilog.is_file():
                raise ToolError(f"{part.name} ({part.module}): {_failure(log, status)}")
            return read_netlist(json.loads(netlist.read_text()), part.module, self.family), verilog.read_text()

    def _execute(self, part: Part, folder: Path) -> tuple[str, int]:
        """Output and exit status of Yosys."""
        command = [sys.executable, "-c", _CHILD, "part.ys", str(self.memory)]
        with Running(command, folder) as running:
            with self._lock:
                self._running.add(running)
            try:
                log = "\n".join(running.lines(self.seconds))
            except TimeoutError:
                raise ToolError(
                    f"{part.name} ({part.module}): not synthesised within {self.seconds:g} s: allow more time, "
                    "or fold the unit more, so that it becomes smaller"
                ) from None
            finally:
                with self._lock:
                    self._running.discard(running)
            return log, running.wait()

    def stop(self) -> None:
        """End all processes that still run."""
        with self._lock:
            for running in self._running:
                running.kill()


def _failure(log: str, status: int) -> str:
    """Why Yosys gave no netlist, in one line."""
    errors = re.findall(r"^.*ERROR:.*", log, re.MULTILINE)
    if errors:
        return f"Yosys rejects it: {errors[-1]}"
    if "bad_alloc" in log or "MemoryError" in log:
        return "Yosys ran out of memory: use fewer jobs, or fold the unit more, so that it becomes smaller"
    last = log.strip().splitlines()[-1:] or ["it printed nothing"]
    return f"Yosys broke off with status {status}: {last[0]}"


def read_netlist(netlist: Mapping[str, Any], module: str, family: Family = "xc7") -> Netlist:
    """Counts of what `write_json` wrote.

    Raises:
        ToolError: the logic is a loop.
    """
    top = netlist["modules"][module]
    cells: dict[str, int] = {}
    for cell in top["cells"].values():
        cells[cell["type"]] = cells.get(cell["type"], 0) + 1
    return Netlist(dict(sorted(cells.items())), levels(top), family)


def _load(path: Path, family: Family) -> Netlist | None:
    """An entry of the cache, or None where it is missing or damaged."""
    try:
        entry = json.loads(path.read_text())
        cells = {str(kind): int(number) for kind, number in entry["cells"].items()}
        return Netlist(cells, int(entry["levels"]), family)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_whole(path: Path) -> bool:
    """Whether a netlist of the cache is there and undamaged at its end."""
    try:
        return path.read_text().rstrip().endswith("endmodule")
    except (OSError, ValueError):
        return False


def _store() -> Path:
    return cache_folder() / "synth"


def _save(path: Path, text: str) -> None:
    """Written beside its place and moved there, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)
