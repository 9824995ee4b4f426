# SPDX-License-Identifier: Apache-2.0
"""What others' tools compute for a model: onnxruntime and qonnx in float32, the reference evaluator of onnx in float64.

In float64 no sum of a network of this size is rounded where it matters: what is computed is the definition, against
which golden must not differ at all. In float32 values that lie on a rounding boundary, or within about 1e-6 of it, may
fall on its other side.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
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
Execute = Callable[[Array], Mapping[str, Array]]
CHUNK = 250
TIE = 1e-9
"""Steps of a quantiser: nearer than this to a rounding boundary is on it. Averages of whole numbers often are."""
REFERENCE_OPSET = 21
"""The evaluator lacks versions of operators that lie between two of its own; their meaning here is the same."""


def standard(model: onnx.ModelProto) -> bool:
    """Whether onnxruntime knows all nodes."""
    return all(node.domain in ("", "ai.onnx", "com.microsoft") for node in model.graph.node)


def run(model: onnx.ModelProto, frames: Array) -> Array:
    """The first output in float32: by onnxruntime without its optimisations, or by qonnx."""
    name = model.graph.output[0].name
    return tensors(model, frames, [name])[name]


def run_exactly(model: onnx.ModelProto, frames: Array) -> Array:
    """The first output in float64."""
    name = model.graph.output[0].name
    return tensors_exactly(model, frames, [name])[name]


def tensors(model: onnx.ModelProto, frames: Array, names: Sequence[str]) -> dict[str, Array]:
    """Any tensors by name, computed in float32."""
    execute = _onnxruntime(_showing(model, names)) if standard(model) else _qonnx(_channels_first(model))
    return _in_parts(model, np.asarray(frames, np.float32), names, execute)


def tensors_exactly(model: onnx.ModelProto, frames: Array, names: Sequence[str]) -> dict[str, Array]:
    """Any tensors by name, computed in float64."""
    evaluator, given = ReferenceEvaluator(_doubled(model), new_ops=_quantisers()), input_of(model).name
    return _in_parts(
        model, np.asarray(frames, np.float64), names, lambda x: evaluator.run(None, {given: x}, intermediate=True)
    )


def _in_parts(model: onnx.ModelProto, frames: Array, names: Sequence[str], execute: Execute) -> dict[str, Array]:
    """As many frames at a time as the file wants."""
    size, given = batch_of(model) or CHUNK, input_of(model).name
    parts = []
    for i in range(0, len(frames), size):
        found = {given: frames[i : i + size], **execute(frames[i : i + size])}
        parts.append({name: found[name] for name in names})
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _showing(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The model with more outputs."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    known = {o.name for o in copy.graph.output} | {input_of(model).name}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in known)
    return copy


def input_of(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The model's one input that is no constant."""
    constants = {c.name for c in model.graph.initializer}
    return next(i for i in model.graph.input if i.name not in constants)


def batch_of(model: onnx.ModelProto) -> int:
    """The batch that the file fixes; 0 where any will do."""
    return int(input_of(model).type.tensor_type.shape.dim[0].dim_value)


def _onnxruntime(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    # Fused integer kernels saturate or round on their own terms.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = [o.name for o in session.get_outputs()]
    return lambda x: dict(zip(outputs, session.run(None, {name: x}), strict=True))


def _qonnx(model: onnx.ModelProto) -> Any:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    name = input_of(model).name

    @cache
    def sized(count: int) -> Any:
        """With its batch fixed and all shapes known, as qonnx wants it."""
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        input_of(copy).type.tensor_type.shape.dim[0].dim_value = count
        for info in (*copy.graph.output, *copy.graph.value_info):
            info.type.tensor_type.ClearField("shape")
        return ModelWrapper(copy).transform(InferShapes())

    def execute(x: Array) -> Array:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Output shapes disagree", UserWarning)  # of files that state a batch
            return execute_onnx(sized(len(x)), {name: x}, return_full_exec_context=True)

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
    copy = _channels_first(copy)
    known = {o.domain for o in copy.opset_import}
    copy.opset_import.extend(helper.make_opsetid(n.domain, 1) for n in copy.graph.node if n.domain not in known)
    return copy


def _channels_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Channels-last nodes of qonnx between transpositions, as it defines them; itself it runs not all of its own."""
    copy, nodes = onnx.ModelProto.FromString(model.SerializeToString()), []
    for node in model.graph.node:
        if node.domain != "qonnx.custom_op.channels_last":
            nodes.append(node)
            continue
        turned = [f"{node.output[0]} from {i}" for i in node.input[: 2 if node.op_type == "Conv" else 1]]
        for name, source in zip(turned, node.input, strict=False):
            nodes.append(helper.make_node("Transpose", [source], [name], perm=[0, 3, 1, 2]))
        plain = onnx.NodeProto.FromString(node.SerializeToString())
        plain.domain = ""
        plain.input[: len(turned)] = turned
        plain.output[0] = f"{node.output[0]} turned"
        nodes += [plain, helper.make_node("Transpose", list(plain.output), list(node.output), perm=[0, 2, 3, 1])]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
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
    from qonnx.custom_op.general.trunc import trunc_v1, trunc_v2

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

    class Trunc(OpRun):  # type: ignore[misc]  # onnx publishes no types
        op_domain = "qonnx.custom_op.general"

        def _run(self, x: Array, scale: Array, zero: Array, bits: Array, *out: Array, rounding_mode: str = "FLOOR",
                 signed: int = 1, narrow: int = 0) -> tuple[Array]:  # fmt: skip
            steps, one = _snapped(x / scale), np.ones_like(scale)
            if len(out) == 1:
                return (trunc_v1(steps, one, zero, bits, *out, rounding_mode) * scale,)
            return (trunc_v2(steps, one, zero, bits, narrow, signed, out[0] / scale, out[1], rounding_mode) * scale,)

    found: list[type[OpRun]] = [QuantizeLinear, DequantizeLinear, Quant, BipolarQuant, Trunc]
    for original in (Quant, BipolarQuant, Trunc):  # exporters use either name of the domain
        found.append(type(original.__name__, (original,), {"op_domain": "onnx.brevitas"}))
    return found
