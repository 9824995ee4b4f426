# SPDX-License-Identifier: Apache-2.0
"""Layers: each reads a quantised tensor and leaves one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import TensorProto
from tests.frontend.legal.net import Net
from tests.frontend.legal.quantisers import grid, qonnx, weight
from tests.frontend.legal.steps import activate, narrow_function


def _windows(net: Net, kernel: list[int], *, pool: bool = False, dilate: bool = True) -> dict[str, Any]:
    """Geometry of a node with a kernel, of a pool or not; moves the sides of `net.shape`."""
    axes, name = len(kernel), "geometry"
    strides = [net.pick(1, 1, 2, 3) for _ in range(axes)]
    dilations = [
        2 if dilate and k > 1 and 2 * k <= n and net.flag() else 1 for k, n in zip(kernel, net.sides, strict=True)
    ]
    reach = [(k - 1) * (1 if pool else d) for k, d in zip(kernel, dilations, strict=True)]
    pads = [net.whole(0, r) if net.flag() else 0 for r in reach * 2]
    pads = [0] * len(pads) if net.bipolar else pads
    sides = [
        (n + pads[i] + pads[i + axes] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1
        for i, n in enumerate(net.sides)
    ]
    net.see(**{f"{name}__stride": max(strides) > 1, f"{name}__dilation": max(dilations) > 1, f"{name}__pads": any(pads),
               f"{name}__asymmetric": pads[:axes] != pads[axes:]})  # fmt: skip
    net.shape = (net.shape[0], *sides)
    return {"kernel_shape": kernel, "strides": strides, "pads": pads} | ({"dilations": dilations} if dilate else {})


def _padded(settings: dict[str, Any]) -> bool:
    return any(settings.get("pads", ()))


def conv(net: Net) -> None:
    channels, kernel = net.shape[0], [net.whole(1, min(3, n)) for n in net.sides]
    groups = net.pick(*(g for g in (1, 2, channels) if channels % g == 0))
    filters = groups * net.whole(1, max(1, 4 // groups))
    settings = _windows(net, kernel)
    name, limit = weight(net, (filters, channels // groups, *kernel), 0)
    bias = [net.b.constant(net.number(filters))] if net.flag() else []
    net.x = net.b.node("Conv", net.x, name, *bias, group=groups, **settings)
    net.shape = (filters, *net.sides)
    net.top *= limit * math.sqrt(math.prod(kernel) * channels / groups)
    net.see(f"Conv.{len(kernel)}d", Conv__depthwise=groups == channels > 1, Conv__groups=1 < groups < channels,
            Conv__bias=bool(bias))  # fmt: skip
    activate(net)


def conv_transpose(net: Net) -> None:
    channels, axes = net.shape[0], len(net.sides)
    kernel, strides = [net.whole(1, 3) for _ in range(axes)], [net.whole(1, 3) for _ in range(axes)]
    extra = [net.whole(0, s - 1) for s in strides]
    pads = [net.whole(0, (k - 1) // 2) for k in kernel * 2]
    groups = net.pick(*(g for g in (1, 2) if channels % g == 0))
    filters = net.whole(1, 2)
    name, limit = (
        weight(net, (channels, filters, *kernel), 1)
        if groups == 1
        else weight_scalar(net, (channels, filters, *kernel))
    )
    sides = [(n - 1) * strides[i] + kernel[i] - pads[i] - pads[i + axes] + extra[i] for i, n in enumerate(net.sides)]
    net.x = net.b.node(
        "ConvTranspose",
        net.x,
        name,
        kernel_shape=kernel,
        strides=strides,
        pads=pads,
        output_padding=extra,
        group=groups,
    )
    net.shape = (filters * groups, *sides)
    net.top *= limit * math.sqrt(math.prod(kernel) * channels / groups)
    net.see(f"ConvTranspose.{axes}d", ConvTranspose__stride=max(strides) > 1, ConvTranspose__pads=any(pads),
            ConvTranspose__output_padding=any(extra), ConvTranspose__groups=groups > 1)  # fmt: skip
    activate(net)


def weight_scalar(net: Net, shape: tuple[int, ...]) -> tuple[str, float]:
    """A weight with one scale."""
    return net.b.weight(net.rng.integers(-7, 8, shape), net.factor(-3, -2), 4), 7 * 0.25


def matrix(net: Net) -> None:
    features, rows = net.shape[-1], net.whole(1, 6)
    kind = net.pick("MatMul", "Gemm", "Gemm.transB") if len(net.shape) == 1 else "MatMul"
    net.see(kind)
    name, limit = weight(net, (rows, features), 0) if kind == "Gemm.transB" else weight(net, (features, rows), 1)
    if kind == "MatMul":
        net.x = net.b.node("MatMul", net.x, name)
    else:
        settings = {"alpha": 0.5} if net.flag() else {}
        bias = [net.b.constant(net.number(rows))] if net.flag() else []
        net.x = net.b.node("Gemm", net.x, name, *bias, transB=int(kind == "Gemm.transB"), **settings)
        net.see(Gemm__alpha=bool(settings), Gemm__bias=bool(bias))
    net.shape = (*net.shape[:-1], rows)
    net.top *= limit * math.sqrt(features)
    if len(net.shape) == 1:
        activate(net)
    else:
        qonnx(net)


def pool(net: Net) -> None:
    kind = net.pick("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean")
    axes = list(range(2, 2 + len(net.sides)))
    count = math.prod(net.sides)
    if kind in ("GlobalAveragePool", "ReduceMean") and net.exact and count & (count - 1):
        kind = "MaxPool"
    net.see(kind)
    if kind in ("GlobalAveragePool", "GlobalMaxPool"):
        net.x, net.shape = net.b.node(kind, net.x), (net.shape[0], *[1] * len(axes))
    elif kind == "ReduceMean":
        keep = net.flag()
        net.x = net.b.node("ReduceMean", net.x, axes=axes, keepdims=int(keep))
        net.shape = (net.shape[0], *([1] * len(axes) if keep else []))
        net.see(ReduceMean__keepdims=keep)
    elif kind == "AveragePool":
        kernel = [net.pick(*(k for k in (2, 4) if k <= n), 2) if net.exact else net.whole(1, 3) for n in net.sides]
        kernel = [min(k, n) if not net.exact or n > 1 else 1 for k, n in zip(kernel, net.sides, strict=True)]
        settings = _windows(net, kernel, pool=True, dilate=False)
        if _padded(settings):
            settings["count_include_pad"] = 1
        net.see(AveragePool__count_include_pad=_padded(settings))
        net.x = net.b.node("AveragePool", net.x, **settings)
    else:
        kernel = [net.whole(1, min(3, n)) for n in net.sides]
        settings = _windows(net, kernel, pool=True)
        net.x = net.b.node("MaxPool", net.x, **settings)
        return
    qonnx(net)


def residual(net: Net) -> None:
    start, top, shape = net.x, net.top, net.shape
    step = np.float32(grid(net, top, 8))
    bits, ratio = net.pick(3, 4, 8), net.pick(1.0, 0.5, 2.0, 4.0)
    left = net.b.quant(start, step, bits)
    if len(shape) > 1:
        kernel = [3 if n > 1 and not net.bipolar else 1 for n in net.sides]
        name, _ = weight(net, (shape[0], shape[0], *kernel), 0)
        y = net.b.node("Conv", start, name, kernel_shape=kernel, pads=[k // 2 for k in kernel] * 2)
    else:
        name, _ = weight(net, (shape[0], shape[0]), 1)
        y = net.b.node("MatMul", start, name)
    net.see("residual.equal" if ratio == 1 else "residual.unequal")
    right = net.b.quant(y, step * np.float32(ratio), bits)
    net.x = net.b.node("Add", *((left, right) if net.flag() else (right, left)))
    net.top = 2 * float(step) * max(1, ratio) * (1 << bits - 1)
    activate(net)


def concat(net: Net) -> None:
    step, axis = grid(net, net.top, 8), 1
    parts = [net.b.quant(net.x, step, 4), net.b.quant(net.x, step * np.float32(net.pick(1.0, 2.0)), 5)]
    if net.flag():
        parts.append(parts[0])
    net.x = net.b.node("Concat", *parts, axis=axis)
    net.shape = (net.shape[0] * len(parts), *net.sides)
    net.see("Concat")
    qonnx(net)


def split(net: Net) -> None:
    parts = net.pick(
        *(n for n in (2, 3) if net.shape[0] % n == 0), *([1] if net.shape[0] % 2 and net.shape[0] % 3 else [])
    )
    if parts == 1:
        return
    size = net.shape[0] // parts
    outs = [net.b.fresh("part") for _ in range(parts)]
    net.b.node("Split", net.x, net.b.constant([size] * parts, np.int64), outputs=outs, axis=1)
    order = [outs[i] for i in net.rng.permutation(parts)]
    net.see("Split")
    if net.flag():
        net.x = net.b.node("Concat", *order, axis=1)
        net.see("Split.Concat")
    else:
        net.x = net.b.node("Add", order[0], order[1])
        net.shape = (size, *net.sides)
        net.see("Split.Add")
        net.top *= 2
    qonnx(net)


def slicing(net: Net) -> None:
    axis = net.whole(0, len(net.shape) - 1)
    n = net.shape[axis]
    start = net.whole(0, n - 1)
    stop, step = net.whole(start + 1, n), net.pick(1, 1, 2)
    operands = (
        net.b.constant([v], np.int64) for v in (start, stop if net.flag() or stop == n else stop - n, axis + 1, step)
    )
    net.x = net.b.node("Slice", net.x, *operands)
    sides = list(net.shape)
    sides[axis] = len(range(start, stop, step))
    net.shape = tuple(sides)
    net.see("Slice", Slice__step=step > 1, Slice__channels=axis == 0)


def pad(net: Net) -> None:
    axes = len(net.sides)
    amounts = [net.whole(0, 2) for _ in range(2 * axes)]
    pads = [0, 0, *amounts[:axes], 0, 0, *amounts[axes:]]
    net.x = net.b.node("Pad", net.x, net.b.constant(pads, np.int64))
    net.shape = (net.shape[0], *(n + amounts[i] + amounts[i + axes] for i, n in enumerate(net.sides)))
    net.see("Pad")


def resize(net: Net) -> None:
    factors = [net.whole(1, 3) for _ in net.sides]
    scales = net.b.constant([1, 1, *factors], np.float32)
    net.x = net.b.node(
        "Resize", net.x, "", scales, mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric"
    )
    net.shape = (net.shape[0], *(n * f for n, f in zip(net.sides, factors, strict=True)))
    net.see("Resize")


def view(net: Net) -> None:
    """Something that moves or renumbers elements, and a quantiser that does not mind."""
    kinds = ["Identity", "Dropout", "Cast", "Unsqueeze"] + (
        ["Transpose", "Flatten", "Reshape", "Shape"] if net.sides else []
    )
    kind = net.pick(*kinds)
    net.see(kind)
    if kind in ("Identity", "Dropout"):
        net.x = net.b.node(kind, net.x)
    elif kind == "Cast":
        net.x = net.b.node("Cast", net.x, to=TensorProto.FLOAT)
    elif kind == "Unsqueeze":
        axes = net.b.constant([1], np.int64)
        net.x = net.b.node("Squeeze", net.b.node("Unsqueeze", net.x, axes), axes)
        net.see("Squeeze")
    elif kind == "Transpose":
        axes = 1 + net.rng.permutation(len(net.shape))
        net.x = net.b.node("Transpose", net.x, perm=[0, *map(int, axes)])
        net.shape = tuple(net.shape[i - 1] for i in axes)
    else:
        _flatten(net, kind)


def _flatten(net: Net, kind: str) -> None:
    if kind == "Flatten":
        net.x = net.b.node("Flatten", net.x)
    elif kind == "Reshape":
        target = net.pick([0, -1], [-1, net.size], [net.b.batch, -1])
        net.x = net.b.node("Reshape", net.x, net.b.constant(target, np.int64))
    else:
        batch = net.b.node("Gather", net.b.node("Shape", net.x), net.b.constant(0, np.int64), axis=0)
        batch = net.b.node("Unsqueeze", batch, net.b.constant([0], np.int64))
        target = net.b.node("Concat", batch, net.b.constant([-1], np.int64), axis=0)
        net.x = net.b.node("Reshape", net.x, target)
    net.shape = (net.size,)


LAYERS: Mapping[str, Callable[[Net], None]] = {
    "conv": conv, "conv_transpose": conv_transpose, "matrix": matrix, "pool": pool, "residual": residual,
    "concat": concat, "split": split, "slice": slicing, "pad": pad, "resize": resize, "view": view,
    "function": narrow_function,
}  # fmt: skip


def legal(net: Net) -> list[str]:
    """Layers that the last tensor may go through."""
    names = ["matrix", "residual", "concat", "view", "view", "function", "slice"] + ["function"] * (not net.exact)
    names += ["split"] if net.shape[0] > 1 else []
    if net.sides:
        names += ["conv", "conv", "pool", "resize"] + ([] if net.bipolar else ["conv_transpose", "pad"])
    small = net.size * 4 > 600
    return [n for n in names if not (small and n in ("concat", "resize", "pad", "conv_transpose"))]
