# SPDX-License-Identifier: Apache-2.0
"""Functions at the end of a model that have no hardware: the host applies them to what the hardware gave.

They work on the model's own frames, batch axis first, in float64, and are what ONNX defines. The one exception is a
tie: float32 may call two values equal that float64 tells apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .chain import HALF_EVEN, Rounding, Step, evaluate, quantize
from .types import FloatArray, IntArray, Scale, bits_for

Values = npt.NDArray[Any]
"""Real values in float64, or positions and labels in integers."""


class HostFunction(ABC):
    """A function of batches of frames; axis 0 is the batch, which no function mixes."""

    @abstractmethod
    def apply(self, x: Values) -> Values:
        """The function on an array of shape (frames, ...)."""

    def frame(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one frame of the result, from that of the operand; by default the same."""
        return shape


@dataclass(frozen=True)
class Softmax(HostFunction):
    """exp(x) / sum exp(x), or its logarithm, over `axes` together."""

    axes: tuple[int, ...]
    log: bool = False

    def apply(self, x: Values) -> Values:
        """The greatest value is taken off first, so that nothing overflows."""
        x = x - x.max(axis=self.axes, keepdims=True)
        total = np.exp(x).sum(axis=self.axes, keepdims=True)
        return np.asarray(x - np.log(total) if self.log else np.exp(x) / total)

    def __str__(self) -> str:
        return f"{'log ' if self.log else ''}softmax over {_axes(self.axes)}"


@dataclass(frozen=True)
class Hardmax(HostFunction):
    """1.0 at the first of the greatest values over `axes` together, 0.0 elsewhere."""

    axes: tuple[int, ...]

    def apply(self, x: Values) -> Values:
        """`axes` are the last ones of a coerced matrix, or a single one."""
        moved = np.moveaxis(x, self.axes, range(-len(self.axes), 0))
        rows = moved.reshape(*moved.shape[: x.ndim - len(self.axes)], -1)
        hot = np.zeros(rows.shape)
        np.put_along_axis(hot, rows.argmax(axis=-1)[..., None], 1.0, axis=-1)
        return np.moveaxis(hot.reshape(moved.shape), range(-len(self.axes), 0), self.axes)

    def __str__(self) -> str:
        return f"hardmax over {_axes(self.axes)}"


