# SPDX-License-Identifier: Apache-2.0
"""Nodes that say in one what several simpler nodes say: those of onnxruntime's quantiser, and of other dialects.

Each becomes nodes of standard ONNX before any operator is asked. They keep the name of the node that they come from,
so that errors, findings and the origin of hardware name the model's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.frontend.folding import array
from gatewright.frontend.parts import Parts
from gatewright.frontend.reading import attributes
from gatewright.ir.importing import ImportContext, OnnxNode
from gatewright.ir.padding import read_pads

CONTROL_FLOW = ("If", "Loop", "Scan")
OLD = {**dict.fromkeys(("Add", "Div", "Gemm", "Mul", "PRelu", "Pow", "Sub"), "broadcast"), "Reshape": "shape",
       "Pad": "paddings", "BatchNormalization": "is_test", "Dropout": "is_test"}  # fmt: skip
"""Attributes of nodes before opset 7 that later ones have not, because they say it otherwise."""
MICROSOFT = "com.microsoft"
CHANNELS_LAST = "qonnx.custom_op.channels_last"
ANYTHING = "replace it, run it on the host after the last quantiser, or write ops/<name>.py and rtl/<name>.sv for it"
"""What to do about a node that has no hardware."""
_PRODUCT = (
    "products and quotients of two activations are not taken, only those by constants; of x * sigmoid(x) and its like "
    "quantise the result alone, not the factors"
)
_STATISTICS = "use BatchNormalization, whose statistics are constants"
_STATE = "use convolutions over time, which keep no state"
INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("Mul", "Div"), _PRODUCT),
    **dict.fromkeys(("InstanceNormalization", "LayerNormalization", "GroupNormalization"), _STATISTICS),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _STATE),
}
"""What to do about some, by type."""


def expand(node: OnnxNode, ctx: ImportContext) -> list[OnnxNode] | None:
    """The simpler nodes that a node stands for; None where it is simple itself.

    Raises:
        UnsupportedError: a form of it that none stand for.
    """
    domain = (
        "" if node.domain == "ai.onnx" else node.domain.partition(".v")[0] if "qonnx" in node.domain else node.domain
    )
    parts = Parts(node, ctx)
    old = OLD.get(node.op_type) if domain == "" and ctx.opset < 7 else None
    if old in node.attributes:
        raise UnsupportedError(
            node.name,
            f"{node.op_type} with the attribute {old!r} of opset {ctx.opset} means something else today: convert the "
            "model with onnx.version_converter.convert_version",
        )
    if domain == "" and node.op_type in CONTROL_FLOW:
        _branch(parts)
        return parts.nodes
    make = EXPANSIONS.get((domain, node.op_type))
    if make is None or not any(ctx.is_dynamic(i) for i in node.inputs):
        return None
    if make(parts) is False:
        return None
    return parts.nodes


def attributes_of(node: OnnxNode, *names: str) -> dict[str, Any]:
    """Those of some attributes that a node has."""
    return {n: node.attributes[n] for n in names if n in node.attributes}


# --- quantised operators of ONNX and onnxruntime ----------------------------------------------------------------------

CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
POOL = ("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")


def _qlinear_conv(p: Parts) -> None:
    """Operands: x, w and y with scale and zero point each, and a bias in the scale of the accumulators."""
    x, w = _first(p, p.real(0)), p.real(3, axis=0)
    bias = [p.dequantized(p.operand(8), p.product(1, 4), "", axis=0)] if p.has(8) else []
    y = p.add("Conv", x, w, *bias, **attributes_of(p.node, *CONV))
    p.finish(_last(p, y), 6)


def _qlinear_matmul(p: Parts) -> None:
    p.finish(p.add("MatMul", p.real(0), _columns(p, 3)), 6)


def _columns(p: Parts, position: int) -> str:
    """A matrix with a scale a column, or an activation."""
    name = p.operand(position)
    return p.real(position, axis=None if p.ctx.is_dynamic(name) else p.ctx.constants[name].ndim - 1)


def _conv_integer(p: Parts) -> None:
    """Codes less their zero points, which are integers: the scale is 1."""
    x, w = (p.dequantized(p.operand(i), p.constant(1.0), p.operand(2 + i)) for i in range(2))
    p.finish(p.add("Conv", x, w, **attributes_of(p.node, *CONV)))


def _matmul_integer(p: Parts) -> None:
    a = p.dequantized(p.operand(0), p.constant(1.0), p.operand(2))
    zero, b = p.operand(3), p.operand(1)
    columns = zero and p.ctx.constant(p.node, 3).size > 1
    scale = p.constant(np.ones(p.ctx.constant(p.node, 3).size) if columns else 1.0)
    axis = p.ctx.constants[b].ndim - 1 if columns else None
    p.finish(p.add("MatMul", a, p.dequantized(b, scale, zero, axis)))


def _qgemm(p: Parts) -> None:
    transposed = p.node.attributes.get("transB", 0)
    a, b = p.real(0), p.real(3, axis=0 if transposed else 1)
    alpha = p.node.attributes.get("alpha", 1.0)
    bias = [p.dequantized(p.operand(6), p.product(1, 4, factor=alpha), "", axis=0)] if p.has(6) else []
    y = p.add("Gemm", a, b, *bias, **attributes_of(p.node, "alpha", "transA", "transB"))
    p.finish(y, 7)


def _qlinear_binary(kind: str) -> Callable[[Parts], None]:
    return lambda p: p.finish(p.add(kind, p.real(0), p.real(3)), 6)


def _qlinear_unary(kind: str, *names: str) -> Callable[[Parts], None]:
    return lambda p: p.finish(p.add(kind, p.real(0), **attributes_of(p.node, *names)), 3)


def _qlinear_pool(kind: str) -> Callable[[Parts], None]:
    names = () if kind.startswith("Global") else POOL
    return lambda p: p.finish(_last(p, p.add(kind, _first(p, p.real(0)), **attributes_of(p.node, *names))), 3)


def _qlinear_concat(p: Parts) -> None:
    """Scale and zero point of the result stand before the parts."""
    parts = [p.real(i) for i in range(2, len(p.node.inputs), 3)]
    p.finish(p.add("Concat", *parts, axis=p.node.attributes["axis"]), 0)


def _first(p: Parts, x: str) -> str:
    """Channels first, where the node says that they are last."""
    return p.add("Transpose", x, perm=_to_first(p.rank())) if p.node.attributes.get("channels_last", 0) else x


def _last(p: Parts, x: str) -> str:
    return p.add("Transpose", x, perm=_to_last(p.rank())) if p.node.attributes.get("channels_last", 0) else x


def _to_first(rank: int) -> list[int]:
    return [0, rank - 1, *range(1, rank - 1)]


def _to_last(rank: int) -> list[int]:
    return [0, *range(2, rank), 1]


def _standard(p: Parts) -> None:
    """The same node of standard ONNX."""
    p.nodes.append(replace(p.node, domain=""))


# --- fused and channels-last operators --------------------------------------------------------------------------------


def _fused(kind: str, names: Sequence[str]) -> Callable[[Parts], None]:
    """A layer, an addition, and a function behind it."""

    def make(p: Parts) -> None:
        y = p.add(kind, *p.node.inputs[:3], **attributes_of(p.node, *names))
        if p.has(3):
            y = p.add("Add", y, p.operand(3))
        p.finish(_activated(p, y))

    return make


def _activated(p: Parts, y: str) -> str:
    kind = p.node.attributes.get("activation", "")
    given = list(p.node.attributes.get("activation_params", ()))
    given = given or [p.node.attributes[n] for n in ("activation_alpha", "activation_beta") if n in p.node.attributes]
    names = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}
    if kind == "Clip" and len(given) == 2:
        return p.add("Clip", y, *map(p.constant, given))
    if kind in ("Relu", "Sigmoid", "Tanh", *names):
        return p.add(kind, y, **dict(zip(names.get(kind, ()), given, strict=False)))
    if kind:
        raise UnsupportedError(
            p.node.name, f"{p.node.op_type} with activation={kind!r} has no hardware: split the node"
        )
    return y


def _bias_gelu(approximate: str) -> Callable[[Parts], None]:
    def make(p: Parts) -> None:
        x = p.add("Add", *p.node.inputs[:2]) if p.has(1) else p.operand(0)
        p.finish(p.add("Gelu", x, approximate=approximate))

    return make


def _swish(default: float) -> Callable[[Parts], None]:
    def make(p: Parts) -> None:
        scaled = p.add("Mul", p.operand(0), p.constant(p.node.attributes.get("alpha", default)))
        p.finish(p.add("Mul", p.operand(0), p.add("Sigmoid", scaled)))

    return make


def _channels_last(p: Parts) -> None:
    """The same node between transpositions; a convolution's weight has its channels last as well."""
    rank = p.rank()
    inputs = [p.add("Transpose", p.operand(0), perm=_to_first(rank)), *p.node.inputs[1:]]
    if p.node.op_type == "Conv":
        inputs[1] = p.add("Transpose", inputs[1], perm=_to_first(rank))
    p.finish(p.add("Transpose", p.add(p.node.op_type, *inputs, **p.node.attributes), perm=_to_last(rank)))


