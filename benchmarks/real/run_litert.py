# SPDX-License-Identifier: Apache-2.0
"""Runs a TFLite model in LiteRT, in a process of its own: LiteRT stays out of the environment that the tests use.

Arguments: the model, frames (.npy, as the model takes them), where to write, the tensors to write, the kernels: "fast"
(XNNPACK) or "plain" (TFLite's own, as on microcontrollers).
"""

from __future__ import annotations

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def main() -> None:
    """Frame by frame, because some models fix their batch."""
    model, frames, out, tensors, kernels = sys.argv[1:]
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model,
        experimental_op_resolver_type=plain if kernels == "plain" else OpResolverType.AUTO,
        experimental_preserve_all_tensors=kernels == "plain",
        num_threads=1,
    )
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    wanted = [int(i) for i in tensors.split(",")]
    found: dict[str, list[np.ndarray]] = {f"t{i}": [] for i in wanted}
    for x in np.load(frames):
        interpreter.set_tensor(source["index"], x[None])
        interpreter.invoke()
        for i in wanted:
            found[f"t{i}"].append(interpreter.get_tensor(i)[0])
    np.savez(out, **{name: np.stack(values) for name, values in found.items()})


if __name__ == "__main__":
    main()
