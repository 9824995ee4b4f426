# SPDX-License-Identifier: Apache-2.0
"""The inputs and outputs of a network: what the host does before and after the hardware."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .chain import HALF_EVEN, Rounding, Step, evaluate, quantize
from .errors import DataError
from .host import HostStep, Values, place, run_steps
from .types import FloatArray, IntArray, Tensor


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
        if x.shape[1:] != self.shape:
            raise DataError(
                f"input {self.name!r}: got shape {x.shape!r}, need (frames, {', '.join(map(str, self.shape))})"
            )
        if not (np.issubdtype(x.dtype, np.floating) or np.issubdtype(x.dtype, np.integer)):
            raise DataError(f"input {self.name!r}: got dtype {x.dtype}, need floats (the network's own inputs)")
        real = (
            x.reshape(len(x), self.index.size)
            .astype(np.float64)[:, self.index.ravel()]
            .reshape(len(x), *self.tensor.shape)
        )
        if not np.isfinite(real).all():
            raise DataError(f"input {self.name!r}: holds NaN or infinite values; remove them")
        t = self.tensor
        return quantize(evaluate(self.steps, real), t.scale, t.lo, t.hi, t.encoding == "bipolar", self.rounding)


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
        out = place(run_steps(self.steps, real), self.index, self.frame)
        for step in self.host:
            out = step.apply(out)
        return out

    def host_functions(self) -> list[str]:
        """What the host computes beyond scale and offset, in order and in words."""
        done: list[str] = [s.kind for s in self.steps]
        for step in self.host:
            done += [str(step.function), *(s.kind for s in step.steps)]
        return done