# --- standard operators -----------------------------------------------------------------------------------------------


def _sum(p: Parts) -> None:
    total = p.operand(0)
    for term in p.node.inputs[1:]:
        total = p.add("Add", total, term)
    p.finish(total)


def _extreme(p: Parts) -> bool | None:
    """`Max` or `Min` of one tensor and several constants, one after the other."""
    if len(p.node.inputs) == 2:
        return False
    result = p.operand(0)
    for other in p.node.inputs[1:]:
        result = p.add(p.node.op_type, result, other)
    p.finish(result)
    return None


def _celu(p: Parts) -> None:
    alpha = p.constant(p.node.attributes.get("alpha", 1.0))
    p.finish(p.add("Mul", p.add("Elu", p.add("Div", p.operand(0), alpha)), alpha))


def _global_max(p: Parts) -> None:
    p.finish(p.add("MaxPool", p.operand(0), kernel_shape=p.ctx.values[p.node.inputs[0]].shape[1:]))


def _reduce(p: Parts) -> bool | None:
    """A mean, sum or maximum over any axes but the batch: over the length of rows whose channels are the rest."""
    shape = (0, *p.ctx.values[p.node.inputs[0]].shape)
    axes = _axes(p, len(shape))
    keep = p.node.attributes.get("keepdims", 1)
    if p.node.op_type == "ReduceMean" and len(shape) in (3, 4) and axes == list(range(2, len(shape))):
        return False
    if not axes:
        p.finish(p.operand(0))
        return None
    kept = [a for a in range(1, len(shape)) if a not in axes]
    x = p.operand(0)
    if axes != list(range(len(shape) - len(axes), len(shape))):
        x = p.add("Transpose", x, perm=[0, *kept, *axes])
    channels, pixels = (math.prod(shape[a] for a in some) for some in (kept, axes))
    x = p.add("Reshape", x, p.constant([0, channels, pixels], np.int64))
    settings = {"kernel_shape": [pixels]} if p.node.op_type == "ReduceMax" else {}
    x = p.add("MaxPool" if settings else "GlobalAveragePool", x, **settings)
    if p.node.op_type == "ReduceSum":
        x = p.add("Mul", x, p.constant(pixels))
    left = [1 if a in axes else shape[a] for a in range(1, len(shape)) if keep or a not in axes]
    p.finish(p.add("Reshape", x, p.constant([0, *left], np.int64)))
    return None


