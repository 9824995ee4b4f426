# SPDX-License-Identifier: Apache-2.0
"""Why a float32 tool differs from the definition: values on a rounding boundary may fall on its other side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from .execute import Array, input_of, tensors, tensors_exactly

QUANTISERS = ("QuantizeLinear", "Quant")


def boundaries_crossed(model: onnx.ModelProto, frames: Array) -> list[float]:
    """What is different first, in every frame in which a quantiser in float32 differs from one in float64.

    Returns:
        Of every value of that quantiser that differs: how far it is in float64 from a rounding boundary, in steps.
    """
    quantisers = list(_of_activations(model))
    names = list(dict.fromkeys(name for node in quantisers for name in (node.input[0], node.output[0])))
    single, double = tensors(model, frames, names), tensors_exactly(model, frames, names)
    found: list[float] = []
    seen = np.zeros(len(frames), np.bool_)
    for node in quantisers:
        source, target, step = node.input[0], node.output[0], _constant(model, node.input[1])
        codes = node.op_type == "QuantizeLinear"
        apart = np.abs(single[target].astype(np.float64) - double[target]) > (0.5 if codes else step / 2)
        first = apart & ~seen.reshape(-1, *[1] * (apart.ndim - 1))
        ratio = double[source][first] / np.broadcast_to(step, apart.shape)[first]
        found += np.abs(ratio - np.floor(ratio) - 0.5).tolist()
        seen |= apart.reshape(len(apart), -1).any(axis=1)
    return found


def _of_activations(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    dynamic = {input_of(model).name}
    for node in model.graph.node:
        if dynamic & set(node.input):
            dynamic |= set(node.output)
            if node.op_type in QUANTISERS:
                yield node


def _constant(model: onnx.ModelProto, name: str) -> npt.NDArray[np.float64]:
    """A scale: one number, or in a shape that goes to the tensor."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return numpy_helper.to_array(tensor).astype(np.float64)
    (node,) = (n for n in model.graph.node if name in n.output)
    return numpy_helper.to_array(node.attribute[0].t).astype(np.float64)
