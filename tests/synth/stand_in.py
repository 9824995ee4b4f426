# SPDX-License-Identifier: Apache-2.0
"""Programs that stand in for Vivado, and for ssh: they print what the real ones print, write reports, and end as told.

They show nothing of the real ones; what Vivado's lines and reports look like is from its manuals.

Variables: STAND_IN is how it ends (see `ENDS`); STAND_IN_FMAX the fastest clock of any routing in MHz; STAND_IN_PIDS a
file that gets the numbers of its processes; STAND_IN_HOME the home of the machine that the stand-in for ssh reaches.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
SAMPLE = HERE / "vivado" / "2019_2.txt"
VERSION = "2022.2"
PHASES = (
    "project", "block design", "products of the block design", "synthesis", "optimisation", "placement",
    "physical optimisation", "routing", "physical optimisation after routing", "reports", "bitstream",
)  # fmt: skip
# By how it ends: in which part of the run, what it prints then, and its exit status (negative: the signal it dies of).
ENDS: Mapping[str, tuple[str, str, int]] = {
    "licence": ("synthesis", "ERROR: [Common 17-345] A valid license was not found for feature 'Synthesis' and/or "
                "device 'xc7z020'. Please run the Vivado License Manager for assistance in determining\n"
                "which features and devices are licensed for your system.", 1),
    "memory": ("placement", "terminate called after throwing an instance of 'std::bad_alloc'\n  what(): std::bad_alloc",
               -signal.SIGABRT),
    "crash": ("routing", "Abnormal program termination (11)\nPlease check '/home/me/hs_err_pid4711.log' for details",
              -signal.SIGSEGV),
    "silent crash": ("routing", "Phase 4 Rip-up And Reroute", -signal.SIGSEGV),
    "disk": ("reports", "ERROR: [Common 17-1293] The path '/home/me/work/x.dcp' could not be written: "
             "No space left on device", 1),
    "killed": ("placement", "Phase 2.1 Floorplanning", -signal.SIGKILL),
    "part": ("project", "ERROR: [Coretcl 2-106] Specified part could not be found.", 1),
}  # fmt: skip


def main(program: str, arguments: list[str]) -> int:
    """Be one of the programs."""
    if program == "ssh":
        return ssh(arguments)
    if arguments == ["-version"]:
        print(f"Vivado v{os.environ.get('STAND_IN_VERSION', VERSION)} (64-bit)\nSW Build 3671981 on Fri Oct 14 2022")
        return 0
    return vivado(arguments)


# --- Vivado -----------------------------------------------------------------------------------------------------------


def vivado(arguments: list[str]) -> int:
    """Run `build.tcl` of the folder as far as `STAND_IN` lets it."""
    script = Path(arguments[arguments.index("-source") + 1]).read_text()
    said = dict(re.findall(r"^set (\w+) \{(.*)\}$", script, re.MULTILINE))
    mhz = float(re.search(r"PCW_FPGA0_PERIPHERAL_FREQMHZ \{(.*?)\}", script)[1])  # type: ignore[index]
    note_processes()
    end = os.environ.get("STAND_IN", "ok")
    say(f"\n****** Vivado v{VERSION} (64-bit)\n  **** SW Build 3671981 on Fri Oct 14 04:59:54 MDT 2022\n")
    for name in ("work", "reports", "out"):
        shutil.rmtree(name, ignore_errors=True)
    for number, phase in enumerate(PHASES, 1):
        say(f"gatewright: phase {number} of {len(PHASES)}: {phase}")
        Path("work").mkdir(exist_ok=True)
        (Path("work") / "half.dcp").write_text(phase)
        if end in ENDS and ENDS[end][0] == phase:
            return die(*ENDS[end][1:])
        if end == "hang" and phase == "placement":
            time.sleep(1000)
        if phase == "reports":
            met = write_reports(said, mhz, end)
            if not met:
                say("gatewright: timing failed: slack -1.000 ns (setup), 0.021 ns (hold)")
                if "measured" in arguments and end != "timing, status 1":
                    say("gatewright: done")
                    return 0
                return die("gatewright: failed: timing failed, and no bitstream was asked for regardless", 1)
    write_bitstream(said, mhz)
    say("gatewright: done")
    return 0


def say(text: str) -> None:
    print(text, flush=True)


def die(text: str, status: int) -> int:
    say(text)
    if status < 0:
        os.kill(os.getpid(), -status)
    error = next((line for line in text.splitlines() if line.startswith("ERROR")), "")
    say('\n    while executing\n"synth_design -top system_wrapper"')
    say(f"gatewright: failed: {error}")
    return status


def note_processes() -> None:
    """Start a child, as Vivado starts parallel synthesis, and say who both are."""
    if file := os.environ.get("STAND_IN_PIDS"):
        child = subprocess.Popen(["sleep", "1000"])
        with Path(file).open("a") as pids:
            pids.write(f"{os.getpid()}\n{child.pid}\n")


def write_reports(said: Mapping[str, str], mhz: float, end: str) -> bool:
    """Reports of the project; whether timing was met."""
    kernel = said["kernel"].split(":")[2]
    rtl = (Path("..") / "rtl" / f"{kernel.removesuffix('_kernel')}.sv").read_text()
    unit = next(name for name in re.findall(r" i_(\w+) \($", rtl, re.MULTILINE) if "fifo" not in name)
    period, limit = 1000 / mhz, float(os.environ.get("STAND_IN_FMAX", "150"))
    # Tools stop improving what is good enough, and get worse where too much is asked.
    fmax = min(limit, mhz * 1.04) if mhz <= limit else limit * 0.97
    slack = period - 1000 / fmax
    parts = re.split(
        r"^=== (\w+)\.rpt ===\n", SAMPLE.read_text().replace("v.2019.2", f"v.{VERSION}"), flags=re.MULTILINE
    )
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name, text in texts.items():
        text = text.replace("net_kernel", kernel)
        texts[name] = re.sub(r"\bi_(quant_3|add_1)\b", f"i_{unit}", text)
    texts["timing"] = timing(texts["timing"], period, slack)
    Path("reports").mkdir()
    for name, text in texts.items():
        if not (end == "report missing" and name == "timing"):
            cut = text[: len(text) // 2] if end == "report cut" and name == "utilization" else text
            (Path("reports") / f"{name}.rpt").write_text(cut)
    return slack >= 0


def timing(text: str, period: float, slack: float) -> str:
    """The sample's summary and path with other numbers."""
    row = re.search(r"^ +WNS\(ns\).*\n.*\n(.*)\n", text, re.MULTILINE)[1]  # type: ignore[index]
    was, hold = row.split()[0], row.split()[4]
    text = text.replace(row, row.replace(was, f"{slack:.3f}", 1).replace(f" {hold} ", " 0.021 ", 1))
    state = "MET" if slack >= 0 else "VIOLATED"
    path = rf"Slack \(\w+\) :( +){re.escape(was)}ns"
    text = re.sub(path, lambda m: f"Slack ({state}) :{m[1]}{slack:.3f}ns", text)
    text = text.replace("10.000ns", f"{period:.3f}ns")
    return re.sub(
        r"(\{0\.000 )5\.000(\} +)10\.000( +)100\.000",
        lambda m: f"{m[1]}{period / 2:.3f}{m[2]}{period:.6f}{m[3]}{1000 / period:.3f}", text,
    )  # fmt: skip


