# SPDX-License-Identifier: Apache-2.0
"""Nearest-neighbour upsampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.cost import Features, counters, ping_pong
from gatewright.ir.hls4ml import Layers, one
from gatewright.ir.importing import ImportContext, OnnxNode, Value, standard_index
from gatewright.ir.op import Bounds, Op, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.reshape import in_layout

LONGEST = 1 << 16
"""Pixels along an axis of the largest result, each of which is compared."""
HALF_PIXEL = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
"""Coordinate transformations of ONNX that are one where the factor is whole and the output has several pixels."""


@dataclass(frozen=True, eq=False)
class Upsample(Op):
    """Every pixel becomes a block of `factor_h` by `factor_w` equal pixels.

    Attributes:
        source: image of shape (height, width, channels).
        factor_h, factor_w: output rows a row, and output pixels a pixel of it.
        pe: channels moved at once; divides the channels.
    """

    source: Tensor
    factor_h: int
    factor_w: int
    pe: int = 1

    def __post_init__(self) -> None:
        if len(self.source.shape) != 3:
            raise ConfigError(f"upsample: input {self.source} must have shape (height, width, channels)")
        if min(self.factor_h, self.factor_w) < 1:
            raise ConfigError(
                f"upsample: factor_h={self.factor_h!r} and factor_w={self.factor_w!r} must be at least 1: "
                "use a pooling layer to reduce an image"
            )
        self.check_folding(pe=(self.source.channels, "channels"))

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The larger image."""
        height, width, channels = self.source.shape
        return (replace(self.source, shape=(height * self.factor_h, width * self.factor_w, channels)),)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Repeats rows and columns."""
        return (xs[0].repeat(self.factor_h, axis=1).repeat(self.factor_w, axis=2),)

    def bounds(self) -> tuple[Bounds, ...]:
        """The input's own limits."""
        n = self.source.channels
        return (Bounds((self.source.lo,) * n, (self.source.hi,) * n, witness="the input's own limits"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Resize` and `Upsample` to a multiple of the size by the nearest pixel; float steps before it move behind."""
        if node.op_type not in ("Resize", "Upsample") or not ctx.is_dynamic(node.inputs[0]):
            return False
        value, tensor = ctx.integer(node, 0, lambda v: True)
        if len(value.shape) not in (2, 3):
            raise UnsupportedError(
                node.name,
                f"{node.op_type} on frames of shape {value.shape!r}: only images and rows have hardware; reshape to "
                "(batch, channels, height, width) before it",
            )
        factors = _factors(node, ctx, value)
        image = in_layout(ctx, value, node, standard_index(value.shape))
        shape = (value.shape[0], *(n * f for n, f in zip(value.shape[1:], factors, strict=True)))
        # A row (channels, length) is an image of one line.
        op = cls(replace(tensor, shape=(1, *image.index.shape)[-3:]), *(1, *factors)[-2:])
        ctx.emit(op, (image,), node.outputs[0], node, shape)
        result = ctx.values[node.outputs[0]]
        ctx.values[node.outputs[0]] = replace(result, type=replace(op.outputs[0], shape=result.index.shape))
        for step in image.steps:
            ctx.extend(ctx.values[node.outputs[0]], step, node.outputs[0], node)
        return True

    def hls4ml(self) -> Layers:
        """A resize to the nearest pixel."""
        (height, width, channels), (out,) = self.source.shape, self.outputs
        sides = {"in_height": height, "in_width": width, "out_height": out.shape[0], "out_width": out.shape[1]}
        attributes = sides | {"n_chan": channels, "algorithm": "nearest", "data_format": "channels_last"}
        return one("Resize", out, attributes)

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.source.channels)}

    @property
    def cycles(self) -> int:
        """One beat of the output a step."""
        return self.source.size // self.pe * self.factor_h * self.factor_w

    def schedule(self) -> Schedule:
        """One row is read while the next one is written; it has its place once the row before the last is finished."""
        height, width, channels = self.source.shape
        beats = np.arange(self.source.size // self.pe).reshape(height, width, channels // self.pe)
        need = beats.repeat(self.factor_h, axis=0).repeat(self.factor_w, axis=1).ravel() + 1
        after = np.repeat((np.arange(height) - 1) * (self.cycles // height), beats[0].size)
        ahead = np.maximum.accumulate(need)
        return Schedule(self.cycles, 2, (ahead,), (np.ones(self.cycles, np.bool_),), (after,))

    def parameters(self) -> dict[str, int]:
        """Adds the shape of a row."""
        return super().parameters() | {"width": self.source.shape[1], "channels": self.source.channels}

    def features(self) -> Features:
        """Two rows of memory, and the loops that read them."""
        _, width, channels = self.source.shape
        groups = channels // self.pe
        counts, rows = ping_pong(self.pe * self.source.bits, width * groups)
        loops = (groups, self.factor_w, width, self.factor_h)
        counts["out"] = float(self.pe * self.source.bits)
        counts["loops"] = float(sum(n > 1 for n in loops))
        return Features({**counts, **counters(*loops, self.cycles)}, (rows,))

    @classmethod
    def examples(cls) -> list[Op]:
        """Equal and unequal factors, none at all, one row, one pixel, signs, bipolar."""
        return [
            cls(Tensor((3, 4, 2), 0, 15), 2, 2, 2),
            cls(Tensor((2, 3, 6), -8, 7), 3, 1, 2),
            cls(Tensor((4, 2, 3), 0, 255), 1, 4),
            cls(Tensor((1, 5, 4), -3, 3), 2, 2, 4),
            cls(Tensor((5, 1, 1), 0, 1), 2, 3),
            cls(Tensor((1, 1, 1), 0, 7), 2, 2),
            cls(Tensor((3, 1, 2), 0, 7), 1, 1, 2),
            cls(Tensor((2, 2, 4), -1, 1, 1.0, "bipolar"), 2, 2, 2),
        ]


# --- import -----------------------------------------------------------------------------------------------------------


def _factors(node: OnnxNode, ctx: ImportContext, value: Value) -> tuple[int, ...]:
    """Whole factor of every axis behind the channels.

    Raises:
        UnsupportedError: another mode, or an axis whose output is not every pixel a whole number of times.
    """
    mode = node.attributes.get("mode", "nearest")
    if mode != "nearest":
        raise UnsupportedError(
            node.name, f"{node.op_type} with mode={mode!r} has no hardware: use 'nearest', with a convolution behind it"
        )
    dims = (1, *value.shape)
    scales = _scales(node, ctx, dims)
    if len(scales) != len(dims) or scales[0] != 1 or scales[1] != 1:
        raise UnsupportedError(
            node.name, f"{node.op_type} by {[float(s) for s in scales]!r}: batch and channels must keep their size"
        )
    for size, scale in zip(dims[2:], scales[2:], strict=True):
        if scale < 1 or scale.denominator != 1:
            raise UnsupportedError(
                node.name,
                f"{node.op_type} of {size} pixels by {float(scale)!r}: only whole factors have hardware; "
                "use a pooling layer to reduce an image",
            )
        if size * int(scale) > LONGEST:
            raise UnsupportedError(
                node.name,
                f"{node.op_type} to {size * int(scale)} pixels along an axis: at most {LONGEST} have hardware",
            )
        used = _form(node)
        if not _repeats(used, size, int(scale)):
            raise UnsupportedError(
                node.name,
                f"{node.op_type} with coordinate_transformation_mode={used[0]!r} and nearest_mode={used[1]!r} does "
                f"not repeat every pixel {int(scale)} times: use 'asymmetric' and 'floor'",
            )
    return tuple(int(s) for s in scales[2:])


def _scales(node: OnnxNode, ctx: ImportContext, dims: Sequence[int]) -> list[Fraction]:
    """Factor of every axis, from the operator's scales or sizes."""
    scales_at, sizes_at = (1, 9) if node.op_type == "Upsample" or len(node.inputs) == 2 else (2, 3)
    axes = [a % len(dims) for a in node.attributes.get("axes", range(len(dims)))]
    scales = [Fraction(1)] * len(dims)
    if len(node.inputs) > sizes_at and node.inputs[sizes_at]:
        policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            raise UnsupportedError(
                node.name, f"Resize with keep_aspect_ratio_policy={policy!r} has no hardware: use scales"
            )
        sizes = ctx.dims(node, sizes_at)
        for axis, size in zip(axes, sizes, strict=True):
            scales[axis] = Fraction(int(size), dims[axis]) if axis else Fraction(1)  # the batch has any size
        return scales
    given = node.attributes.get("scales")
    factors = given if given is not None else ctx.constant(node, scales_at).ravel().tolist()
    if not all(math.isfinite(f) for f in factors):
        raise UnsupportedError(node.name, f"scales {list(factors)!r} must be finite")
    for axis, factor in zip(axes, factors, strict=True):
        scales[axis] = Fraction(float(factor))
    return scales


def _form(node: OnnxNode) -> tuple[str, str]:
    """How output pixels are mapped to input coordinates, and those to pixels."""
    if node.op_type == "Upsample":
        return "asymmetric", "floor"
    get = node.attributes.get
    return get("coordinate_transformation_mode", "half_pixel"), get("nearest_mode", "round_prefer_floor")


def _repeats(form: tuple[str, str], size: int, factor: int) -> bool:
    """Whether output pixel i of an axis is input pixel i // factor, by the definitions of ONNX, in exact arithmetic."""
    transform, nearest = form
    half = Fraction(1, 2)
    last = max(1, size * factor - 1)
    coordinates: dict[str, Callable[[int], Fraction]] = {
        "asymmetric": lambda i: Fraction(i, factor),
        "tf_half_pixel_for_nn": lambda i: (i + half) / factor,
        "align_corners": lambda i: Fraction(i * (size - 1), last),
        **dict.fromkeys(HALF_PIXEL, lambda i: (i + half) / factor - half),
    }
    roundings: dict[str, Callable[[Fraction], int]] = {
        "floor": math.floor,
        "ceil": math.ceil,
        "round_prefer_floor": lambda v: math.ceil(v - half),
        "round_prefer_ceil": lambda v: math.floor(v + half),
    }
    if transform not in coordinates or nearest not in roundings:
        return False
    at, choose = coordinates[transform], roundings[nearest]
    return all(min(max(choose(at(i)), 0), size - 1) == i // factor for i in range(size * factor))
