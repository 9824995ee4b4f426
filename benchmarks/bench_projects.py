# SPDX-License-Identifier: Apache-2.0
"""A bitstream's project for every board and the networks demo, CNV W1A1 and ResNet-8: emitted twice, and judged.

A project's digest covers its scripts and all that they read; each network is compiled afresh, in another folder, for
the second one. Scripts for Vivado and Vitis run on the models of these tools; those for open tools have none. A design
that does not fit its board is refused, and the row has the figures.

    python benchmarks/bench_projects.py [BOARD]...
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from common import OUT, report, timed

import networks
from gatewright.boards import list_boards, load_board
from gatewright.build import compile_model
from gatewright.errors import DesignError
from gatewright.frontend.export import export
from gatewright.synth.bitstream import Plan, figures, plan
from gatewright.synth.tcl_model import judge
from gatewright.train.digits import train_digits
from gatewright.train.resnet8 import untrained

FOLDER = OUT / "projects"
RELEASES = ((2020, 2), (2023, 2))
ASKED: dict[str, dict[str, Any]] = {"demo": {}, "cnv-w1a1": {"fps": 3000}, "resnet-8": {"fps": 1000}}
"""Frames a second, as the other benchmarks ask for; the demo is the fastest that fits."""
TOO_FAST = {"resnet-8": {"fps": 10_000}}
"""Asked of every board of less than 60,000 LUTs, which must refuse it."""


def model(name: str) -> Path:
    """The network as QONNX, made once."""
    path = FOLDER / f"{name}.onnx"
    if path.exists():
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    if name == "cnv-w1a1":
        return networks.make(name, FOLDER)[0]
    if name == "demo":
        export(train_digits().quant_model, path, torch.zeros(1, 1, 8, 8))
    else:
        net, images = untrained()
        export(net, path, torch.from_numpy(images[:1]))
    return path


def project(name: str, board: str, asked: dict[str, Any], folder: Path) -> Plan:
    """What the bitstream of a network is made of, compiled into an empty folder.

    Raises:
        DesignError: it does not fit.
    """
    shutil.rmtree(folder, ignore_errors=True)
    build = compile_model(model(name), board, targets=["rtl", "kernel"], output=folder, **asked)
    return plan(build)


def row(name: str, board: str, asked: dict[str, Any]) -> dict[str, Any]:
    """A network on a board."""
    record = load_board(board)
    found: dict[str, Any] = {"board": board, "network": name, "flow": record.flow}
    try:
        (first, seconds) = timed(lambda: project(name, board, asked, FOLDER / "build" / board / name))
    except DesignError as error:
        told = " ".join(re.sub(r"^.*?: (?=the design does not fit|the )", "", str(error), flags=re.DOTALL).split())
        return {**found, "fits": "refused", "needs": told[:160], "digest": "", "findings": "", "s": ""}
    second = project(name, board, asked, FOLDER / "again" / board / name)
    assert first.digest == second.digest, f"{name} on {board}: two digests"
    needs = ", ".join(f"{f.needed / f.capacity:.1%} {f.name}" for f in figures(first.build, first.project.board)
                      if f.needed and f.capacity)  # fmt: skip
    judged = [judge(first.build.directory, first.files, record, release=r) for r in RELEASES]
    for finding in {f for j in judged for f in j or ()}:
        print(f"{name} on {board}: {finding}")
    counts = "no model" if judged[0] is None else str(sum(len(j or ()) for j in judged))
    return {**found, "fits": "yes", "needs": needs, "digest": first.digest[:16], "findings": counts,
            "s": round(seconds, 1)}  # fmt: skip


def main(boards: list[str]) -> None:
    """All rows; fails when a script has a finding, or a project two digests."""
    rows = []
    for board in boards or list_boards():
        small = load_board(board).capacity["LUT"] < 60_000
        for name, asked in (*ASKED.items(), *(TOO_FAST.items() if small else ())):
            rows.append(row(name, board, asked))
            print(*rows[-1].values(), sep=", ", flush=True)
            assert (rows[-1]["fits"] == "refused") == (asked in TOO_FAST.values())
    report("projects", rows)
    assert all(r["findings"] in ("0", "", "no model") for r in rows)


if __name__ == "__main__":
    main(sys.argv[1:])
