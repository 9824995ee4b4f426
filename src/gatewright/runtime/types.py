# SPDX-License-Identifier: Apache-2.0
"""Integer tensors and the streams that carry them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Tuple, Union

import numpy as np
import numpy.typing as npt

from .errors import ConfigError, DataError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Encoding = Literal["twos", "bipolar"]
Scale = Union[float, Tuple[float, ...]]
"""One scale, or one per channel."""


def bits_for(lo: int, hi: int) -> int:
    """Fewest two's-complement (or, from 0 up, unsigned) bits that hold every integer of lo..hi; at least 1."""
    if lo >= 0:
        return max(1, hi.bit_length())
    return max((-lo - 1).bit_length(), max(hi, 0).bit_length()) + 1


@dataclass(frozen=True)
class Stream:
    """A tensor on a wire: `beats` words a frame, each of `lanes` elements of `bits` bits, element 0 in the low bits.

    A bipolar stream carries -1 as 0 and +1 as 1.
    """

    bits: int
    lanes: int
    beats: int
    signed: bool
    bipolar: bool = False

    @property
    def width(self) -> int:
        """Bits of one word, without padding."""
        return self.bits * self.lanes

    @property
    def padded_width(self) -> int:
        """Bits of one word padded to whole bytes, as on the pins of a top level."""
        return -(-self.width // 8) * 8

    def __str__(self) -> str:
        kind = "bipolar" if self.bipolar else f"{'s' if self.signed else 'u'}int{self.bits}"
        return f"{self.beats}x{self.lanes} {kind}"


@dataclass(frozen=True)
class Tensor:
    """The type of an integer tensor.

    Attributes:
        shape: without the batch, channels last: (H, W, C) or (C,).
        lo, hi: exact limits of every element.
        scale: real value = scale * integer; one float, or one per channel.
        encoding: "twos" complement, or "bipolar" {-1, +1} stored as one bit.
    """

    shape: tuple[int, ...]
    lo: int
    hi: int
    scale: Scale = 1.0
    encoding: Encoding = "twos"

    def __post_init__(self) -> None:
        if not self.shape or any(n < 1 for n in self.shape):
            raise ConfigError(f"tensor shape {self.shape!r} must have at least one axis, each of at least 1 element")
        if self.lo > self.hi:
            raise ConfigError(f"tensor limits lo={self.lo!r}, hi={self.hi!r}: lo must not exceed hi")
        if isinstance(self.scale, tuple) and len(self.scale) != self.channels:
            raise ConfigError(f"{len(self.scale)} scales for {self.channels} channels: give one, or one per channel")
        if self.encoding == "bipolar" and (self.lo, self.hi) != (-1, 1):
            raise ConfigError(f"a bipolar tensor holds -1 and +1 only, not {self.lo}..{self.hi}")

    @property
    def channels(self) -> int:
        """Length of the last axis."""
        return self.shape[-1]

    @property
    def size(self) -> int:
        """Elements of one frame."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return 1 if self.encoding == "bipolar" else bits_for(self.lo, self.hi)

    @property
    def signed(self) -> bool:
        """Whether an element is stored in two's complement with a sign bit."""
        return self.encoding == "twos" and self.lo < 0

    def stream(self, lanes: int) -> Stream:
        """This tensor sent `lanes` elements a beat.

        Raises:
            ConfigError: `lanes` does not divide the number of elements.
        """
        if self.size % lanes:
            raise ConfigError(f"lanes={lanes!r} does not divide the {self.size} elements of {self}")
        return Stream(self.bits, lanes, self.size // lanes, self.signed, self.encoding == "bipolar")

    def carries(self, other: Tensor) -> bool:
        """Whether a consumer that expects `other` may read this tensor as it is: equal, or equal but for a reshape."""
        same = (self.size, self.lo, self.hi, self.encoding) == (other.size, other.lo, other.hi, other.encoding)
        return same and (self.scale == other.scale or self._element_scales(other) == other._element_scales(self))

    def _element_scales(self, other: Tensor) -> tuple[float, ...]:
        """Scales of as many elements as after which those of both tensors start anew."""
        count = self.channels * other.channels // math.gcd(self.channels, other.channels)
        own = self.scale if isinstance(self.scale, tuple) else (self.scale,) * self.channels
        return own * (count // self.channels)

    def __str__(self) -> str:
        dims = "x".join(map(str, self.shape))
        name = "bipolar" if self.encoding == "bipolar" else f"{'int' if self.signed else 'uint'}{self.bits}"
        return f"{dims} {name} [{self.lo}, {self.hi}]"


def check_ints(name: str, x: npt.NDArray[np.generic], tensor: Tensor) -> IntArray:
    """`x` as int64 with a leading batch axis, checked against its type.

    Args:
        name: of the tensor, for the message.
        x: integers of shape (frames, *tensor.shape).

    Raises:
        DataError: wrong shape, type or range.
    """
    if x.shape[1:] != tensor.shape:
        raise DataError(f"{name}: shape {x.shape!r} does not match (frames, {', '.join(map(str, tensor.shape))})")
    if not np.issubdtype(x.dtype, np.integer):
        raise DataError(f"{name}: dtype {x.dtype} where integers are expected; quantise first")
    if x.size and (int(x.min()) < tensor.lo or int(x.max()) > tensor.hi):
        raise DataError(f"{name}: values {x.min()}..{x.max()} leave the limits {tensor.lo}..{tensor.hi}")
    return np.asarray(x, np.int64)