def _axes(p: Parts, rank: int) -> list[int]:
    """The axes of a reduction, ascending: an attribute, or an operand in later opsets."""
    given = p.node.attributes.get("axes")
    if given is None and p.has(1):
        given = p.ctx.constant(p.node, 1).ravel().tolist()
    if not given and p.node.attributes.get("noop_with_empty_axes", 0):
        return []
    axes = sorted({int(a) % rank for a in given or range(rank)})
    if 0 in axes:
        raise UnsupportedError(
            p.node.name, f"{p.node.op_type} over axes {list(given or ())!r} reduces the batch, which has no hardware: "
            "name the axes of the frame"
        )  # fmt: skip
    return axes


def _resize(p: Parts) -> bool | None:
    """A channels-last image: its rows and columns are the axes 1 and 2, and its channels, the last, keep their size."""
    rank, at = len(p.ctx.values[p.node.inputs[0]].shape) + 1, 1 if p.node.op_type == "Upsample" else 2
    scales = p.ctx.constants.get(p.operand(at)) if p.has(at) else None
    if rank != 4 or scales is None or scales.size != 4 or scales[1] == 1 or scales[0] != 1 or scales[3] != 1:
        return False
    first = p.add("Transpose", p.operand(0), perm=_to_first(rank))
    names = ["", p.constant(scales[_to_first(rank)])][2 - at :]
    resized = p.add(p.node.op_type, first, *names, **p.node.attributes)
    p.finish(p.add("Transpose", resized, perm=_to_last(rank)))
    return None


