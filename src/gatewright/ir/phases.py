# SPDX-License-Identifier: Apache-2.0
"""Transposed convolution along one axis as phases: outputs that read the image through the same taps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gatewright.errors import ConfigError


class Axis(NamedTuple):
    """How one axis is split into phases: outputs that read the image through the same taps.

    Output o is number q of phase r, where o + pad = q * stride + r + shift, and reads pixel q - e through tap k for
    every k with k * dilation - r - shift = e * stride.

    Attributes:
        stride: phases.
        first, places: the least q, and how many there are.
        shift: which of `stride` ways to count phases is taken.
        low, taps, spread: the least e, taps of the union of all phases, and pixels from one to the next.
        crop: outputs that are made in front of the first one wanted.
        size: outputs that are wanted.
    """

    stride: int
    first: int
    places: int
    shift: int
    low: int
    taps: int
    spread: int
    crop: int
    size: int

    @property
    def high(self) -> int:
        """The greatest e of the union."""
        return self.low + (self.taps - 1) * self.spread


def split_axis(stride: int, pad: int, dilation: int, kernel: int, size: int) -> Axis:
    """The split of an axis with the fewest products: the fewest taps over the fewest places, then the least crop.

    Args:
        size: outputs along the axis.
    """
    return min(
        _splits(stride, pad, dilation, kernel, size), key=lambda a: (a.taps * a.places, a.places, a.crop, abs(a.low))
    )


def _splits(stride: int, pad: int, dilation: int, kernel: int, size: int) -> Iterator[Axis]:
    """The splits for every shift at which the taps of a phase or the number of places change."""
    reach = np.arange(kernel) * dilation
    turns = {0, pad, pad + size, *reach.tolist()}
    for shift in sorted({(turn + more) % stride for turn in turns for more in (0, 1)}):
        distances = np.unique((reach - shift) // stride)
        spread = int(np.gcd.reduce(np.diff(distances))) if len(distances) > 1 else 1
        taps = int(distances[-1] - distances[0]) // spread + 1
        first, last = (pad - shift) // stride, (pad + size - 1 - shift) // stride
        crop = pad - shift - first * stride
        yield Axis(stride, first, last - first + 1, shift, int(distances[0]), taps, spread, crop, size)


def place_of(axis: Axis, reach: int) -> tuple[int, int]:
    """Phase and tap of the union that a tap `reach` outputs behind its pixel's place belongs to."""
    distance, phase = divmod(reach - axis.shift, axis.stride)
    return phase, (axis.high - distance) // axis.spread


class Reach(NamedTuple):
    """What the windows of an axis read: padding in front, first pixel, pixel behind the last, padding behind."""

    before: int
    start: int
    stop: int
    behind: int


def reach_of(axis: Axis, size: int) -> Reach:
    """What is read of an axis of so many pixels.

    Raises:
        ConfigError: nothing of the image.
    """
    begin, end = axis.first - axis.high, axis.first + axis.places - axis.low
    if begin >= size or end <= 0:
        raise ConfigError("conv_transpose2d: the padding leaves no output that the image reaches: use less padding")
    return Reach(max(0, -begin), max(0, begin), min(size, end), max(0, end - size))
