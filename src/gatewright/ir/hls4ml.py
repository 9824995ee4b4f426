# SPDX-License-Identifier: Apache-2.0
"""What an operator is in hls4ml: layers by hls4ml's own names, with exact types. Imports nothing of hls4ml.

All tensors are integers; hls4ml holds them in `ap_fixed<W, W>` or `ap_ufixed<W, W>` of exactly the bits that their
proven limits need, so nothing there rounds, saturates or wraps, but where a layer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatewright.errors import ConfigError
from gatewright.ir.types import IntArray, Tensor, bits_for

EXTENSION = "Gatewright"
"""Kind of the layers whose function hls4ml lacks; it comes from a header under `hls/hls4ml/`."""

WIDEST = 53
"""hls4ml reads weights and frames as doubles, which hold integers of so many bits."""


@dataclass(frozen=True)
class Limits:
    """Integers from lo to hi, and the type that holds them."""

    lo: int
    hi: int

    @property
    def bits(self) -> int:
        """Of the narrowest type."""
        return bits_for(self.lo, self.hi)

    def precision(self, fraction: int = 0, modes: str = "") -> str:
        """The narrowest type, as hls4ml spells it.

        Args:
            fraction: bits behind the point, of the same bits.
            modes: of rounding and overflow.
        """
        return f"ap_{'fixed' if self.lo < 0 else 'ufixed'}<{self.bits},{self.bits - fraction}{modes}>"

    @property
    def full(self) -> Limits:
        """What the narrowest type can hold."""
        start = -(1 << self.bits - 1) if self.lo < 0 else 0
        return Limits(start, start + (1 << self.bits) - 1)


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer.

    Attributes:
        kind: hls4ml's name of its class.
        result: type of its output.
        attributes: by hls4ml's names.
        weights: integers by the names that hls4ml gives the arrays, in the shape in which it reads them.
        accumulator: what every sum inside it holds, where it has any.
        reuse: how often a multiplier is used for one vector or window.
        fraction: bits of the weights that lie behind the point.
        rounds: the output is rounded half to even and saturates: nothing else ever does.
        function: of a layer of kind `EXTENSION`: the name of its header, and of the function in it.
    """

    kind: str
    result: Tensor
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, IntArray] = field(default_factory=dict)
    accumulator: Limits | None = None
    reuse: int = 1
    fraction: int = 0
    rounds: bool = False
    function: str = ""

    @property
    def limits(self) -> Limits:
        """Of the output."""
        return Limits(self.result.lo, self.result.hi)


@dataclass(frozen=True)
class Windows:
    """Windows of an image, which hls4ml makes inside the layer that reads them.

    Attributes:
        source: the image (height, width, channels), or a row (width, channels); already padded.
        kernel, stride: rows and columns.
    """

    source: Tensor
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)

    @property
    def taps(self) -> int:
        """Pixels of a window."""
        return self.kernel[0] * self.kernel[1]


@dataclass(frozen=True, eq=False)
class Layers:
    """Layers one after another; where there are `windows`, the operator behind reads these of the last one's output."""

    layers: tuple[Layer, ...] = ()
    windows: Windows | None = None


def one(*arguments: Any, **keywords: Any) -> Layers:
    """One layer; arguments are those of `Layer`."""
    return Layers((Layer(*arguments, **keywords),))


def limits_of(values: IntArray) -> Limits:
    """The range of an array."""
    return Limits(int(values.min()), int(values.max()))


def sums(result: Tensor, partial_lo: int | None, partial_hi: int | None) -> Limits:
    """What an accumulator holds: the result, and every partial sum from 0 on."""
    return Limits(min(result.lo, partial_lo or 0), max(result.hi, partial_hi or 0))


def convolution(windows: Windows, weight: IntArray, result: Tensor, accumulator: Limits, reuse: int) -> Layers:
    """Products of windows with filters.

    Args:
        weight: int64 of shape (filters, taps * channels), tap by tap, as `window` orders them.
    """
    channels = windows.source.channels
    suffix, places = _places(windows, result, "filt")
    taps = weight.reshape(len(weight), *_kernel(windows, suffix), channels)
    attributes = places | {"n_chan": channels, "n_filt": len(weight), "bias_data": None}
    return one(f"Conv{suffix}", result, attributes, {"weight": np.moveaxis(taps, 0, -1)}, accumulator, reuse)


def product(source: Tensor, weight: IntArray, result: Tensor, accumulator: Limits, reuse: int) -> Layers:
    """Products of vectors with a matrix.

    Args:
        weight: int64 of shape (rows, columns).
    """
    if len(source.shape) > 1:
        return convolution(Windows(source), weight, result, accumulator, reuse)
    attributes = {"n_in": weight.shape[1], "n_out": weight.shape[0], "bias_data": None}
    return one("Dense", result, attributes, {"weight": weight.T}, accumulator, reuse)


