# SPDX-License-Identifier: Apache-2.0
"""What others' tools compute for a model: onnxruntime and qonnx in float32, the reference evaluator of onnx in float64.

In float64 no sum of a network of this size is rounded where it matters: what is computed is the definition, against
which golden must not differ at all. In float32 values that lie on a rounding boundary, or within about 1e-6 of it, may
fall on its other side.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Array = npt.NDArray[Any]
CHUNK = 250
TIE = 1e-9
"""Steps of a quantiser: nearer than this to a rounding boundary is on it. Averages of whole numbers often are."""
REFERENCE_OPSET = 21
"""The evaluator lacks versions of operators that lie between two of its own; their meaning here is the same."""


def standard(model: onnx.ModelProto) -> bool:
    """Whether onnxruntime knows all nodes."""
    return all(node.domain in ("", "ai.onnx") for node in model.graph.node)


def run(model: onnx.ModelProto, frames: Array) -> Array:
    """The first output in float32: by onnxruntime without its optimisations, or by qonnx."""
    execute = _onnxruntime(model) if standard(model) else _qonnx(model)
    size = _batch(model) or CHUNK
    parts = [execute(np.asarray(frames[i : i + size], np.float32)) for i in range(0, len(frames), size)]
    return np.concatenate(parts)


def run_exactly(model: onnx.ModelProto, frames: Array) -> Array:
    """The first output in float64."""
    evaluator = ReferenceEvaluator(_doubled(model), new_ops=_quantisers())
    size = _batch(model) or CHUNK
    name = _input(model).name
    parts = [
        evaluator.run(None, {name: np.asarray(frames[i : i + size], np.float64)})[0]
        for i in range(0, len(frames), size)
    ]
    return np.concatenate(parts)


def _input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    constants = {c.name for c in model.graph.initializer}
    return next(i for i in model.graph.input if i.name not in constants)


def _batch(model: onnx.ModelProto) -> int:
    """The batch that the file fixes; 0 where any will do."""
    return int(_input(model).type.tensor_type.shape.dim[0].dim_value)


def _onnxruntime(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    # Fused integer kernels saturate or round on their own terms.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def _qonnx(model: onnx.ModelProto) -> Any:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    name, output = _input(model).name, model.graph.output[0].name

    @cache
    def sized(count: int) -> Any:
        """With its batch fixed and all shapes known, as qonnx wants it."""
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        _input(copy).type.tensor_type.shape.dim[0].dim_value = count
        for info in (*copy.graph.output, *copy.graph.value_info):
            info.type.tensor_type.ClearField("shape")
        return ModelWrapper(copy).transform(InferShapes())

    def execute(x: Array) -> Array:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Output shapes disagree", UserWarning)  # of files that state a batch
            return execute_onnx(sized(len(x)), {name: x})[output]

    return execute


def _doubled(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its float constants in float64."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for opset in copy.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = max(opset.version, REFERENCE_OPSET)
    for tensor in copy.graph.initializer:
        _double(tensor)
    for node in copy.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _double(attribute.t)
    for info in (*copy.graph.input, *copy.graph.output, *copy.graph.value_info):
        if info.type.tensor_type.elem_type == TensorProto.FLOAT:
            info.type.tensor_type.elem_type = TensorProto.DOUBLE
    known = {o.domain for o in copy.opset_import}
    copy.opset_import.extend(helper.make_opsetid(n.domain, 1) for n in copy.graph.node if n.domain not in known)
    return copy


def _double(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        value = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


def _snapped(ratio: Array) -> Array:
    """A ratio that is a rounding boundary but for float64's own error, as that boundary."""
    boundary = np.rint(2 * ratio) / 2
    return np.where(np.abs(ratio - boundary) < TIE, boundary, ratio)


def _along(value: Array, x: Array, axis: int) -> Array:
    """A scale or zero point, one or one per index of an axis, in the shape that fits `x`."""
    shape = [1] * x.ndim
    if value.size > 1:
        shape[axis] = value.size
    return value.reshape(shape) if value.size > 1 else value.reshape(())


@cache
def _quantisers() -> list[type[OpRun]]:
    """Quantisers for the reference evaluator: ONNX', whose own compute in float32, and QONNX' by the qonnx package."""
    from qonnx.custom_op.general.quant import quant

    class QuantizeLinear(OpRun):  # type: ignore[misc]  # onnx publishes no types
        def _run(self, x: Array, scale: Array, zero: Array | None = None, axis: int = 1, **_: Any) -> tuple[Array]:
            dtype = np.dtype(np.uint8) if zero is None else zero.dtype
            offset = 0 if zero is None else _along(zero.astype(np.int64), x, axis)
            codes = np.rint(_snapped(x / _along(scale, x, axis))) + offset
            return (np.clip(codes, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype),)

    class DequantizeLinear(OpRun):  # type: ignore[misc]  # onnx publishes no types
        def _run(self, x: Array, scale: Array, zero: Array | None = None, axis: int = 1, **_: Any) -> tuple[Array]:
            offset = 0 if zero is None else _along(zero.astype(np.int64), x, axis)
            return ((x.astype(np.int64) - offset) * _along(scale, x, axis).astype(np.float64),)

    class Quant(OpRun):  # type: ignore[misc]  # onnx publishes no types
        op_domain = "qonnx.custom_op.general"

        def _run(self, x: Array, scale: Array, zero: Array, bits: Array, signed: int = 1, narrow: int = 0,
                 rounding_mode: str = "ROUND") -> tuple[Array]:  # fmt: skip
            codes = quant(_snapped(x / scale), np.ones_like(scale), zero, bits, signed, narrow, rounding_mode)
            return (codes * scale,)

    class BipolarQuant(OpRun):  # type: ignore[misc]  # onnx publishes no types
        op_domain = "qonnx.custom_op.general"

        def _run(self, x: Array, scale: Array) -> tuple[Array]:
            return (np.where(x >= 0, 1.0, -1.0) * scale,)

    found: list[type[OpRun]] = [QuantizeLinear, DequantizeLinear, Quant, BipolarQuant]
    for original in (Quant, BipolarQuant):  # exporters use either name of the domain
        found.append(type(original.__name__, (original,), {"op_domain": "onnx.brevitas"}))
    return found
