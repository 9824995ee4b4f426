# SPDX-License-Identifier: Apache-2.0
"""The inputs and outputs of a network: what the host does before and after the hardware."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .chain import HALF_EVEN, Rounding, Step, evaluate, quantize_in_place, round_in_place
from .errors import DataError
from .host import HostStep, Values, place, run_steps
from .types import FloatArray, IntArray, Tensor

_MANY = 1 << 13
"""Elements from which on a look at the least and the greatest costs less than it saves."""


@dataclass(frozen=True, eq=False)
class GraphInput:
    """An input: the output of the model's first quantiser, which runs on the host.

    Attributes:
        name: of the tensor, and of the model's input.
        tensor: its integer type.
        shape: of one frame of the model's float input, without the batch.
        index: int64 of `tensor.shape`: which flat element of the float frame each integer comes from.
        steps: float steps before the quantiser, per channel of the tensor.
        rounding: of the quantiser.
    """

    name: str
    tensor: Tensor
    shape: tuple[int, ...]
    index: IntArray
    steps: tuple[Step, ...] = ()
    rounding: Rounding = HALF_EVEN

    def quantize(self, x: npt.NDArray[np.generic]) -> IntArray:
        """Float frames (frames, *shape) to integers (frames, *tensor.shape): see `chain.quantize`.

        Raises:
            DataError: wrong shape, a type that is not a number, or a value that is not finite.
        """
        self.check(x)
        return np.asarray(self.quantize_flat(x.reshape(len(x), self.index.size)), np.int64)

    def check(self, x: npt.NDArray[np.generic]) -> None:
        """Whether `x` holds frames of numbers.

        Raises:
            DataError: wrong shape, or a type that is not a number.
        """
        if x.shape[1:] != self.shape or not x.ndim:
            hint = "; for a single frame write x[None]" if x.shape == self.shape else ""
            need = f"(frames, {', '.join(map(str, self.shape))})"
            raise DataError(f"input {self.name!r}: got shape {x.shape!r}, need {need}{hint}")
        if not (np.issubdtype(x.dtype, np.floating) or np.issubdtype(x.dtype, np.integer)):
            raise DataError(f"input {self.name!r}: got dtype {x.dtype}, need floats (the network's own inputs)")

    def quantize_flat(self, x: npt.NDArray[np.generic], room: FloatArray | None = None) -> FloatArray:
        """The integers of checked frames (frames, elements), as float64 of shape (frames, *tensor.shape).

        Args:
            room: contiguous float64 of as many elements, overwritten; may hold the result.

        Raises:
            DataError: a value that is not finite.
        """
        least, greatest = (float(f.reduce(x, axis=None)) if x.size else 0.0 for f in (np.minimum, np.maximum))
        if not (math.isfinite(least) and math.isfinite(greatest)):
            raise DataError(f"input {self.name!r}: holds NaN or infinite values; remove them")
        real = np.empty(x.shape) if room is None else room.reshape(x.shape)
        real[...] = x if self.in_order else np.take(x, self.index.ravel(), axis=1)
        real = real.reshape(len(x), *self.tensor.shape)
        if x.size > _MANY and self._keeps_within(least, greatest):
            round_in_place(real, self.tensor.scale, self.rounding)  # without clipping
            return real
        return self._round(evaluate(self.steps, real))

    def _keeps_within(self, least: float, greatest: float) -> bool:
        """Whether no number from `least` to `greatest` needs clipping; False where that is not known."""
        t = self.tensor
        divisor = t.scale if self.rounding.divisor is None else self.rounding.divisor
        if self.steps or t.encoding == "bipolar" or isinstance(divisor, tuple) or not divisor > 0:
            return False
        ends = np.array([least, greatest])
        round_in_place(ends, divisor, self.rounding)
        return bool(t.lo <= ends[0] and ends[1] <= t.hi)

    def quantize_values(self, values: npt.NDArray[np.generic]) -> FloatArray:
        """The integers of single values in every channel, as float64 of shape (values, channels)."""
        real = np.repeat(values.astype(np.float64)[:, None], self.tensor.channels, axis=1)
        return self._round(evaluate(self.steps, real))

    def _round(self, real: FloatArray) -> FloatArray:
        t = self.tensor
        return quantize_in_place(real, t.scale, t.lo, t.hi, t.encoding == "bipolar", self.rounding)

    @cached_property
    def in_order(self) -> bool:
        """Whether the integers lie as the floats do."""
        return np.array_equal(self.index.ravel(), np.arange(self.index.size))


@dataclass(frozen=True, eq=False)
class GraphOutput:
    """An output: real value = scale * integer + offset per channel, then what has no hardware; all on the host.

    Attributes:
        name: of the model's output.
        tensor: name of the integer tensor; outputs of one tensor share one stream of the hardware.
        frame: shape of one frame of the model's float tensor that the integers are, without the batch.
        index: int64, shape of the tensor: which flat element of that frame each integer becomes.
        scale, offset: float64, one per channel of the tensor.
        steps: float steps then, per channel of the tensor.
        host: functions of whole frames after that.
        positions: the integers are positions, such as labels, and no numbers on a scale.
    """

    name: str
    tensor: str
    frame: tuple[int, ...]
    index: IntArray
    scale: FloatArray
    offset: FloatArray
    steps: tuple[Step, ...] = ()
    host: tuple[HostStep, ...] = ()
    positions: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame of the model's output, without the batch."""
        return self.host[-1].shape if self.host else self.frame

    def dequantize(self, y: IntArray) -> Values:
        """Integers (frames, *tensor shape) to the model's output (frames, *shape): float64, or int64 positions."""
        y = y.reshape(len(y), *self.index.shape)
        real: Values = y if self.positions else y * self.scale + self.offset
        real = run_steps(self.steps, real)
        out = real.reshape(len(y), *self.frame) if self.in_order else place(real, self.index, self.frame)
        for step in self.host:
            out = step.apply(out)
        return out

    @cached_property
    def in_order(self) -> bool:
        """Whether the integers lie as the floats do."""
        return np.array_equal(self.index.ravel(), np.arange(self.index.size))

    def host_functions(self) -> list[str]:
        """What the host computes beyond scale and offset, in order and in words."""
        done: list[str] = [s.kind for s in self.steps]
        for step in self.host:
            done += [str(step.function), *(s.kind for s in step.steps)]
        return done
