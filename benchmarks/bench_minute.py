# SPDX-License-Identifier: Apache-2.0
"""CNV-W1A1 from ONNX to ten bit-exact frames in RTL and the report, as a user runs it: bound one minute, caches warm.

Cold: no compiled simulation and no compiled cycle model exist yet. Both compilations must write the same files for all
targets, byte for byte.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import OUT, report, timed

from gatewright.config import ALL_TARGETS
from networks import make

FRAMES = 10
FOLDER = OUT / "minute"


def gatewright(cache: Path, *arguments: str | Path) -> float:
    """Seconds of one command with all caches below `cache`."""
    environment = os.environ | {"GATEWRIGHT_CACHE": str(cache), "NUMBA_CACHE_DIR": str(cache / "numba")}
    command = [sys.executable, "-m", "gatewright", *map(str, arguments)]
    return timed(lambda: subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL))[1]


def run(name: str, model: Path, frames: Path) -> dict[str, Any]:
    """Compile, check and report into a fresh folder."""
    build, cache = FOLDER / name, FOLDER / "cache"
    row: dict[str, Any] = {"caches": name}
    row["compile s"] = gatewright(cache, "compile", model, "--board", "pynq-z2", "--fps", "3000", "-o", build)
    row["check s"] = gatewright(cache, "check", build, "--data", frames, "--stages", "golden,rtl")
    row["report s"] = gatewright(cache, "report", build)
    return row | {"all s": sum(v for v in row.values() if isinstance(v, float)), "bound s": 60.0}


def main() -> None:
    """Cold, then warm; `check` fails the run unless all frames are exact."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    model, frames = make("cnv-w1a1", FOLDER)
    np.save(FOLDER / "frames.npy", np.resize(frames, (FRAMES, *frames.shape[1:])))
    rows = [run(name, model, FOLDER / "frames.npy") for name in ("cold", "warm")]
    written = (p for target in ALL_TARGETS for p in (FOLDER / "cold" / target).rglob("*"))
    files = sorted(p.relative_to(FOLDER / "cold") for p in written if p.is_file())
    same = sum((FOLDER / "cold" / p).read_bytes() == (FOLDER / "warm" / p).read_bytes() for p in files)
    assert same == len(files), "the two compilations differ"
    report("minute", [row | {"files the same": f"{same} of {len(files)}"} for row in rows])


if __name__ == "__main__":
    main()
