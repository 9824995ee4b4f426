# SPDX-License-Identifier: Apache-2.0
"""The quantisers of ONNX dialects, as what they do to real numbers.

`Quant`, `IntQuant` and `BipolarQuant` (QONNX) add the zero point before they round, `QuantizeLinear` (ONNX) after: ties
fall differently where the zero point is odd. Inside the graph every integer is code - zero point, so that 0 is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.errors import UnsupportedError
from gatewright.ir.chain import HALF_EVEN, Mode, Rounding, Step, round_to_integer
from gatewright.ir.importing import ImportContext, OnnxNode, QuantizedConstant, Value
from gatewright.ir.op import as_int64
from gatewright.ir.types import FloatArray, Scale

MODES: Mapping[str, Mode] = {
    "ROUND": "half_even",
    "HALF_EVEN": "half_even",
    "CEIL": "ceil",
    "FLOOR": "floor",
    "UP": "away",
    "DOWN": "zero",
    "ROUND_TO_ZERO": "zero",
    "HALF_UP": "half_away",
    "HALF_DOWN": "half_zero",
}
"""Names of rounding modes in QONNX, in any case."""

LARGEST_ZERO = 1 << 24
"""A zero point up to this is a whole number of float32, in which the reference adds it."""


@dataclass(frozen=True, eq=False)
class Quantizer:
    """code = clip(round(real / scale + zero), lo, hi), and the real value of a code is scale * (code - zero).

    Attributes:
        scale, zero, lo, hi: float64, each of a shape that goes to that of the model's tensor.
        mode: of the rounding.
        bipolar: codes are +1 from 0 up, else -1; without zero point.
        late: the zero point is added after rounding, as ONNX does.
    """

    scale: FloatArray
    zero: FloatArray
    lo: FloatArray
    hi: FloatArray
    mode: Mode = "half_even"
    bipolar: bool = False
    late: bool = False

    @property
    def settings(self) -> tuple[FloatArray, ...]:
        """What may differ from channel to channel."""
        return self.scale, self.zero, self.lo, self.hi

    def integers(self, constant: npt.NDArray[Any]) -> FloatArray:
        """code - zero of a constant, in the constant's own precision: what every reader of the file gets."""
        ratio = constant / self.scale.astype(constant.dtype)
        zero = self.zero.astype(constant.dtype)
        if self.bipolar:
            return np.where(ratio >= 0, 1.0, -1.0)
        if self.late:
            return np.asarray(np.clip(np.rint(ratio) + zero, self.lo, self.hi) - zero, np.float64)
        # As the reference does it: clipped, then rounded.
        clipped = np.maximum(np.minimum(ratio + zero, self.hi), self.lo)
        return np.asarray(round_to_integer(clipped, self.mode) - zero, np.float64)


@dataclass(frozen=True)
class Target:
    """What a quantiser makes of an activation: after the steps, clip(round(..), lo, hi), see `ir.chain.quantize`."""

    scale: Scale
    lo: int
    hi: int
    bipolar: bool = False
    rounding: Rounding = HALF_EVEN
    steps: tuple[Step, ...] = ()


# --- reading ----------------------------------------------------------------------------------------------------------


def read_scale(node: OnnxNode, ctx: ImportContext, position: int) -> FloatArray:
    """A constant scale.

    Raises:
        UnsupportedError: it is computed, not positive or not finite.
    """
    scale = ctx.constant(node, position).astype(np.float64)
    if not (scale > 0).all() or not np.isfinite(scale).all():
        wrong = scale[~((scale > 0) & np.isfinite(scale))]
        raise UnsupportedError(
            node.name, f"scale {wrong.ravel()[:4].tolist()!r} must be positive and finite: calibrate or train again"
        )
    return scale