def bit(text: str) -> bytes:
    """A file in the format of .bit whose data is a text again and again."""
    data = (text.encode() * 8000)[:120_000]
    fields = [(b"a", f"system_wrapper;UserID=0XFFFFFFFF;Version={VERSION}\0".encode()), (b"b", b"7z020clg400\0"),
              (b"c", b"2026/11/23\0"), (b"d", b"10:11:12\0")]  # fmt: skip
    head = struct.pack(">H", 9) + bytes.fromhex("0ff00ff00ff00ff000") + struct.pack(">H", 1)
    head += b"".join(name + struct.pack(">H", len(text)) + text for name, text in fields)
    return head + b"e" + struct.pack(">I", len(data)) + data


def write_bitstream(said: Mapping[str, str], mhz: float) -> None:
    """A bitstream, and a handoff as Gatewright writes it for its virtual board."""
    from gatewright.board import hwh
    from gatewright.boards import load_board
    from gatewright.runtime.kernel_map import KernelMap

    board = load_board("pynq-z2")
    handoff = hwh.emit(KernelMap.load("../kernel/kernel.json"), board, board.control_base, mhz)
    Path("out").mkdir()
    (Path("out") / f"{said['stem']}.hwh").write_text(handoff)
    (Path("out") / f"{said['stem']}.bit").write_bytes(bit(f"{said['stem']} {mhz}"))


# --- ssh --------------------------------------------------------------------------------------------------------------


def ssh(arguments: list[str]) -> int:
    """Run the line of shell here, in the home of the other machine; the connection ends as told.

    STAND_IN_SSH: "WORD" or "WORD after N": end with 255 where the line has WORD in it, having passed N lines on.
    """
    host, script = arguments[arguments.index("--") + 1 :]
    home, drop = Path(os.environ["STAND_IN_HOME"]), os.environ.get("STAND_IN_SSH", "")
    word, _, after = drop.partition(" after ")
    environment = {**os.environ, "HOME": str(home)}
    if not word or word not in script:
        return subprocess.run(["sh", "-c", script], cwd=home, env=environment, check=False).returncode
    if not after:
        print(f"ssh: connect to host {host} port 22: Connection refused", file=sys.stderr)
        return 255
    with subprocess.Popen(["sh", "-c", script], cwd=home, env=environment, stdout=subprocess.PIPE) as process:
        for _ in range(int(after)):
            sys.stdout.buffer.write(process.stdout.readline())  # type: ignore[union-attr]
        sys.stdout.buffer.flush()
        process.kill()
    print(f"Connection to {host} closed by remote host.", file=sys.stderr)
    return 255


def install(folder: Path, program: str) -> None:
    """Put a stand-in into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / program).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" {program} "$@"\n')
    (folder / program).chmod(0o755)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
