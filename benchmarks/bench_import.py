# SPDX-License-Identifier: Apache-2.0
"""Networks that others made and quantised: what they are made of, golden against other tools, accuracy, and RTL.

Arguments name some of the models; without any, all are run, which takes an hour on two cores. Archives are kept.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from common import report
from real import compare, execute
from real.catalog import MODELS, RealModel

from gatewright.errors import GatewrightError
from gatewright.frontend.importer import from_onnx

FRAMES, RTL_FRAMES, TEST_IMAGES = 20, 20, 10_000


def measure(name: str, model: RealModel) -> dict[str, Any]:
    """One row of the table."""
    network, frames = model.hardware(FRAMES)
    kinds = Counter(node.op_type for node in network.graph.node)
    plain = ("Quant", "QuantizeLinear", "DequantizeLinear", "Transpose", "Constant")
    row: dict[str, Any] = {
        "model": name,
        "operators": ", ".join(f"{n} {k}" for k, n in kinds.most_common() if k not in plain),
    }
    try:
        exact, single = compare.against_definition(network, frames), compare.against_float32(network, frames)
        with tempfile.TemporaryDirectory() as folder:
            hardware = compare.run_hardware(network, frames, Path(folder), board=model.board, fps=model.fps)
    except GatewrightError as error:
        return row | {"result": str(error)}
    row |= {
        "differs from float64": f"{exact.differing} of {exact.outputs}",
        "from float32": f"{single.differing} of {single.outputs}",
        "RTL exact": f"{hardware.exact} of {hardware.frames}",
        "interval": f"{hardware.interval} ({hardware.predicted_interval})",
        "latency": f"{hardware.latency} ({hardware.predicted_latency})",
    }
    return row | accuracy(model)


def accuracy(model: RealModel) -> dict[str, str]:
    """Of the file in float32 and of golden, where there is a test set."""
    if not model.data:
        return {"file": "", "golden": ""}
    network, images, labels = model.make(), model.frames(TEST_IMAGES), model.labels(TEST_IMAGES)
    outputs = {"file": execute.run(network, images), "golden": compare.predict(from_onnx(network), images)}
    return {k: f"{np.mean(y.argmax(axis=1) == labels):.2%}" for k, y in outputs.items()}


def main() -> None:
    """Measure the models that are asked for."""
    for name in sys.argv[1:] or MODELS:
        report(f"import_{name.replace('-', '_')}", [measure(name, MODELS[name])])


if __name__ == "__main__":
    main()
