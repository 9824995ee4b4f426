# SPDX-License-Identifier: Apache-2.0
"""`QuantizeLinear` and `DequantizeLinear` of ONNX, of any version, and tensors of raw codes.

A `Value` whose `code` is a number stands for raw codes; see there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gatewright.errors import UnsupportedError
from gatewright.ir.chain import Rounding, Step
from gatewright.ir.graph import GraphInput
from gatewright.ir.importing import ImportContext, OnnxNode, QuantizedConstant, Value
from gatewright.ir.op import as_int64
from gatewright.ir.quantizers import Quantizer, check_finite, read_scale, read_zero
from gatewright.ir.types import FloatArray, Tensor

DOMAINS = ("", "ai.onnx", "com.microsoft")
TYPES: Mapping[int, str] = {
    2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 21: "uint4", 22: "int4", 25: "uint2", 26: "int2",
}  # fmt: skip
"""Types of codes, as ONNX numbers them."""
FLOAT = 1


def type_limits(dtype: str) -> tuple[int, int] | None:
    """Least and greatest number of an integer type such as "uint8"; None for other types."""
    match = re.fullmatch(r"(u?)int(\d+)", dtype)
    if match is None:
        return None
    bits = int(match[2])
    return (0, (1 << bits) - 1) if match[1] else (-(1 << bits - 1), (1 << bits - 1) - 1)


def integer_input(ctx: ImportContext, value: Value, element_type: int) -> None:
    """Let a model's input of an integer type be codes that the host sends as they are; any other stays float.

    Args:
        element_type: as ONNX numbers them.
    """
    limits = type_limits(TYPES.get(element_type, ""))
    if limits is None:
        return
    tensor = Tensor(value.index.shape, *limits)
    ctx.inputs.append(GraphInput(value.tensor, tensor, value.shape, value.index, (), Rounding(divisor=1.0)))
    ctx.values[value.tensor] = replace(value, type=tensor, code=0)


# --- reading ----------------------------------------------------------------------------------------------------------


def along_axis(node: OnnxNode, array: FloatArray, shape: tuple[int, ...], what: str) -> FloatArray:
    """A scale or zero point of an operand of a given shape, batch included, in a shape that goes to it.

    Raises:
        UnsupportedError: it does not fit.
    """
    if array.size == 1:
        return array.reshape(())
    axis, block = int(node.attributes.get("axis", 1)), int(node.attributes.get("block_size", 0))
    axis = axis + len(shape) if axis < 0 else axis
    if 0 <= axis < len(shape):
        if array.ndim == 1 and array.size == shape[axis]:
            return array.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        if block > 0 and array.ndim == len(shape):
            full = np.repeat(array, block, axis).take(range(min(shape[axis], array.shape[axis] * block)), axis)
            if full.shape == shape:
                return full
    raise UnsupportedError(
        node.name,
        f"a {what} of shape {array.shape!r} with axis={axis!r} and block_size={block!r} does not fit an operand of "
        f"shape {shape!r}: give one, or one for each element of the axis",
    )


def linear_quantizer(node: OnnxNode, ctx: ImportContext, shape: tuple[int, ...]) -> tuple[Quantizer, str]:
    """A `QuantizeLinear` node on an operand of a shape, batch included, and the type of its codes.

    Raises:
        UnsupportedError: codes that are no integers, or another precision than float32.
    """
    dtype = TYPES.get(node.attributes.get("output_dtype", 0) or 2, "")
    if len(node.inputs) > 2 and node.inputs[2]:
        dtype = str(ctx.constant(node, 2).dtype)
    limits = type_limits(dtype) if dtype in TYPES.values() else None
    if limits is None:
        kind = dtype or f"of ONNX type {node.attributes.get('output_dtype')!r}"
        raise UnsupportedError(node.name, f"codes {kind} have no hardware: quantise to integers of up to 16 bits")
    if node.attributes.get("precision", 0) not in (0, FLOAT):
        raise UnsupportedError(
            node.name, f"precision={node.attributes['precision']!r} has no hardware: leave it out, or use float32 (1)"
        )
    scale = along_axis(node, read_scale(node, ctx, 1), shape, "scale")
    zero = along_axis(node, read_zero(node, ctx, 2), shape, "zero point")
    lo, hi = (np.asarray(float(v)) for v in limits)
    return Quantizer(scale, zero, lo, hi, late=True), dtype


# --- constants --------------------------------------------------------------------------------------------------------


def quantize_linear_constant(node: OnnxNode, ctx: ImportContext) -> None:
    """Codes of a constant.

    Raises:
        UnsupportedError: it is not made of finite numbers.
    """
    constant = ctx.constant(node, 0)
    quantizer, dtype = linear_quantizer(node, ctx, constant.shape)
    precise = constant.astype(ctx.constant(node, 1).dtype)
    check_finite(node, precise, constant.dtype)
    codes = quantizer.integers(precise) + quantizer.zero
    ctx.constants[node.outputs[0]] = codes.astype(dtype if dtype in ("int16", "uint16", "uint8") else "int8")


def dequantize_constant(node: OnnxNode, ctx: ImportContext) -> None:
    """The numbers that codes stand for, in the precision of the file, and the integers behind them."""
    codes: npt.NDArray[np.generic] = ctx.constant(node, 0)
    if type_limits(str(codes.dtype)) is None:
        raise UnsupportedError(
            node.name, f"codes of type {codes.dtype} have no hardware: quantise to integers of up to 16 bits"
        )
    scale = along_axis(node, read_scale(node, ctx, 1), codes.shape, "scale")
    zero = along_axis(node, read_zero(node, ctx, 2), codes.shape, "zero point")
    integers = as_int64(codes.astype(np.int64) - zero.astype(np.int64))
    bits = max(1, int(integers.max(initial=0)).bit_length(), int(-integers.min(initial=0)).bit_length()) + 1
    kind = ctx.constant(node, 1).dtype
    kind = kind if kind in (np.float64, np.float16) else np.dtype(np.float32)
    ctx.quantized[node.outputs[0]] = QuantizedConstant(integers, scale, bits)
    ctx.constants[node.outputs[0]] = integers.astype(kind) * scale.astype(kind)


# --- activations ------------------------------------------------------------------------------------------------------


def dequantized(node: OnnxNode, ctx: ImportContext, value: Value) -> Value:
    """What a `DequantizeLinear` node makes of codes, or of any other integers: at best only the mark goes.

    Raises:
        UnsupportedError: the operand is no integers.
    """
    if value.type is None and not value.steps:
        raise UnsupportedError(
            node.name,
            f"{node.op_type} reads the float input {value.tensor!r}: put a QuantizeLinear before it",
        )
    shape = (1, *value.shape)
    scale = value.channel_vector(along_axis(node, read_scale(node, ctx, 1), shape, "scale"))
    zero = value.channel_vector(along_axis(node, read_zero(node, ctx, 2), shape, "zero point"))
    if scale is None or zero is None:
        raise UnsupportedError(
            node.name,
            f"a scale or zero point that varies within a channel of frames {value.shape!r} has no hardware: use one, "
            "or one per channel",
        )
    one_scale, one_zero = (v[:1] if len(set(v)) == 1 else v for v in (scale, zero))
    own = () if value.type is None else value.type.scale
    if value.code is not None and one_zero == (float(value.code),) and one_scale in (own, (own,)):
        return replace(value, code=None)
    number = value.as_number()
    shift = (Step("add", tuple(-v for v in one_zero)),) if any(one_zero) else ()
    return replace(number, steps=(*number.steps, *shift, Step("mul", one_scale)), origin=(*value.origin, node.name))
