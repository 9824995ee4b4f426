# SPDX-License-Identifier: Apache-2.0
"""The demonstration: from training on real digits to cycle-accurate RTL, in one call."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from gatewright.build import compile_model, store_data
from gatewright.progress import Progress, silent
from gatewright.verify.check import StageResult, check

BOARD = "pynq-z2"


def run_demo(output: Path, *, board: str = BOARD, seed: int = 0, progress: Progress = silent) -> list[StageResult]:
    """Train a residual W4A4 network with 14-bit accumulators on 8x8 digits, compile it for a board, and check it.

    Args:
        output: the build folder; everything lies in it.
        board: what it is compiled for.
        seed: of the training.
        progress: called with the name of each step.

    Raises:
        GatewrightError: a stage cannot run.
    """
    output.mkdir(parents=True, exist_ok=True)
    model, record = output / "digits.onnx", output / "training.json"
    if _trained(seed) != (record.read_text() if model.is_file() and record.is_file() else None):
        record.unlink(missing_ok=True)
        _train(model, output / "data", seed, progress)
        record.write_text(_trained(seed))
    compile_model(model, board, output=output, progress=progress)
    return check(output, progress=progress)


def _train(model: Path, data: Path, seed: int, progress: Progress) -> None:
    """Train, export to `model`, and keep the test images, labels and both networks' outputs in `data`."""
    import torch

    from gatewright.data import digits
    from gatewright.frontend.export import export
    from gatewright.train.digits import train_digits

    trained = train_digits(seed=seed, progress=progress)
    test = digits.load().test
    images = torch.from_numpy(test.x)
    with torch.no_grad():
        outputs = {"float": trained.float_model(images).numpy(), "qat": trained.quant_model(images).numpy()}
    progress("export")
    export(trained.quant_model, model, images[:1])
    store_data(data, inputs=test.x, labels=test.y, **outputs)


def _trained(seed: int) -> str:
    """The seed, and a hash of all code that the training runs: while it is the same, training again gives the same."""
    package = Path(__file__).parent
    whole = hashlib.sha256()
    for path in sorted(p for part in ("nn", "data", "train", "frontend") for p in (package / part).rglob("*.py")):
        whole.update(path.read_bytes())
    return json.dumps({"seed": seed, "code": whole.hexdigest()}, indent=1) + "\n"