def read_zero(node: OnnxNode, ctx: ImportContext, position: int) -> FloatArray:
    """A constant zero point, 0 where it is left out.

    Raises:
        UnsupportedError: it is computed, or no whole number.
    """
    if len(node.inputs) <= position or not node.inputs[position]:
        return np.zeros(())
    zero = ctx.constant(node, position).astype(np.float64)
    if not (zero == np.rint(zero)).all() or (np.abs(zero) > LARGEST_ZERO).any():
        raise UnsupportedError(
            node.name,
            f"zero point {zero.ravel()[:4].tolist()!r} is no whole number of up to 24 bits: "
            "round it, or use a symmetric quantiser (zero point 0)",
        )
    return zero


def read_flag(node: OnnxNode, name: str, default: int | None = None) -> bool:
    """An attribute that is 0 or 1.

    Raises:
        UnsupportedError: it is something else, or left out where readers disagree on what that means.
    """
    value = node.attributes.get(name, default)
    if not isinstance(value, int) or value not in (0, 1):
        raise UnsupportedError(node.name, f"attribute {name}={value!r} of {node.op_type}: set it to 0 or 1")
    return bool(value)


def read_mode(node: OnnxNode, default: str) -> Mode:
    """The rounding mode of a QONNX node.

    Raises:
        UnsupportedError: no known one.
    """
    name = str(node.attributes.get("rounding_mode", default))
    if name.upper() not in MODES:
        raise UnsupportedError(node.name, f"rounding_mode={name!r} is not known: use one of {', '.join(MODES)}")
    return MODES[name.upper()]


def read_bits(node: OnnxNode, ctx: ImportContext, position: int, least: int) -> FloatArray:
    """Constant bit widths.

    Raises:
        UnsupportedError: they are computed, or not whole numbers from `least` to 32.
    """
    bits = ctx.constant(node, position).astype(np.float64)
    wrong = bits[~((bits >= least) & (bits <= 32) & (bits == np.rint(bits)))]
    if wrong.size:
        raise UnsupportedError(
            node.name, f"bit width {wrong.ravel()[:4].tolist()!r}: use whole numbers from {least} to 32"
        )
    return bits