def depthwise(windows: Windows, weight: IntArray, result: Tensor, accumulator: Limits, reuse: int) -> Layers:
    """Products of the windows of every channel with filters of its own.

    Several filters a channel are a convolution of all channels: hls4ml's streams compute one.

    Args:
        weight: int64 of shape (filters, taps); the filters of a channel follow one another.
    """
    channels = windows.source.channels
    if len(weight) > channels:
        return grouped(windows, weight.reshape(channels, -1, windows.taps, 1), result, accumulator, reuse)
    suffix, places = _places(windows, result, "filt")
    attributes = places | {"n_chan": channels, "n_filt": channels, "depth_multiplier": 1, "bias_data": None}
    taps = np.moveaxis(weight.reshape(channels, *_kernel(windows, suffix)), 0, -1)[..., None]
    return one(f"DepthwiseConv{suffix}", result, attributes, {"depthwise": taps}, accumulator, reuse)


def grouped(windows: Windows, weight: IntArray, result: Tensor, accumulator: Limits, reuse: int) -> Layers:
    """Products of the windows of groups of channels: a convolution of all channels, with 0 between groups.

    Args:
        weight: int64 of shape (groups, filters of a group, taps, channels of a group).
    """
    groups, filters, taps, channels = weight.shape
    whole = np.zeros((groups, filters, taps, groups, channels), np.int64)
    for group in range(groups):
        whole[group, :, :, group] = weight[group]
    return convolution(windows, whole.reshape(groups * filters, -1), result, accumulator, reuse)


def maximum(windows: Windows, result: Tensor) -> Layers:
    """The maximum of every window, channel by channel."""
    suffix, places = _places(windows, result, "pool")
    if suffix == "2D" and windows.kernel != windows.stride:
        raise ConfigError(
            f"hls4ml's maximum over windows of {windows.kernel!r} pixels steps by as many, not by {windows.stride!r}"
        )
    if suffix == "1D":  # where hls4ml names the sides otherwise
        places |= {"n_in": places.pop("in_width"), "n_out": places.pop("out_width")}
    limits = Limits(result.lo, result.hi)
    return one(f"MaxPooling{suffix}", result, places | {"n_filt": result.channels}, {}, limits)


def zero_padding(source: Tensor, result: Tensor, top: int, left: int) -> Layers:
    """An image or a row with zeros around it."""
    suffix, places = _places(Windows(source), result, "")
    pads = {"top": top, "left": left}
    for far, near, side in (("bottom", "top", "height"), ("right", "left", "width")):
        if f"in_{side}" in places:
            pads[far] = places[f"out_{side}"] - places[f"in_{side}"] - pads[near]
    kept = {k: v for k, v in places.items() if k.startswith(("in_", "out_", "data_"))}
    ends = {f"pad_{p}": n for p, n in pads.items() if f"pad_{p}" in places}
    return one(f"ZeroPadding{suffix}", result, kept | ends | {"n_chan": source.channels})


def normalization(result: Tensor, mult: IntArray, add: IntArray, shift: int) -> Layers:
    """(x * mult + add) / 2**shift, rounded half to even and limited by the type of the result.

    Args:
        mult, add: int64 of shape (channels,).
    """
    attributes = {"n_in": result.size, "n_filt": result.channels}
    weights = {"scale": mult, "bias": add}
    return one("BatchNormalization", result, attributes, weights, fraction=shift, rounds=True)


def gather(source: Tensor, result: Tensor, move: Callable[[IntArray], tuple[IntArray, ...]]) -> Layers:
    """Elements of the input in another order, or some of them.

    Args:
        move: takes and gives frames; it only moves elements.
    """
    (numbers,) = move(np.arange(source.size).reshape(1, *source.shape))
    attributes = {"scalars": {"n_in": source.size, "n_out": result.size}}
    return one(EXTENSION, result, attributes, {"order": numbers.ravel()}, function="gather")


def elementwise(function: str, result: Tensor, scalars: Mapping[str, int], tables: Mapping[str, IntArray]) -> Layers:
    """A function of one element and its channel, from the header `hls/hls4ml/<function>.h`.

    Args:
        scalars: constants of the layer's configuration.
        tables: arrays that the function reads.
    """
    attributes = {"scalars": {"n_in": result.size, "n_chan": result.channels, **scalars}}
    return one(EXTENSION, result, attributes, tables, function=function)


def _kernel(windows: Windows, suffix: str) -> tuple[int, ...]:
    return windows.kernel if suffix == "2D" else windows.kernel[1:]


def _places(windows: Windows, result: Tensor, kernel: str) -> tuple[str, dict[str, Any]]:
    """The suffix of hls4ml's class and the attributes that say where windows lie, for an image or a row.

    Args:
        kernel: what the layer calls its kernel: "filt" or "pool".
    """
    source, image = windows.source, len(windows.source.shape) == 3
    if len(source.shape) not in (2, 3):
        raise ConfigError(f"hls4ml has layers over images and rows, not over {source}")
    attributes: dict[str, Any] = {"data_format": "channels_last"}
    for side, name in enumerate(("height", "width")):
        if name == "width" or image:
            axis = side if image else 0
            attributes |= {f"in_{name}": source.shape[axis], f"out_{name}": result.shape[axis]}
            attributes |= {f"{kernel}_{name}": windows.kernel[side], f"stride_{name}": windows.stride[side]}
    pads = ("top", "bottom", "left", "right") if image else ("left", "right")
    return ("2D" if image else "1D"), attributes | {f"pad_{p}": 0 for p in pads}
