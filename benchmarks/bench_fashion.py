# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST, W2A2, through the commands that a user gives: accuracy of the float and the quantised network on all
10,000 test images, then of golden and RTL on those stored with the model, on a PYNQ-Z2 as fast as fits.

An argument names the folder of the training; one that is there already is resumed: if it is finished, only checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import OUT, report, timed

RECIPE = "fashion_mnist_vgg_w2a2"
BOARD = "pynq-z2"
RTL_FRAMES = 100


def gatewright(*arguments: str) -> Any:
    """What a command prints with --json."""
    command = [sys.executable, "-m", "gatewright", *arguments, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


def main() -> None:
    """Fetch, train, compile and check."""
    trained = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT / "fashion" / "train"
    build = OUT / "fashion" / "build"
    gatewright("data", "fashion-mnist")
    result, seconds = timed(lambda: gatewright("train", RECIPE, "-o", str(trained), "--resume"))
    gatewright("compile", result["model"], "--board", BOARD, "-o", str(build))
    stages = gatewright("check", str(build), "--stages", "float,qat,golden")
    stages += gatewright("check", str(build), "--stages", "rtl", "--frames", str(RTL_FRAMES))
    images = result["test_images"]
    rows = [
        {"stage": "float, test split", "frames": images, "exact": "", "accuracy": result["float_accuracy"]},
        {"stage": "quantised, test split", "frames": images, "exact": "", "accuracy": result["quant_accuracy"]},
        *({k if k != "name" else "stage": row[k] for k in ("name", "frames", "exact", "accuracy")} for row in stages),
    ]
    report("fashion_accuracy", rows)
    summary, rtl = json.loads((build / "prediction.json").read_text()), stages[-1]
    measured = {
        "train command, s (short where the training was there already)": round(seconds),
        "interval, cycles": f"{rtl['interval_cycles']} (predicted {rtl['predicted_interval_cycles']})",
        "latency, cycles": f"{rtl['latency_cycles']} (predicted {rtl['predicted_latency_cycles']})",
        "frames/s at the board's clock": summary["fps"],
    }
    report("fashion_design", [{"what": what, "measured": value} for what, value in measured.items()])


if __name__ == "__main__":
    main()
