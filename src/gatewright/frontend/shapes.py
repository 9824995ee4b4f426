# SPDX-License-Identifier: Apache-2.0
"""Shapes of what a node gives, by ONNX' own inference, where the importer itself does not know the node."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx
from onnx import helper, numpy_helper

from gatewright.ir.importing import MAX_ELEMENTS, ImportContext, OnnxNode

LARGEST_CONSTANT = 1 << 12
"""Elements up to which a constant is shown to the inference, which reads shapes and axes only."""


def output_shapes(node: OnnxNode, ctx: ImportContext, model: onnx.ModelProto) -> Mapping[str, tuple[int, ...]]:
    """Frame shapes of a node's outputs by name, without the batch; those that ONNX does not know are left out."""
    proto = next((n for n in model.graph.node if tuple(n.output) == node.outputs), None)
    if proto is None or node.domain not in ("", "ai.onnx"):
        return {}
    names = [i for i in dict.fromkeys(node.inputs) if i]
    infos = [_info(name, ctx) for name in names]
    constants = [
        numpy_helper.from_array(ctx.constants[n], n)
        for n in names
        if n in ctx.constants and ctx.constants[n].size <= LARGEST_CONSTANT
    ]
    outputs = [helper.make_empty_tensor_value_info(o) for o in node.outputs if o]
    graph = helper.make_graph([proto], "node", infos, outputs, constants)
    opsets = list(model.opset_import) or [helper.make_opsetid("", 17)]
    try:
        inferred = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets), data_prop=True)
    except Exception:  # onnx raises many types for nodes that it does not understand, which is all we need to know
        return {}
    found = {info.name: _frame(info) for info in inferred.graph.output}
    return {name: shape for name, shape in found.items() if shape is not None}


def _info(name: str, ctx: ImportContext) -> onnx.ValueInfoProto:
    if name in ctx.constants:
        constant = ctx.constants[name]
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(constant.dtype), constant.shape)
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *ctx.values[name].shape])


def _frame(info: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    dims = list(info.type.tensor_type.shape.dim)
    if len(dims) < 2 or not all(d.HasField("dim_value") and d.dim_value > 0 for d in dims[1:]):
        return None
    shape = tuple(int(d.dim_value) for d in dims[1:])
    return shape if math.prod(shape) <= MAX_ELEMENTS else None