def code_limits(bits: FloatArray, signed: bool, narrow: bool) -> tuple[FloatArray, FloatArray]:
    """Least and greatest code of QONNX's integers of so many bits."""
    if signed:
        return -(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1
    return np.zeros(bits.shape), 2.0**bits - 1 - narrow


def qonnx_quantizer(node: OnnxNode, ctx: ImportContext) -> Quantizer:
    """A `Quant`, `IntQuant` or `BipolarQuant` node.

    Raises:
        UnsupportedError: a setting that means nothing, or not the same to all readers.
    """
    scale = read_scale(node, ctx, 1)
    one = np.ones(())
    if node.op_type == "BipolarQuant":
        return Quantizer(scale, 0 * one, -one, one, bipolar=True)
    zero, mode = read_zero(node, ctx, 2), read_mode(node, "ROUND")
    bits = read_bits(node, ctx, 3, least=1 if ctx.is_dynamic(node.inputs[0]) else 0)
    signed, narrow = read_flag(node, "signed"), read_flag(node, "narrow")
    lo, hi = code_limits(bits, signed, narrow)
    if not signed or not (bits == 1).any():
        return Quantizer(scale, zero, lo, hi, mode)
    # One signed bit is bipolar in QONNX.
    if zero.any():
        raise UnsupportedError(
            node.name, f"one signed bit with zero point {zero.ravel()[:4].tolist()!r}: use zero point 0, or two bits"
        )
    if not (bits == 1).all():
        return _some_bipolar(node, ctx, Quantizer(scale, zero, lo, hi, mode), bits)
    return Quantizer(scale, zero, -one, one, bipolar=True)


def _some_bipolar(node: OnnxNode, ctx: ImportContext, twos: Quantizer, bits: FloatArray) -> Quantizer:
    """A quantiser with one signed bit for some elements, where -1 and 0, and -1 and +1, give the same.

    Raises:
        UnsupportedError: they do not.
    """
    reason = "one signed bit for some elements is -1 and 0 to some readers and -1 and +1 to others: use two bits there"
    if ctx.is_dynamic(node.inputs[0]):
        raise UnsupportedError(node.name, reason)
    constant = ctx.constant(node, 0)
    single = np.broadcast_to(bits == 1, constant.shape)
    both = twos.integers(constant)[single], replace(twos, bipolar=True).integers(constant)[single]
    if not np.array_equal(*both):
        raise UnsupportedError(node.name, reason)
    return twos


# --- constants --------------------------------------------------------------------------------------------------------


def quantize_constant(node: OnnxNode, ctx: ImportContext, quantizer: Quantizer) -> None:
    """A weight, as integers and as the numbers that they stand for.

    Raises:
        UnsupportedError: it is not made of finite floats.
    """
    constant = ctx.constant(node, 0)
    check_finite(node, constant, constant.dtype)
    integers, output = quantizer.integers(constant), node.outputs[0]
    if np.broadcast_shapes(integers.shape, constant.shape) != constant.shape:
        raise UnsupportedError(
            node.name, f"scale of shape {quantizer.scale.shape!r} for a constant of shape {constant.shape!r}: fit it"
        )
    bits = int(np.ceil(np.log2(np.max(quantizer.hi - quantizer.lo) + 1)))
    ctx.quantized[output] = QuantizedConstant(as_int64(integers), quantizer.scale, bits)
    ctx.constants[output] = np.asarray(ctx.quantized[output].values * quantizer.scale)


def check_finite(node: OnnxNode, values: npt.NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Refuse to quantise what is no finite float.

    Args:
        dtype: of the constant in the file.

    Raises:
        UnsupportedError: some values are not finite, or they are no floats.
    """
    if not np.issubdtype(values.dtype, np.floating) or not np.isfinite(values).all():
        raise UnsupportedError(node.name, f"the constant ({dtype}) is not made of finite floats: export it again")


# --- activations ------------------------------------------------------------------------------------------------------


def target(node: OnnxNode, value: Value, quantizer: Quantizer) -> Target:
    """A quantiser on the channels of an activation.

    Raises:
        UnsupportedError: its settings vary within a channel, or its zero point from one to the next.
    """
    settings = {
        "scale": quantizer.scale,
        "bit width": quantizer.lo,
        "range": quantizer.hi,
        "zero point": quantizer.zero,
    }
    vectors = {name: value.channel_vector(array) for name, array in settings.items()}
    for name, vector in vectors.items():
        if vector is None:
            raise UnsupportedError(
                node.name,
                f"a {name} of shape {settings[name].shape!r} varies within a channel of frames {value.shape!r}: "
                f"use one {name}, or one per channel",
            )
    scale, lows, highs, zeros = ((v[0],) if len(set(v)) == 1 else v for v in vectors.values() if v is not None)
    if len(zeros) > 1:
        raise UnsupportedError(
            node.name, f"zero points {list(zeros[:4])!r} of an activation's channels differ: use one for all channels"
        )
    zero, steps, divisor = int(zeros[0]), tuple[Step, ...](), None
    if len(lows) > 1 or len(highs) > 1:
        low, high = (tuple(v - zero for v in ends) for ends in (lows, highs))
        steps, divisor = (Step("div", scale), Step("max", low), Step("min", high)), 1.0
    return Target(
        scale[0] if len(scale) == 1 else scale,
        int(min(lows)) - zero,
        int(max(highs)) - zero,
        quantizer.bipolar,
        Rounding(quantizer.mode, 0 if quantizer.late else effective_zero(quantizer.mode, zero), divisor),
        steps,
    )


def effective_zero(mode: Mode, zero: int) -> int:
    """A zero point that is added before rounding and taken off after it, as far as that changes anything."""
    if mode in ("floor", "ceil"):
        return 0
    return zero % 2 if mode == "half_even" else zero
