# SPDX-License-Identifier: Apache-2.0
"""Quantised TFLite models: read with the format's own reader, and written as ONNX with exactly their integers.

Every quantised tensor becomes a pair of QuantizeLinear and DequantizeLinear with its scale and zero point, every weight
and bias an initialiser of the file's own integers in front of a DequantizeLinear; layers compute on real values between
them. That is the meaning which the format gives to its numbers. Kernels of TFLite round differently from it here and
there: see `real.kernels`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from .archives import TFLITE

Array = npt.NDArray[np.generic]
OPSET = 17

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "Conv2D": ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor", "FusedActivationFunction"),
    "DepthwiseConv2D": ("Padding", "StrideH", "StrideW", "DilationHFactor", "DilationWFactor",
                        "FusedActivationFunction", "DepthMultiplier"),
    "Pool2D": ("Padding", "StrideH", "StrideW", "FilterHeight", "FilterWidth", "FusedActivationFunction"),
    "FullyConnected": ("FusedActivationFunction",),
    "Add": ("FusedActivationFunction",),
    "Reducer": ("KeepDims",),
}  # fmt: skip
"""What is read of each kind's options."""

TABLES: Mapping[str, str] = {
    "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
    "AVERAGE_POOL_2D": "Pool2D",
    "MAX_POOL_2D": "Pool2D",
    "FULLY_CONNECTED": "FullyConnected",
    "ADD": "Add",
    "MEAN": "Reducer",
}


@dataclass(frozen=True, eq=False)
class TfTensor:
    """A tensor of a TFLite model.

    Attributes:
        data: its contents where it is constant.
        scale, zero: float32 and int64, one or one per channel; None where it is not quantised.
        axis: of the channels.
    """

    index: int
    shape: tuple[int, ...]
    dtype: str
    data: Array | None
    scale: npt.NDArray[np.float32] | None
    zero: npt.NDArray[np.int64] | None
    axis: int


@dataclass(frozen=True, eq=False)
class TfNode:
    """An operator: its kind as the format names it, numbers of its tensors (-1: left out), its options."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class TfModel:
    """A model of one graph."""

    tensors: tuple[TfTensor, ...]
    nodes: tuple[TfNode, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@cache
def _format() -> Any:
    """The reader, imported from its wheel."""
    path = str(TFLITE.path())
    sys.path.insert(0, path)
    try:
        return importlib.import_module("tflite")
    finally:
        sys.path.remove(path)


def read(content: bytes) -> TfModel:
    """A TFLite file.

    Raises:
        ToolError: the reader cannot be got here.
    """
    tflite = _format()
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    kinds = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    tensors = tuple(_tensor(model, graph.Tensors(i), i) for i in range(graph.TensorsLength()))
    nodes = []
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs, outputs = (tuple(v.tolist()) for v in (operator.InputsAsNumpy(), operator.OutputsAsNumpy()))
        nodes.append(TfNode(kind, inputs, outputs, _options(kind, operator)))
    return TfModel(tensors, tuple(nodes), tuple(graph.InputsAsNumpy().tolist()), tuple(graph.OutputsAsNumpy().tolist()))


def _tensor(model: Any, tensor: Any, index: int) -> TfTensor:
    types = {v: k for k, v in vars(_format().TensorType).items() if isinstance(v, int)}
    shape = tuple(tensor.ShapeAsNumpy().tolist()) if tensor.ShapeLength() else ()
    dtype, raw = types[tensor.Type()].lower(), model.Buffers(tensor.Buffer()).DataAsNumpy()
    data = None if isinstance(raw, int) else np.frombuffer(raw.tobytes(), dtype).reshape(shape)
    quantization = tensor.Quantization()
    if quantization is None or not quantization.ScaleLength():
        return TfTensor(index, shape, dtype, data, None, None, 0)
    scale, zero = quantization.ScaleAsNumpy(), quantization.ZeroPointAsNumpy()
    return TfTensor(index, shape, dtype, data, scale, zero, quantization.QuantizedDimension())


def _options(kind: str, operator: Any) -> Mapping[str, int]:
    if kind not in TABLES:
        return {}
    options = getattr(_format(), f"{TABLES[kind]}Options")()
    options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
    return {name: int(getattr(options, name)()) for name in OPTIONS[TABLES[kind]]}


def without_softmax(model: TfModel) -> TfModel:
    """The model up to what its last Softmax reads: integers of one scale, whose order is that of the probabilities."""
    writers = {o: node for node in model.nodes for o in node.outputs}
    (output,) = model.outputs
    node = writers[output]
    while node.kind == "DEQUANTIZE":
        node = writers[node.inputs[0]]
    if node.kind != "SOFTMAX":
        return model
    kept = tuple(n for n in model.nodes if n is not node and n.kind != "DEQUANTIZE")
    return TfModel(model.tensors, kept, model.inputs, node.inputs)


def first_quantised(model: TfModel) -> TfTensor:
    """The model's input where it takes integers, else what its first operator makes of it."""
    (index,) = model.inputs
    tensor = model.tensors[index]
    if tensor.scale is not None:
        return tensor
    assert model.nodes[0].kind == "QUANTIZE"
    return model.tensors[model.nodes[0].outputs[0]]