def _branch(p: Parts) -> None:
    """The branch of an `If` that a constant takes."""
    condition = p.ctx.constants.get(p.operand(0)) if p.node.op_type == "If" else None
    if condition is None or p.operand(0) in p.ctx.open_batch:
        raise UnsupportedError(
            p.node.name,
            f"{p.node.op_type} is control flow, which has no hardware: export the model with fixed shapes, and loops "
            "and branches written out",
        )
    graph = p.node.attributes["then_branch" if bool(condition.item()) else "else_branch"]
    inside = {name: f"{p.node.outputs[0]} {name}" for n in graph.node for name in n.output if name}
    for constant in graph.initializer:
        inside[constant.name] = f"{p.node.outputs[0]} {constant.name}"
        p.ctx.constants[inside[constant.name]] = array(constant)
    for n in graph.node:
        inputs, outputs = ([inside.get(i, i) for i in names] for names in (n.input, n.output))
        p.nodes.append(OnnxNode(p.node.name, n.op_type, n.domain, tuple(inputs), tuple(outputs), attributes(n)))
    for info, output in zip(graph.output, p.node.outputs, strict=False):
        p.nodes.append(OnnxNode(p.node.name, "Identity", "", (inside.get(info.name, info.name),), (output,), {}))


def _pad(p: Parts) -> bool | None:
    """A Pad that cuts: a Slice, and a Pad that does not."""
    shape = (0, *p.ctx.values[p.node.inputs[0]].shape)
    pads = read_pads(p.node, p.ctx, len(shape))
    cut = [
        (a, -min(b, 0), n + min(e, 0)) for a, (n, (b, e)) in enumerate(zip(shape, pads, strict=True)) if min(b, e) < 0
    ]
    if not cut:
        return False
    axes, starts, ends = (p.constant(v, np.int64) for v in zip(*cut, strict=True))
    x = p.add("Slice", p.operand(0), starts, ends, axes)
    left = [max(n, 0) for side in zip(*pads, strict=True) for n in side]
    rest = {"value": p.node.attributes.get("value", 0.0), "mode": "constant", "pads": left}
    p.finish(p.add("Pad", x, "", p.operand(2), **rest) if any(left) else x)
    return None


EXPANSIONS: Mapping[tuple[str, str], Callable[[Parts], bool | None]] = {
    ("", "QLinearConv"): _qlinear_conv,
    ("", "QLinearMatMul"): _qlinear_matmul,
    ("", "ConvInteger"): _conv_integer,
    ("", "MatMulInteger"): _matmul_integer,
    ("", "Sum"): _sum,
    ("", "Max"): _extreme,
    ("", "Min"): _extreme,
    ("", "Celu"): _celu,
    ("", "Swish"): _swish(1.0),
    ("", "GlobalMaxPool"): _global_max,
    ("", "Pad"): _pad,
    ("", "Resize"): _resize,
    ("", "Upsample"): _resize,
    ("", "ReduceMax"): _reduce,
    ("", "ReduceMean"): _reduce,
    ("", "ReduceSum"): _reduce,
    (MICROSOFT, "QuantizeLinear"): _standard,
    (MICROSOFT, "DequantizeLinear"): _standard,
    (MICROSOFT, "Gelu"): _standard,
    (MICROSOFT, "BiasGelu"): _bias_gelu("none"),
    (MICROSOFT, "FastGelu"): _bias_gelu("tanh"),
    (MICROSOFT, "QuickGelu"): _swish(1.702),
    (MICROSOFT, "FusedConv"): _fused("Conv", CONV),
    (MICROSOFT, "FusedGemm"): _fused("Gemm", ("alpha", "beta", "transA", "transB")),
    (MICROSOFT, "QLinearConv"): _qlinear_conv,
    (MICROSOFT, "QGemm"): _qgemm,
    (MICROSOFT, "QLinearAdd"): _qlinear_binary("Add"),
    (MICROSOFT, "QLinearMul"): _qlinear_binary("Mul"),
    (MICROSOFT, "QLinearConcat"): _qlinear_concat,
    (MICROSOFT, "QLinearAveragePool"): _qlinear_pool("AveragePool"),
    (MICROSOFT, "QLinearGlobalAveragePool"): _qlinear_pool("GlobalAveragePool"),
    (MICROSOFT, "QLinearSigmoid"): _qlinear_unary("Sigmoid"),
    (MICROSOFT, "QLinearLeakyRelu"): _qlinear_unary("LeakyRelu", "alpha"),
    (MICROSOFT, "QLinearSoftmax"): _qlinear_unary("Softmax", "axis"),
    **{(CHANNELS_LAST, n): _channels_last for n in (
        "AveragePool", "BatchNormalization", "Conv", "GlobalAveragePool", "MaxPool")},
}  # fmt: skip
"""What each node type of each dialect becomes; False: this form of it is simple itself."""