@dataclass(frozen=True)
class ArgMax(HostFunction):
    """Position of the greatest (or least) value along an axis: the first of equals, or the last."""

    axis: int
    keepdims: bool = True
    last: bool = False
    least: bool = False

    def apply(self, x: Values) -> Values:
        """int64 positions."""
        x = -x if self.least else x
        best = np.flip(x, self.axis).argmax(axis=self.axis) if self.last else x.argmax(axis=self.axis)
        best = x.shape[self.axis] - 1 - best if self.last else best
        return np.asarray(np.expand_dims(best, self.axis) if self.keepdims else best, np.int64)

    def frame(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The axis has length 1, or is gone."""
        return (*shape[: self.axis - 1], *((1,) if self.keepdims else ()), *shape[self.axis :])

    def __str__(self) -> str:
        return f"{'argmin' if self.least else 'argmax'} over {_axes((self.axis,))}"


@dataclass(frozen=True)
class TopK(HostFunction):
    """The `k` greatest (or least) values along an axis in order, or their positions; the first of equals first."""

    axis: int
    k: int
    largest: bool = True
    positions: bool = False

    def apply(self, x: Values) -> Values:
        """Values, or int64 positions."""
        order = np.argsort(-x if self.largest else x, axis=self.axis, kind="stable")
        order = np.take(order, np.arange(self.k), axis=self.axis)
        return np.asarray(order, np.int64) if self.positions else np.take_along_axis(x, order, self.axis)

    def frame(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The axis has length `k`."""
        return (*shape[: self.axis - 1], self.k, *shape[self.axis :])

    def __str__(self) -> str:
        what = "positions" if self.positions else "values"
        return f"{what} of the {'top' if self.largest else 'least'} {self.k} over {_axes((self.axis,))}"


@dataclass(frozen=True)
class Cast(HostFunction):
    """Another type of number, by its NumPy name; floats lose their fraction on the way to integers."""

    dtype: str

    def apply(self, x: Values) -> Values:
        """As NumPy converts."""
        return x.astype(self.dtype)

    def __str__(self) -> str:
        return f"cast to {self.dtype}"


@dataclass(frozen=True)
class Quantizer(HostFunction):
    """A quantiser behind another function: the numbers that it leaves, or its codes.

    Attributes:
        steps: float steps of its own before it rounds, per channel of the layout channels last.
        scale: of the integers, one number or one a channel.
        lo, hi: limits of the integers.
        code: None for numbers, scale * integer; for codes what is added to the integer, the zero point.
    """

    scale: Scale
    lo: int
    hi: int
    steps: tuple[Step, ...] = ()
    bipolar: bool = False
    rounding: Rounding = HALF_EVEN
    code: int | None = None

    def apply(self, x: Values) -> Values:
        """As the quantiser of a model's input, on the host too."""
        index = layout_index(x.shape[1:])
        real = x.reshape(len(x), index.size)[:, index.ravel()].reshape(len(x), *index.shape).astype(np.float64)
        y = quantize(evaluate(self.steps, real), self.scale, self.lo, self.hi, self.bipolar, self.rounding)
        return place(y * np.asarray(self.scale) if self.code is None else y + self.code, index, x.shape[1:])

    def __str__(self) -> str:
        return f"quantised to {bits_for(self.lo, self.hi)} bits"


Arithmetic = Literal["add", "sub", "mul", "div", "pow", "min", "max", "prelu"]
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "min": np.minimum,
    "max": np.maximum, "prelu": lambda x, slope: np.where(x < 0, x * slope, x),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Elementwise(HostFunction):
    """Arithmetic with constants, which may differ for every element of a frame.

    Attributes:
        operand: float64 of shape (1, ...), one axis more than a frame.
        swapped: the constants stand on the left.
    """

    kind: Arithmetic
    operand: FloatArray
    swapped: bool = False

    def apply(self, x: Values) -> Values:
        """Broadcasts; what leaves float64 becomes infinite or no number, as in the model."""
        with np.errstate(all="ignore"):
            function = _ARITHMETIC[self.kind]
            return np.asarray(function(self.operand, x) if self.swapped else function(x, self.operand))

    def frame(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Broadcast with the constants."""
        return np.broadcast_shapes((1, *shape), self.operand.shape)[1:]

    def __str__(self) -> str:
        return f"{self.kind} with a constant of shape {self.operand.shape[1:]!r}"


@dataclass(frozen=True, eq=False)
class HostStep:
    """A function of the model's frames, and the float steps and views behind it.

    Attributes:
        source: int64 in the layout of the float steps: flat position in the function's result of each element.
        index: int64 in the same layout: flat position in `shape` of each element.
        shape: of one frame then.
        steps: per channel of that layout.
    """

    function: HostFunction
    source: IntArray
    index: IntArray
    shape: tuple[int, ...]
    steps: tuple[Step, ...] = ()

    def apply(self, x: Values) -> Values:
        """The function, steps and views on frames of shape (frames, ...)."""
        y = self.function.apply(x)
        flat = y.reshape(len(y), self.source.size)[:, self.source.ravel()]
        return place(run_steps(self.steps, flat.reshape(len(y), *self.source.shape)), self.index, self.shape)


def run_steps(steps: Sequence[Step], x: Values) -> Values:
    """Float steps on values of shape (..., channels); integers stay what they are."""
    if not steps:
        return x
    with np.errstate(all="ignore"):  # what is no number here is none in the model
        y = evaluate(steps, x.astype(np.float64))
    return y.astype(x.dtype)


def place(x: Values, index: IntArray, shape: tuple[int, ...]) -> Values:
    """Values in a layout, (frames, *index.shape), at their positions in frames of `shape`."""
    out = np.empty((len(x), index.size), x.dtype)
    out[:, index.ravel()] = x.reshape(len(x), index.size)
    return out.reshape(len(x), *shape)


def layout_index(shape: tuple[int, ...]) -> IntArray:
    """Flat position in a channels-first frame (C, ...) of each element of its layout channels last, (..., C)."""
    flat = np.arange(int(np.prod(shape))).reshape(shape or (1,))
    return np.ascontiguousarray(np.moveaxis(flat, 0, -1)) if len(shape) > 1 else flat


def _axes(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
