# SPDX-License-Identifier: Apache-2.0
"""Shapes of what a node gives, by ONNX' own inference, where the importer itself does not know the node."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from gatewright.ir.importing import ImportContext, OnnxNode

Array = npt.NDArray[np.generic]
LARGEST_FRAME = 1 << 24
"""Elements of the largest output of a refused node behind which a model is examined."""
LARGEST_CONSTANT = 1 << 12
"""Elements up to which a constant is shown to the inference, which reads shapes and axes only."""


def one_node_model(
    node: OnnxNode, infos: Sequence[onnx.ValueInfoProto], constants: Mapping[str, Array], opset: int
) -> onnx.ModelProto:
    """A model of that node alone, of standard ONNX, with some operands as initialisers."""
    proto = onnx.NodeProto(op_type=node.op_type, name=node.name, input=node.inputs, output=node.outputs)
    for name, value in node.attributes.items():
        empty = isinstance(value, (list, tuple)) and not value
        proto.attribute.append(
            onnx.AttributeProto(name=name, type=onnx.AttributeProto.INTS)
            if empty
            else helper.make_attribute(name, value)
        )
    outputs = [helper.make_empty_tensor_value_info(o) for o in node.outputs if o]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph([proto], "node", infos, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def output_shapes(node: OnnxNode, ctx: ImportContext) -> Mapping[str, tuple[int, ...]]:
    """Frame shapes of a node's outputs by name, without the batch; those that ONNX does not know are left out."""
    names = [i for i in dict.fromkeys(node.inputs) if i]
    constants = {n: ctx.constants[n] for n in names if n in ctx.constants and n not in ctx.open_batch}
    shapes = {n: h.shape for n, h in ctx.hosted.items()} | {n: v.shape for n, v in ctx.values.items()}
    values = [
        helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["batch", *shapes[n]]) for n in names if n in shapes
    ]
    frames = {k: d[1:] for k, d in _inferred(node, values, constants, ctx.opset).items()}
    known = {k: tuple(n for n in f if n is not None) for k, f in frames.items() if f and None not in f}
    return {k: f for k, f in known.items() if min(f) > 0 and math.prod(f) <= LARGEST_FRAME}


def constant_shapes(node: OnnxNode, operands: Mapping[str, Array], opset: int) -> Mapping[str, tuple[int, ...]]:
    """Shapes of a node's outputs by name, from constant operands; those that ONNX does not know are left out."""
    dims = _inferred(node, [], operands, opset)
    return {k: tuple(n for n in d if n is not None) for k, d in dims.items() if None not in d}


def _inferred(
    node: OnnxNode, values: list[onnx.ValueInfoProto], constants: Mapping[str, Array], opset: int
) -> dict[str, tuple[int | None, ...]]:
    """Axes of a node's outputs by name, None for those that are open; outputs of unknown rank are left out."""
    if node.domain not in ("", "ai.onnx"):
        return {}
    try:
        shown = {k: v for k, v in constants.items() if v.size <= LARGEST_CONSTANT}
        hidden = [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in constants.items()
            if k not in shown
        ]
        model = one_node_model(node, [*values, *hidden], shown, opset)
        outputs = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
    except Exception:  # onnx raises many types for nodes that it does not understand, which is all we need to know
        return {}
    found: dict[str, tuple[int | None, ...]] = {}
    for info in outputs:
        if info.type.tensor_type.HasField("shape"):
            dims = info.type.tensor_type.shape.dim
            found[info.name] = tuple(int(d.dim_value) if d.HasField("dim_value") else None for d in dims)
    return found
