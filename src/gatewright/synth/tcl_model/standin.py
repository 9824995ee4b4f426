# SPDX-License-Identifier: Apache-2.0
"""A vendor's program for `shell`: `python -m gatewright.synth.tcl_model.standin PROGRAM WORD...` judges its words."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gatewright.sim.tools import find_tool
from gatewright.synth.tcl_model import interpreter, runner, table, vitis
from gatewright.synth.tcl_model.arguments import Call, Complaint, bind, check_values
from gatewright.synth.tcl_model.model import Finding
from gatewright.synth.tcl_model.project import opened
from gatewright.synth.tcl_model.runner import ToolName

VARIABLE = "GATEWRIGHT_STAND_IN"
"""JSON: where to write calls, which release to be, and which programs fail."""


def main() -> int:
    """Judge a call, do what it would leave, and write down both."""
    told = json.loads(os.environ[VARIABLE])
    program, words = sys.argv[1], sys.argv[2:]
    cwd = Path.cwd()
    try:
        findings, status = judge(program, words, cwd, (told["release"][0], told["release"][1]))
    except Complaint as complaint:
        findings, status = [Finding("", 0, str(complaint), table.commands("programs")[program].guide)], 1
    if program in told["fails"]:
        status = 1
    record = {"words": [program, *words], "cwd": str(cwd), "environment": dict(os.environ),
              "findings": [asdict(f) for f in findings]}  # fmt: skip
    with Path(told["log"]).open("a") as log:
        log.write(json.dumps(record) + "\n")
    for finding in findings:
        print(finding, file=sys.stderr)
    return status or int(bool(findings))


def judge(program: str, words: Sequence[str], cwd: Path, release: tuple[int, int]) -> tuple[list[Finding], int]:
    """What is wrong with a call and with what it reads, and its status.

    Raises:
        Complaint: of the call itself.
    """
    command = table.commands("programs")[program]
    words, arguments = _split(list(words))
    call = bind(command, words)
    check_values(call, cwd, lambda kinds, text: ())
    if program == "v++":
        return _vpp(call, cwd, release)
    if program == "vivado":
        return _tcl("vivado", call.several.get("-source", ()), arguments, cwd, release)
    if program == "vitis_hls":
        return _tcl("vitis_hls", [call.get("-f")] if call.has("-f") else [], arguments, cwd, release)
    if program == "vitis-run" and call.has("--tcl"):
        return _tcl("vitis_hls", [call.get("--tcl")], arguments, cwd, release)
    if program == "vitis-run" and call.has("--config"):
        path = cwd / call.get("--config")
        return vitis.check_config(path, vitis.Link(cwd), str(path)), 0
    return [], 0


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The words of a program, and those that it hands to its script."""
    if "-tclargs" not in words:
        return words, []
    at = words.index("-tclargs")
    return words[:at], words[at + 1 :]


def _tcl(
    tool: ToolName, scripts: Sequence[str], arguments: Sequence[str], cwd: Path, release: tuple[int, int]
) -> tuple[list[Finding], int]:
    model = runner.make_model(tool, release, None, cwd)
    status = 0
    for script in scripts:
        status = status or interpreter.run(model, find_tool("tclsh"), cwd / script, cwd, arguments, {})
    print(*model.said, sep="\n")
    return model.findings, status


def _vpp(call: Call, cwd: Path, release: tuple[int, int]) -> tuple[list[Finding], int]:
    """What a link leaves; scripts that it would run behind a step are run on a design that has come so far."""
    found, _ = vitis.check_call(call, cwd)
    if not {"-l", "--link"} & call.flags:
        return found, 0
    general = [e for name in call.several.get("--config", ()) for e in vitis.entries((cwd / name).read_text())]
    settings = {e.key: e.value for e in general if isinstance(e, vitis.Entry)}
    work = cwd / settings.get("temp_dir", call.get("--temp_dir", "_x"))
    run = work / "link" / "vivado" / "vpl" / "prj" / "prj.runs" / "impl_1"
    reports = cwd / settings.get("report_dir", str(work / "reports")) / "link" / "imp"
    for folder in (run, reports):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("timing_summary_routed", "full_util_routed", "kernel_util_routed"):
        (reports / f"impl_1_hw_bb_locked_{name}.rpt").write_text("written by the model of the tool\n")
    for prop in call.several.get("--vivado.prop", ()):
        if ".TCL." in prop:
            model = runner.make_model("vivado", release, None, run)
            opened(model)
            model.step = "routed"
            interpreter.run(model, find_tool("tclsh"), cwd / prop.partition("=")[2], run, (), {})
            found += model.findings
    output = cwd / (call.get("-o") or call.get("--output") or "a.xclbin")
    if not found:
        for path in (output, output.with_name(output.name + ".info")):
            path.write_text("written by the model of the tool\n")
    return found, 0


if __name__ == "__main__":
    sys.exit(main())
