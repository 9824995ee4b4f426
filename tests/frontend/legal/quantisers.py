# SPDX-License-Identifier: Apache-2.0
"""Quantisers of activations and of weights, in every dialect."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.frontend.legal.net import Net
from tests.models import DOMAIN

MODES = ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


def grid(net: Net, top: float, levels: int) -> np.float32:
    """A scale with which values up to `top` fill so many levels."""
    ratio = max(top, 1e-3) / max(levels, 1)
    return np.float32(2.0 ** np.round(np.log2(ratio)) if net.exact else ratio * net.rng.uniform(0.7, 1.4))


def quantise(net: Net) -> None:
    """Any quantiser behind the last tensor."""
    kind = net.pick("Quant", "Quant", "Quant", "QDQ", "QCDQ", "MultiThreshold", "BipolarQuant")
    net.see(kind)
    net.bipolar = kind == "BipolarQuant"
    {"Quant": qonnx, "QDQ": qdq, "QCDQ": _qcdq, "MultiThreshold": _multithreshold, "BipolarQuant": _bipolar}[kind](net)


def qonnx(net: Net) -> None:
    """A Quant node."""
    net.bipolar = False
    bits, signed, mode = net.pick(2, 3, 4, 5, 8), net.flag(), net.pick(*MODES)
    narrow, zero = net.flag(), net.pick(0, 0, 0, 1, 2, -3)
    levels = (1 << bits - signed) - 1
    net.step = grid(net, net.top, levels)
    net.x = net.b.quant(net.x, net.step, bits, signed, narrow, np.float32(zero), mode)
    net.top = float(net.step) * (levels + abs(zero))
    net.see(f"Quant.{mode}", f"Quant.bits{bits}", Quant__signed=signed, Quant__narrow=narrow, Quant__zero=zero != 0)


def _integer_type(net: Net) -> tuple[Any, int, int, int]:
    """Type, limits and zero point of QuantizeLinear's codes."""
    kind = net.pick(np.int8, np.uint8)
    lo, hi = np.iinfo(kind).min, np.iinfo(kind).max
    zero = net.pick(0, 0, 1, 3, 128 if lo == 0 else -7)
    net.see(f"QuantizeLinear.{np.dtype(kind).name}", QuantizeLinear__zero=zero != 0)
    return kind, int(lo), int(hi), int(zero)


def qdq(net: Net, limits: tuple[int, int] | None = None) -> None:
    """A pair of QuantizeLinear and DequantizeLinear, with a Clip to `limits` between where they are given."""
    kind, lo, hi, zero = _integer_type(net)
    limits = limits and (max(lo, limits[0]), min(hi, limits[1]))
    levels = hi - zero if limits is None else max(limits[1] - zero, zero - limits[0])
    net.step = grid(net, net.top, levels)
    operands = net.b.constant(net.step), net.b.constant(zero, kind)
    y = net.b.node("QuantizeLinear", net.x, *operands)
    if limits is not None:
        y = net.b.node("Clip", y, *(net.b.constant(v, kind) for v in limits))
    net.x = net.b.node("DequantizeLinear", y, *operands)
    net.top = float(net.step) * max(hi - zero, zero - lo)


def _qcdq(net: Net) -> None:
    bits = net.pick(2, 4, 6)
    qdq(net, net.pick((-(1 << bits - 1), (1 << bits - 1) - 1), (0, (1 << bits) - 1)))


def _multithreshold(net: Net) -> None:
    count, shared, last = net.pick(1, 3, 7), net.flag(), len(net.shape) == 3 and net.flag()
    channels = 1 if shared else net.shape[0]
    table = np.sort(net.rng.uniform(-net.top, net.top, (channels, count)), axis=1)
    if net.exact:
        table = np.round(table * 8) / 8
    scale, bias = np.float32(net.pick(1.0, 0.5, 2.0)), net.pick(0, -1, 2)
    x = net.b.node("Transpose", net.x, perm=[0, 2, 3, 1]) if last else net.x
    layout = "NHWC" if last else {1: "NC", 2: "NCW", 3: "NCHW"}[len(net.shape)]
    x = net.b.node(
        "MultiThreshold", x, net.b.constant(table), domain=DOMAIN, out_dtype="INT8", out_scale=float(scale),
        out_bias=float(scale * bias), data_layout=layout,
    )  # fmt: skip
    net.x = net.b.node("Transpose", x, perm=[0, 3, 1, 2]) if last else x
    net.step, net.top = float(scale), float(scale) * (count + abs(bias))
    net.see(MultiThreshold__shared=shared, MultiThreshold__NHWC=last, MultiThreshold__bias=bias != 0)


def _bipolar(net: Net) -> None:
    net.step = grid(net, net.top / 2, 1)
    net.x = net.b.node("BipolarQuant", net.x, net.b.constant(net.step), domain=DOMAIN)
    net.top = float(net.step)


def weight(net: Net, shape: tuple[int, ...], out_axis: int) -> tuple[str, float]:
    """A quantised constant of any dialect, and about how large its elements are."""
    bits = net.pick(2, 3, 4, 6, 8)
    limit = (1 << bits - 1) - 1
    axis = [1] * len(shape)
    axis[out_axis] = shape[out_axis]
    per_channel, kind = net.flag(), net.pick("Quant", "DequantizeLinear", "BipolarQuant")
    scale = net.factor(-4, -2, tuple(axis) if per_channel else ())
    integers = net.rng.integers(-limit, limit + 1, shape)
    net.see(f"weight.{kind}", weight__per_channel=per_channel)
    if kind == "Quant":
        return net.b.weight(integers, scale, bits), limit * float(np.max(scale))
    if kind == "BipolarQuant":
        signs = net.b.constant(np.where(integers >= 0, 1, -1) * scale)
        return net.b.node("BipolarQuant", signs, net.b.constant(scale), domain=DOMAIN), float(np.max(scale))
    flat = scale.ravel() if per_channel else scale
    settings = {"axis": out_axis} if per_channel else {}
    zero = net.b.constant(np.zeros(flat.shape), np.int8)
    codes = net.b.constant(integers, np.int8)
    return net.b.node("DequantizeLinear", codes, net.b.constant(flat), zero, **settings), limit * float(np.max(scale))