# --- to ONNX ----------------------------------------------------------------------------------------------------------


def to_onnx(model: TfModel) -> onnx.ModelProto:
    """The model on float frames (batch, ...) in the file's own layout, channels last; outputs are real values too.

    Raises:
        KeyError: an operator that this writer does not know.
    """
    writer = _Writer(model)
    for node in model.nodes:
        WRITE[node.kind](writer, node)
    return writer.model()


class _Writer:
    """The ONNX nodes so far; images between them are channels first."""

    def __init__(self, source: TfModel) -> None:
        self.source = source
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names: dict[int, str] = {}
        for index in source.inputs:
            self.names[index] = f"input{index}"
            if source.tensors[index].scale is not None:
                self.quantize(index, self.names[index])
            self.arrange(index, to_first=True)

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op_type}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def scale_and_zero(self, tensor: TfTensor, dtype: Any) -> tuple[str, str]:
        assert tensor.scale is not None
        assert tensor.zero is not None
        one = tensor.scale.size == 1
        scale, zero = (v.reshape(()) if one else v for v in (tensor.scale, tensor.zero))
        return (
            self.constant(f"t{tensor.index}_scale", scale, np.float32),
            self.constant(f"t{tensor.index}_zero", zero, dtype),
        )

    def quantize(self, index: int, real: str) -> None:
        """Quantise a real tensor as the file's tensor `index` is, and go on with its real value."""
        tensor = self.source.tensors[index]
        operands = self.scale_and_zero(tensor, tensor.dtype)
        self.names[index] = self.node("DequantizeLinear", self.node("QuantizeLinear", real, *operands), *operands)

    def finish(self, node: TfNode, real: str) -> None:
        """The fused activation, then the quantiser of the node's output."""
        kind = node.options.get("FusedActivationFunction", 0)
        if kind == 1:
            real = self.node("Relu", real)
        elif kind == 3:
            limits = (self.constant(f"{real}_{n}", v, np.float32) for n, v in (("low", 0.0), ("high", 6.0)))
            real = self.node("Clip", real, *limits)
        elif kind:
            raise KeyError(f"fused activation {kind}")
        self.quantize(node.outputs[0], real)

    def arrange(self, index: int, *, to_first: bool) -> None:
        """Channels first or last."""
        if len(self.source.tensors[index].shape) == 4:
            perm = [0, 3, 1, 2] if to_first else [0, 2, 3, 1]
            self.names[index] = self.node("Transpose", self.names[index], perm=perm)

    def weight(self, index: int, perm: tuple[int, ...] | None = None) -> str:
        """A constant's integers behind a DequantizeLinear, its axes permuted."""
        tensor = self.source.tensors[index]
        assert tensor.data is not None
        operands = self.scale_and_zero(tensor, tensor.dtype)
        data, axis = tensor.data, tensor.axis
        if perm is not None:
            data, axis = data.transpose(perm), perm.index(axis)
        name = self.constant(f"t{index}", data, tensor.dtype)
        settings = {} if tensor.scale is None or tensor.scale.size == 1 else {"axis": axis}
        return self.node("DequantizeLinear", name, *operands, **settings)

    def biases(self, node: TfNode) -> list[str]:
        return [self.weight(node.inputs[2])] if len(node.inputs) > 2 and node.inputs[2] >= 0 else []

    def model(self) -> onnx.ModelProto:
        outputs = []
        for index in self.source.outputs:
            self.arrange(index, to_first=False)
            shape = ["batch", *self.source.tensors[index].shape[1:]]
            outputs.append(helper.make_tensor_value_info(self.names[index], TensorProto.FLOAT, shape))
        inputs = [
            helper.make_tensor_value_info(f"input{i}", TensorProto.FLOAT, ["batch", *self.source.tensors[i].shape[1:]])
            for i in self.source.inputs
        ]
        graph = helper.make_graph(self.nodes, "tflite", inputs, outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def same_pads(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Padding before and after that TFLite's SAME stands for."""
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _window(w: _Writer, node: TfNode, kernel: tuple[int, int]) -> dict[str, list[int]]:
    options = node.options
    _, height, width, _ = w.source.tensors[node.inputs[0]].shape
    strides = [options["StrideH"], options["StrideW"]]
    dilations = [options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)]
    pads = [(0, 0), (0, 0)]
    if options["Padding"] == 0:
        axes = zip((height, width), kernel, strides, dilations, strict=True)
        pads = [same_pads(*axis) for axis in axes]
    found = {"kernel_shape": list(kernel), "strides": strides, "pads": [p[0] for p in pads] + [p[1] for p in pads]}
    return found if "DilationHFactor" not in options else {**found, "dilations": dilations}


def _conv(w: _Writer, node: TfNode) -> None:
    _, height, width, _ = w.source.tensors[node.inputs[1]].shape
    weight = w.weight(node.inputs[1], (0, 3, 1, 2))
    window = _window(w, node, (height, width))
    w.finish(node, w.node("Conv", w.names[node.inputs[0]], weight, *w.biases(node), **window))


def _depthwise(w: _Writer, node: TfNode) -> None:
    _, height, width, _ = w.source.tensors[node.inputs[1]].shape
    weight = w.weight(node.inputs[1], (3, 0, 1, 2))
    window = _window(w, node, (height, width))
    group = w.source.tensors[node.inputs[0]].shape[3]
    w.finish(node, w.node("Conv", w.names[node.inputs[0]], weight, *w.biases(node), group=group, **window))


def _dense(w: _Writer, node: TfNode) -> None:
    x, shape = w.names[node.inputs[0]], w.source.tensors[node.inputs[0]].shape
    if len(shape) > 2:
        w.arrange(node.inputs[0], to_first=False)
        x = w.node("Flatten", w.names[node.inputs[0]])
    w.finish(node, w.node("Gemm", x, w.weight(node.inputs[1]), *w.biases(node), transB=1))


def _add(w: _Writer, node: TfNode) -> None:
    w.finish(node, w.node("Add", *(w.names[i] for i in node.inputs)))


def _pool(w: _Writer, node: TfNode) -> None:
    window = _window(w, node, (node.options["FilterHeight"], node.options["FilterWidth"]))
    kind = "MaxPool" if node.kind == "MAX_POOL_2D" else "AveragePool"
    w.finish(node, w.node(kind, w.names[node.inputs[0]], **window))


def _mean(w: _Writer, node: TfNode) -> None:
    axes = w.source.tensors[node.inputs[1]].data
    assert axes is not None
    assert sorted(axes.ravel().tolist()) == [1, 2]
    w.finish(node, w.node("ReduceMean", w.names[node.inputs[0]], axes=[2, 3], keepdims=node.options["KeepDims"]))


def _pad(w: _Writer, node: TfNode) -> None:
    amounts = w.source.tensors[node.inputs[1]].data
    assert amounts is not None
    first = amounts[[0, 3, 1, 2]]
    pads = w.constant(f"pads{len(w.nodes)}", first.T.ravel(), np.int64)
    w.finish(node, w.node("Pad", w.names[node.inputs[0]], pads))


def _reshape(w: _Writer, node: TfNode) -> None:
    """To the shape that the file gives to the result; elements keep their order, channels last."""
    w.arrange(node.inputs[0], to_first=False)
    shape = (0, *w.source.tensors[node.outputs[0]].shape[1:])
    target = w.constant(f"shape{len(w.nodes)}", shape, np.int64)
    w.names[node.outputs[0]] = w.node("Reshape", w.names[node.inputs[0]], target)
    w.arrange(node.outputs[0], to_first=True)


def _softmax(w: _Writer, node: TfNode) -> None:
    w.finish(node, w.node("Softmax", w.names[node.inputs[0]], axis=-1))


def _logistic(w: _Writer, node: TfNode) -> None:
    w.finish(node, w.node("Sigmoid", w.names[node.inputs[0]]))


def _quantize(w: _Writer, node: TfNode) -> None:
    w.quantize(node.outputs[0], w.names[node.inputs[0]])


def _pass(w: _Writer, node: TfNode) -> None:
    w.names[node.outputs[0]] = w.names[node.inputs[0]]


def _nothing(w: _Writer, node: TfNode) -> None:
    """Arithmetic on shapes: the file states the shape of every tensor anyway."""


WRITE = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "ADD": _add,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "PAD": _pad,
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "LOGISTIC": _logistic,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _pass,
    "SHAPE": _nothing,
    "STRIDED_SLICE": _nothing,
    "PACK": _nothing,
}
