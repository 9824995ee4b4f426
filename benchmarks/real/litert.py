# SPDX-License-Identifier: Apache-2.0
"""What LiteRT, the runtime of TFLite models, computes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from gatewright.errors import ToolError

from .archives import LITERT

Array = npt.NDArray[np.generic]


def run_litert(
    content: bytes, frames: Array, tensors: Sequence[int], kernels: Literal["fast", "plain"] = "plain"
) -> dict[int, Array]:
    """Tensors of a TFLite model by number, (frames, ...) each, on frames of the type that the model takes.

    Args:
        kernels: "plain" are TFLite's own, in fixed point; "fast" those of XNNPACK, for outputs of the model only.

    Raises:
        ToolError: LiteRT cannot be got or run here.
    """
    site = LITERT.unpacked()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "model.tflite").write_bytes(content)
        np.save(work / "frames.npy", frames)
        script = str(Path(__file__).with_name("run_litert.py"))
        names = ",".join(map(str, tensors))
        done = subprocess.run(
            [sys.executable, script, "model.tflite", "frames.npy", "out.npz", names, kernels],
            cwd=work, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(site)},
        )  # fmt: skip
        if done.returncode:
            raise ToolError(f"LiteRT does not run here: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
        with np.load(work / "out.npz") as found:
            return {i: found[f"t{i}"] for i in tensors}
