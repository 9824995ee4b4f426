# SPDX-License-Identifier: Apache-2.0
"""What each node of a float ONNX model becomes in torch: one function a node type, in ``HANDLERS``."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatewright.frontend.float_context import BATCH, Activation, Array, FloatContext, FloatNode

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def _conv(node: FloatNode, ctx: FloatContext) -> None:
    padding = ctx.pads.get(node.inputs[0])
    source = ctx.value(node) if padding is None else ctx.values[node.inputs[0]]
    weight = ctx.weight(node, 1)
    axes = weight.dim() - 2
    if axes not in (1, 2) or len(source.shape) != axes + 2:
        raise node.refuse(f"a weight of shape {tuple(weight.shape)!r} on {source.shape!r}: use Conv with 1 or 2 axes")
    kernel = tuple(weight.shape[2:])
    stride, dilation = _ints(node, "strides", axes), _ints(node, "dilations", axes)
    begin, end = _pads(node, source, kernel, stride, dilation)
    if padding is not None:
        begin = tuple(a + b for a, b in zip(begin, padding[:axes], strict=True))
        end = tuple(a + b for a, b in zip(end, padding[axes:], strict=True))
    if begin != end:
        # The convolution of torch pads both ends alike.
        flat = [p for pair in zip(reversed(begin), reversed(end), strict=True) for p in pair]
        pad: nn.Module = nn.ConstantPad1d((flat[0], flat[1]), 0) if axes == 1 else nn.ZeroPad2d(tuple(flat))  # type: ignore[arg-type]
        source = ctx.module(node, pad, source)
        begin = (0,) * axes
    kind: Any = nn.Conv1d if axes == 1 else nn.Conv2d
    groups = int(node.attributes.get("group", 1))
    conv = kind(weight.shape[1] * groups, weight.shape[0], kernel, stride, begin, dilation, groups, bias=node.has(2))
    conv.weight = nn.Parameter(weight)
    if node.has(2):
        conv.bias = nn.Parameter(ctx.weight(node, 2))
    ctx.module(node, conv, source, node.inputs[1])


def _gemm(node: FloatNode, ctx: FloatContext) -> None:
    source, weight = ctx.value(node), ctx.weight(node, 1)
    if node.attributes.get("transA", 0):
        raise node.refuse("transA=1 transposes the batch, which has no hardware: export with transA=0")
    weight = weight if node.attributes.get("transB", 0) else weight.T
    bias = ctx.weight(node, 2).expand(1, len(weight)).flatten() if node.has(2) else None
    scaled = None if bias is None else bias * node.attributes.get("beta", 1.0)
    _linear(node, ctx, source, weight * node.attributes.get("alpha", 1.0), scaled)


def _matmul(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    if node.inputs[1] not in ctx.constants:
        raise node.refuse("products of two activations have no hardware: use a constant weight")
    weight = ctx.weight(node, 1)
    if weight.dim() != 2:
        raise node.refuse(f"a weight of shape {tuple(weight.shape)!r} has no hardware: use a matrix")
    _linear(node, ctx, source, weight.T, None)


def _linear(node: FloatNode, ctx: FloatContext, source: Activation, weight: Tensor, bias: Tensor | None) -> None:
    if len(source.shape) != 2:
        raise node.refuse(
            f"frames of shape {source.shape[1:]!r} have no hardware: flatten them, or use a 1x1 convolution"
        )
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    linear.weight = nn.Parameter(weight.contiguous())
    if bias is not None:
        linear.bias = nn.Parameter(bias.contiguous())
    ctx.module(node, linear, source, node.inputs[1])


def _batch_norm(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    gamma, beta, mean, variance = (ctx.weight(node, i) for i in range(1, 5))
    kind = nn.BatchNorm2d if len(source.shape) == 4 else nn.BatchNorm1d
    norm = kind(len(gamma), eps=float(node.attributes.get("epsilon", 1e-5)))
    norm.weight, norm.bias = nn.Parameter(gamma), nn.Parameter(beta)
    norm.running_mean, norm.running_var = mean, variance
    ctx.module(node, norm, source, node.inputs[1])


def _relu(node: FloatNode, ctx: FloatContext) -> None:
    ctx.module(node, nn.ReLU(), ctx.value(node))


def _clip(node: FloatNode, ctx: FloatContext) -> None:
    low, high = (
        float(ctx.constant(node, i).item()) if node.has(i) else float(node.attributes.get(name, default))
        for i, name, default in ((1, "min", -math.inf), (2, "max", math.inf))
    )
    if (low, high) == (-math.inf, math.inf):
        ctx.alias(node, ctx.value(node))
    elif (low, high) == (0, math.inf):
        _relu(node, ctx)
    elif high > 0 and low in (0, -high) and math.isfinite(high):
        ctx.module(node, nn.Hardtanh(low, high), ctx.value(node))
    else:
        raise node.refuse(f"a clip to [{low!r}, {high!r}] has no hardware: use [0, b] or [-b, b], b above 0")


def _max_pool(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    kernel = tuple(node.attributes["kernel_shape"])
    stride, dilation = (_ints(node, name, len(kernel)) for name in ("strides", "dilations"))
    begin, end = _pads(node, source, kernel, stride, dilation)
    ceil = bool(node.attributes.get("ceil_mode", 0))
    if begin != end:
        # More padding at the end only is what rounding the output's size up does, where the sizes agree.
        sizes = zip(source.shape[2:], kernel, stride, dilation, begin, end, strict=True)
        if ceil or any((n + b + e - d * (k - 1) - 1) // s != -(-(n + 2 * b - d * (k - 1) - 1) // s)
                       for n, k, s, d, b, e in sizes):  # fmt: skip
            raise node.refuse(f"pads {begin!r} before and {end!r} behind: use the same on both sides")
        ceil = True
    kind: Any = nn.MaxPool1d if len(kernel) == 1 else nn.MaxPool2d
    ctx.module(node, kind(kernel, stride, begin, dilation, ceil_mode=ceil), source)


def _average_pool(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    kernel = tuple(node.attributes["kernel_shape"])
    stride = _ints(node, "strides", len(kernel))
    begin, end = _pads(node, source, kernel, stride, (1,) * len(kernel))
    if begin != end:
        raise node.refuse(f"pads {begin!r} before and {end!r} behind: use the same on both sides")
    kind: Any = nn.AvgPool1d if len(kernel) == 1 else nn.AvgPool2d
    options = {"ceil_mode": bool(node.attributes.get("ceil_mode", 0))}
    counted = bool(node.attributes.get("count_include_pad", 0)) or not any(begin)
    ctx.module(node, kind(kernel, stride, begin, **options, count_include_pad=counted), source)


def _global_average_pool(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    ctx.module(node, nn.AdaptiveAvgPool2d(1) if len(source.shape) == 4 else nn.AdaptiveAvgPool1d(1), source)


def _reduce_mean(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    given = ctx.constant(node, 1).ravel().tolist() if node.has(1) else node.attributes.get("axes", ())
    rank = len(source.shape)
    axes = sorted(int(a) % rank for a in given)
    if axes != list(range(2, rank)):
        raise node.refuse(f"a mean over axes {list(given)!r} has no hardware: take it over all axes of the image")
    ctx.call(node, torch.mean, source, axes, bool(node.attributes.get("keepdims", 1)))


def _flatten(node: FloatNode, ctx: FloatContext) -> None:
    if node.attributes.get("axis", 1) != 1:
        raise node.refuse(f"axis={node.attributes['axis']!r} has no hardware: use axis=1, which keeps the batch")
    ctx.call(node, torch.flatten, ctx.value(node), 1)


def _reshape(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    target = [int(n) for n in ctx.constant(node, 1).ravel()]
    size = math.prod(source.shape[1:])
    rest = [source.shape[i] if n == 0 and not node.attributes.get("allowzero", 0) else n
            for i, n in enumerate(target) if i]  # fmt: skip
    known = math.prod(n for n in rest if n != -1)
    if rest.count(-1) == 1 and known and size % known == 0:
        rest[rest.index(-1)] = size // known
    keeps = bool(target) and target[0] in {0, -1, ctx.batch} and math.prod(rest) == size
    if not keeps:
        raise node.refuse(f"to {target!r} from {source.shape!r} moves the batch, which has no hardware: keep axis 0")
    if len(rest) == 1:
        ctx.call(node, torch.flatten, source, 1)
    else:
        ctx.call(node, torch.reshape, source, [-1, *rest])


def _squeeze(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    given = ctx.constant(node, 1).ravel().tolist() if node.has(1) else node.attributes.get("axes")
    rank = len(source.shape)
    axes = {int(a) % rank for a in given} if given is not None else {i for i in range(1, rank) if source.shape[i] == 1}
    if 0 in axes:
        raise node.refuse("squeezing the batch has no hardware: keep axis 0")
    ctx.call(node, torch.reshape, source, [-1, *(n for i, n in enumerate(source.shape) if i and i not in axes)])


def _unsqueeze(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    given = ctx.constant(node, 1).ravel().tolist() if node.has(1) else node.attributes["axes"]
    rank = len(source.shape) + len(given)
    axes = {int(a) % rank for a in given}
    if 0 in axes:
        raise node.refuse("a new axis in front of the batch has no hardware: keep axis 0")
    rest = iter(source.shape[1:])
    ctx.call(node, torch.reshape, source, [-1, *(1 if i in axes else next(rest) for i in range(1, rank))])


def _transpose(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    order = [int(p) for p in node.attributes.get("perm", reversed(range(len(source.shape))))]
    if order[0] != 0:
        raise node.refuse(f"perm={order!r} moves the batch, which has no hardware: keep axis 0")
    if source.node.op == "placeholder" and ctx.order is None and ctx.uses[node.inputs[0]] == 1:
        ctx.order = tuple(order)
        ctx.alias(node, Activation(source.node, source.example.permute(order)))
        ctx.notes.append(
            f"{node.name} (Transpose): left to the host, the quantised model takes frames of shape "
            f"{tuple(source.shape[i] for i in order[1:])!r}"
        )
        return
    ctx.call(node, torch.permute, source, order)


def _identity(node: FloatNode, ctx: FloatContext) -> None:
    ctx.alias(node, ctx.value(node))


def _scores(node: FloatNode, ctx: FloatContext) -> None:
    if node.outputs[0] not in ctx.outputs:
        raise node.refuse("no hardware inside a network: use Relu, or cut the model here with onnx.utils.extract_model")
    ctx.alias(node, ctx.value(node))
    ctx.notes.append(f"{node.name} ({node.op_type}): left to the host, the quantised model returns what it reads")


def _shape(node: FloatNode, ctx: FloatContext) -> None:
    shape = (BATCH, *ctx.values[node.inputs[0]].shape[1:])
    ctx.constants[node.outputs[0]] = np.asarray(
        shape[node.attributes.get("start", 0) : node.attributes.get("end")], np.int64
    )


def _concat(node: FloatNode, ctx: FloatContext) -> None:
    if any(name in ctx.constants for name in node.inputs):
        raise node.refuse("joining activations with a constant has no hardware: join activations only")
    parts = [ctx.value(node, i) for i in range(len(node.inputs))]
    ctx.call(node, torch.cat, parts, int(node.attributes["axis"]) % len(parts[0].shape))


def _pad(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    rank = len(source.shape)
    pads = [int(p) for p in (ctx.constant(node, 1).ravel() if node.has(1) else node.attributes["pads"])]
    value = float(ctx.constant(node, 2).item()) if node.has(2) else float(node.attributes.get("value", 0))
    if node.has(3):
        full = [0] * 2 * rank
        for i, axis in enumerate(int(a) % rank for a in ctx.constant(node, 3).ravel()):
            full[axis], full[rank + axis] = pads[i], pads[len(pads) // 2 + i]
        pads = full
    if not any(pads):
        ctx.alias(node, source)
        return
    if node.attributes.get("mode", "constant") != "constant" or value or min(pads) < 0:
        raise node.refuse("only padding with zeros has hardware: use mode='constant', value 0")
    if any((*pads[:2], *pads[rank : rank + 2])):
        raise node.refuse(f"pads={pads!r} pad the batch or the channels, which has no hardware: pad the image only")
    ctx.alias(node, source)
    ctx.pads[node.outputs[0]] = (*pads[2:rank], *pads[rank + 2 :])


def _resize(node: FloatNode, ctx: FloatContext) -> None:
    source = ctx.value(node)
    position = 1 if node.op_type == "Upsample" else 2
    if node.has(position) and ctx.constant(node, position).size:
        factors = ctx.constant(node, position).ravel().tolist()
    else:
        sizes = ctx.constant(node, 3).ravel().tolist()
        factors = [1, *(n / old for n, old in zip(sizes[1:], source.shape[1:], strict=True))]
    ints = [int(f) for f in factors]
    if node.attributes.get("mode", "nearest") != "nearest" or ints != factors or ints[:2] != [1, 1] or min(ints) < 1:
        raise node.refuse(
            f"mode={node.attributes.get('mode', 'nearest')!r} by {factors!r} has no hardware: "
            "use mode='nearest' by whole factors"
        )
    default = "asymmetric" if node.op_type == "Upsample" else "half_pixel"
    how = node.attributes.get("coordinate_transformation_mode", default)
    rounding = node.attributes.get("nearest_mode", "floor" if node.op_type == "Upsample" else "round_prefer_floor")
    repeats = (
        how == "asymmetric" and (rounding == "floor" or (max(ints) <= 2 and rounding == "round_prefer_floor"))
    ) or (how in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round_prefer"))
    if not repeats:
        raise node.refuse(f"{how!r} with {rounding!r} does not repeat pixels: use 'asymmetric' with 'floor'")
    ctx.module(node, nn.Upsample(scale_factor=tuple(float(f) for f in ints[2:])), source)


def _sum(node: FloatNode, ctx: FloatContext) -> None:
    total = ctx.value(node)
    for i in range(1, len(node.inputs)):
        total = ctx.call(node, operator.add, total, ctx.value(node, i))
    ctx.alias(node, total)


def _arithmetic(node: FloatNode, ctx: FloatContext) -> None:
    function = _OPERATORS[node.op_type]
    dynamic = [name in ctx.values for name in node.inputs]
    if all(dynamic):
        if node.op_type != "Add":
            raise node.refuse("of two activations has no hardware: only their sum has")
        ctx.call(node, function, ctx.value(node, 0), ctx.value(node, 1))
        return
    position = dynamic.index(True)
    source, array = ctx.value(node, position), ctx.constant(node, 1 - position)
    if node.op_type == "Div" and position == 1:
        raise node.refuse("division by an activation has no hardware")
    if node.op_type == "Add" and _as_bias(node.inputs[position], source, array, ctx):
        ctx.alias(node, source)
        return
    operand: float | Activation = float(array.item()) if array.size == 1 else ctx.buffer(node, array)
    ctx.call(node, function, *((source, operand) if position == 0 else (operand, source)))


def _as_bias(name: str, source: Activation, array: Array, ctx: FloatContext) -> bool:
    """Make a constant the bias of the layer that gives the tensor, if it has none and nothing else reads it."""
    if source.node.op != "call_module" or ctx.uses[name] != 1:
        return False
    layer: nn.Module = ctx.root.get_submodule(str(source.node.target))
    if not isinstance(layer, LAYERS) or layer.bias is not None or array.ndim > len(source.shape):
        return False
    try:
        full = np.broadcast_to(array, source.shape).reshape(source.shape[1], -1)
    except ValueError:
        return False
    if not (full == full[:, :1]).all():
        return False
    layer.bias = nn.Parameter(torch.from_numpy(np.array(full[:, 0], np.float32)))
    return True


def _quantised(node: FloatNode, ctx: FloatContext) -> None:
    raise node.refuse("the model is quantised already: give it to gatewright compile")


def _ints(node: FloatNode, name: str, axes: int) -> tuple[int, ...]:
    return tuple(int(v) for v in node.attributes.get(name, (1,) * axes))


def _pads(
    node: FloatNode, source: Activation, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding before and behind, by axis of the image."""
    auto, axes = node.attributes.get("auto_pad", "NOTSET"), len(kernel)
    if auto in ("NOTSET", "VALID"):
        pads = (
            tuple(int(p) for p in node.attributes.get("pads", (0,) * 2 * axes)) if auto == "NOTSET" else (0,) * 2 * axes
        )
        return pads[:axes], pads[axes:]
    sizes = zip(source.shape[2:], kernel, stride, dilation, strict=True)
    whole = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n) for n, k, s, d in sizes]
    less, more = tuple(p // 2 for p in whole), tuple(p - p // 2 for p in whole)
    return (less, more) if auto == "SAME_UPPER" else (more, less)


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
}
HANDLERS: dict[str, Callable[[FloatNode, FloatContext], None]] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Dropout": _identity,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "Identity": _identity,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Squeeze": _squeeze,
    "Sum": _sum,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": _resize,
    **dict.fromkeys(("Softmax", "LogSoftmax", "Sigmoid", "ArgMax"), _scores),
    **dict.fromkeys(_OPERATORS, _arithmetic),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear", "qonnx.custom_op.general.Quant"), _quantised),
}
