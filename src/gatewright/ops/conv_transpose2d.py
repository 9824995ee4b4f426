# SPDX-License-Identifier: Apache-2.0
"""Transposed convolution over one or two image axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.chain import Step
from gatewright.ir.importing import MAX_ELEMENTS, ImportContext, OnnxNode, Value
from gatewright.ir.op import Bounds, Op, as_int64
from gatewright.ir.phases import Axis, place_of, reach_of, split_axis
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.conv2d import Conv2d, as_image
from gatewright.ops.reshape import Reshape
from gatewright.ops.slice import Slice


@dataclass(frozen=True, eq=False)
class ConvTranspose2d(Op):
    """A transposed convolution of an image (height, width, channels) or a row (width, channels), in groups.

    Every pixel adds its products with all taps to the outputs from stride * place - pad on. Lowered to one convolution
    of stride 1 that gives all phases of a place as its filters, a `reshape` that puts them side by side, row by row,
    and a `slice` where more was made than is wanted: no zeros are put between pixels.

    Attributes:
        source: the image.
        weight: int64 of shape (channels, kernel_h, kernel_w, filters / groups).
        weight_scale: one, or one per filter.
        out_height, out_width: of the output.
        pad_top, pad_left: outputs that are left out in front.
        groups: divides the channels; each group of channels gives its own group of filters.
    """

    composite = True

    source: Tensor
    weight: IntArray
    out_height: int
    out_width: int
    weight_scale: tuple[float, ...] = (1.0,)
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        if len(self.source.shape) not in (2, 3):
            raise ConfigError(
                f"conv_transpose2d: input {self.source} must have shape (height, width, channels) or (width, channels)"
            )
        channels = self.source.channels
        if self.weight.ndim != 4 or len(self.weight) != channels or channels % self.groups:
            raise ConfigError(
                f"conv_transpose2d: weight shape {self.weight.shape!r} in groups={self.groups!r} does not fit "
                f"{self.source}: need (channels, height, width, filters / groups) with groups that divide the channels"
            )
        if min(self.out_height, self.out_width, self.stride_h, self.stride_w, self.dilation_h, self.dilation_w) < 1:
            raise ConfigError(
                f"conv_transpose2d: outputs {self.out_height}x{self.out_width}, strides "
                f"{self.stride_h}x{self.stride_w} and dilations {self.dilation_h}x{self.dilation_w} must be at least 1"
            )
        if min(self.pad_top, self.pad_left) < 0:
            raise ConfigError("conv_transpose2d: negative padding has no hardware: pad the output behind it")

    @property
    def filters(self) -> int:
        """Channels of the output."""
        return self.weight.shape[-1] * self.groups

    def check_extent(self, node: OnnxNode) -> None:
        """Refuse a geometry that only a damaged attribute can ask for.

        Raises:
            UnsupportedError: the padded image, the phases of all places, or their weights are too many numbers.
        """
        rows, cols = self._axes
        made = math.prod(a.places * a.stride for a in (rows, cols)) * self.filters
        read = math.prod(a.places + (a.taps - 1) * a.spread for a in (rows, cols)) * self.source.channels
        weights = math.prod(a.stride * a.taps for a in (rows, cols)) * self.filters * self.source.channels
        if max(made, read, weights) > MAX_ELEMENTS:
            raise UnsupportedError(
                node.name,
                f"{node.op_type} with strides {self.stride_h}x{self.stride_w}, dilations "
                f"{self.dilation_h}x{self.dilation_w} and an output of {self.out_height}x{self.out_width} handles more "
                f"than {MAX_ELEMENTS} numbers: use smaller ones",
            )

    # --- its phases -------------------------------------------------------------------------------------------------

    @cached_property
    def _axes(self) -> tuple[Axis, Axis]:
        """Of the rows, and of the columns."""
        _, kernel_h, kernel_w, _ = self.weight.shape
        return (
            split_axis(self.stride_h, self.pad_top, self.dilation_h, kernel_h, self.out_height),
            split_axis(self.stride_w, self.pad_left, self.dilation_w, kernel_w, self.out_width),
        )

    def _stacked(self) -> IntArray:
        """All phases as filters (groups, phase rows, phase columns, filters of a group, rows, columns, channels)."""
        _, kernel_h, kernel_w, filters = self.weight.shape
        rows, cols = self._axes
        inputs = self.source.channels // self.groups
        taps = self.weight.reshape(self.groups, inputs, kernel_h, kernel_w, filters)
        out = np.zeros((self.groups, rows.stride, cols.stride, filters, rows.taps, cols.taps, inputs), np.int64)
        for i in range(kernel_h):
            for j in range(kernel_w):
                (r, a), (c, b) = place_of(rows, i * self.dilation_h), place_of(cols, j * self.dilation_w)
                out[:, r, c, :, a, b] = taps[:, :, i, j].transpose(0, 2, 1)
        return out

    @cached_property
    def _chain(self) -> tuple[Op, ...]:
        image = self._read()
        conv = self._convolution(image.outputs[0])
        product = conv.lower()
        shuffle = self._side_by_side(product[-1].outputs[0])
        (frame,), (rows, cols) = shuffle.outputs, self._axes
        start, stop = (rows.crop, cols.crop, 0), (rows.crop + rows.size, cols.crop + cols.size, self.filters)
        n = len(frame.shape)
        ops = (image, *product, shuffle, Slice(frame, start[-n:], stop[-n:], (1,) * n))
        return tuple(op for op in ops if op.inputs != op.outputs or op.lower() != ())

    def _read(self) -> Slice:
        """The part of the image that any output reads."""
        height, width, channels = (1, *self.source.shape)[-3:]
        rows, cols = reach_of(self._axes[0], height), reach_of(self._axes[1], width)
        n = len(self.source.shape)
        start, stop = (rows.start, cols.start, 0), (rows.stop, cols.stop, channels)
        return Slice(self.source, start[-n:], stop[-n:], (1,) * n)

    def _convolution(self, image: Tensor) -> Conv2d:
        """All phases of every place, as filters of one window."""
        height, width, _ = (1, *self.source.shape)[-3:]
        (rows, cols), stacked = self._axes, self._stacked()
        down, across = reach_of(rows, height), reach_of(cols, width)
        scale = self.weight_scale
        if len(scale) > 1:
            each = np.array(scale).reshape(self.groups, 1, 1, -1)
            scale = tuple(np.broadcast_to(each, stacked.shape[:4]).ravel().tolist())
        pads = (down.before, across.before, down.behind, across.behind)
        kernel = as_int64(stacked.reshape(-1, *stacked.shape[4:]))
        return Conv2d(image, kernel, scale, 1, 1, *pads, rows.spread, cols.spread, self.groups)

    def _side_by_side(self, sums: Tensor) -> Reshape:
        """The phases of every place as neighbours: rows of places become rows of outputs."""
        rows, cols = self._axes
        order = np.arange(sums.size).reshape(rows.places, cols.places, self.groups, rows.stride, cols.stride, -1)
        shape = (rows.places * rows.stride, cols.places * cols.stride, self.filters)
        return Reshape(sums, shape[-len(sums.shape) :], as_int64(order.transpose(0, 3, 1, 4, 2, 5).ravel()))

    def lower(self) -> tuple[Op, ...]:
        """Window and product, then the phases side by side, and what is wanted of them."""
        return self._chain

    # --- what it computes -------------------------------------------------------------------------------------------

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The accumulators."""
        return self._chain[-1].outputs

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Every pixel scatters its products, written apart from the phases so that lowering is checked against it."""
        (x,) = xs
        height, width, channels = (1, *self.source.shape)[-3:]
        _, kernel_h, kernel_w, filters = self.weight.shape
        image = x.reshape(-1, height, width, self.groups, channels // self.groups)
        weight = self.weight.reshape(self.groups, -1, kernel_h, kernel_w, filters)
        rows = max((height - 1) * self.stride_h + (kernel_h - 1) * self.dilation_h + 1, self.pad_top + self.out_height)
        cols = max((width - 1) * self.stride_w + (kernel_w - 1) * self.dilation_w + 1, self.pad_left + self.out_width)
        out = np.zeros((len(x), rows, cols, self.groups, filters), np.int64)
        for i in range(kernel_h):
            for j in range(kernel_w):
                down = slice(i * self.dilation_h, i * self.dilation_h + (height - 1) * self.stride_h + 1, self.stride_h)
                across = slice(
                    j * self.dilation_w, j * self.dilation_w + (width - 1) * self.stride_w + 1, self.stride_w
                )
                out[:, down, across] += np.einsum("nhwgc,gcf->nhwgf", image, weight[:, :, i, j], optimize=True)
        wanted = out[:, self.pad_top :, self.pad_left :][:, : self.out_height, : self.out_width]
        return (wanted.reshape(-1, *self.outputs[0].shape),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Of each filter the limits of the phase that reaches furthest."""
        (found,) = self._convolution(self._read().outputs[0]).bounds()
        rows, cols = self._axes
        shape = (self.groups, rows.stride, cols.stride, self.filters // self.groups)
        lo = np.array(found.lo, object).reshape(shape).min(axis=(1, 2)).ravel()
        hi = np.array(found.hi, object).reshape(shape).max(axis=(1, 2)).ravel()
        return (Bounds(tuple(lo), tuple(hi), found.partial_lo, found.partial_hi, found.witness),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`ConvTranspose` with one or two image axes and any groups."""
        if node.op_type != "ConvTranspose" or node.domain not in ("", "ai.onnx"):
            return False
        weight = ctx.weight(node, 1)
        value = as_image(node, ctx, ctx.integer(node, 0)[0])
        assert value.type is not None  # noqa: S101  # it came from ctx.integer
        filters, groups = weight.values, int(node.attributes.get("group", 1))
        _check_filters(node, filters.shape, groups, value)
        scale = np.broadcast_to(weight.scale, filters.shape).reshape(
            groups, len(filters) // groups, filters.shape[1], -1
        )
        if not (scale == scale[:, :1, :, :1]).all():
            raise UnsupportedError(
                node.name, "the weight's scale varies within a filter: use one scale per output channel"
            )
        kernel = filters.shape[2:]
        stride, dilation, pads, sizes = transposed_geometry(node, kernel, value.shape[1:])
        rows = (1,) * (2 - len(kernel))
        taps = as_int64(np.moveaxis(filters.reshape(*filters.shape[:2], *rows, *kernel), 1, -1))
        op = cls(value.type, taps, *sizes, tuple(scale[:, 0, :, 0].ravel().tolist()), *stride, *pads, *dilation, groups)
        op.check_extent(node)
        *sides, count = op.outputs[0].shape
        ctx.emit(op, (value,), node.outputs[0], node, (count, *sides))
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = tuple(ctx.constant(node, 2).astype(np.float64).tolist())
            ctx.extend(ctx.values[node.outputs[0]], Step("add", bias), node.outputs[0], node)
        return True

    @classmethod
    def examples(cls) -> list[Op]:
        """Kernels larger and smaller than the stride, every crop, dilation, groups, scales per channel, a row."""
        rng = np.random.default_rng(0)

        def example(source: Tensor, shape: tuple[int, int, int], size: tuple[int, int], *rest: int) -> ConvTranspose2d:
            weight = as_int64(rng.integers(-7, 8, (source.channels, *shape)))
            return cls(source, weight, *size, (1.0,), *rest)

        scaled = cls(
            Tensor((4, 3, 2), -8, 7), as_int64(rng.integers(-3, 4, (2, 3, 3, 3))), 8, 6, (0.5, 1.0, 0.25), 2, 2, 1, 1
        )
        return [
            example(Tensor((3, 4, 2), 0, 15), (2, 2, 3), (6, 8), 2, 2),
            example(Tensor((4, 3, 3), -8, 7), (3, 3, 2), (8, 6), 2, 2, 1, 1),
            example(Tensor((3, 3, 2), 0, 15), (4, 4, 2), (6, 6), 2, 2, 1, 1),
            example(Tensor((3, 3, 2), 0, 3), (2, 2, 3), (8, 9), 3, 3),
            example(Tensor((4, 5, 2), -8, 7), (3, 2, 4), (6, 6)),
            example(Tensor((3, 2, 1), 0, 255), (5, 3, 2), (13, 5), 3, 2, 0, 1, 2, 1),
            example(Tensor((3, 3, 2), 0, 15), (2, 3, 1), (7, 11), 2, 3, 0, 1, 2, 3),
            example(Tensor((3, 3, 4), 0, 7), (3, 3, 3), (5, 7), 2, 2, 1, 0, 1, 1, 2),
            example(Tensor((4, 2, 3), -8, 7), (2, 2, 1), (8, 4), 2, 2, 0, 0, 1, 1, 3),
            example(Tensor((6, 3), 0, 15), (1, 4, 2), (1, 12), 1, 2, 0, 1),
            example(Tensor((4, 4, 2), 0, 15), (2, 2, 2), (2, 3), 2, 2, 3, 2),
            scaled,
        ]


# --- import -----------------------------------------------------------------------------------------------------------


def _check_filters(node: OnnxNode, shape: tuple[int, ...], groups: int, value: Value) -> None:
    """Refuse filters of a shape (channels, filters / groups, *kernel) that does not fit the image."""
    if groups < 1 or len(shape) != len(value.shape) + 1 or shape[0] != value.channels or shape[0] % groups:
        raise UnsupportedError(
            node.name,
            f"weight of shape {shape!r} does not fit an image of {value.channels} channels"
            + (f" in {groups} groups" if groups != 1 else ""),
        )


Pair = tuple[int, int]


def transposed_geometry(
    node: OnnxNode, kernel: tuple[int, ...], size: tuple[int, ...]
) -> tuple[Pair, Pair, Pair, Pair]:
    """Strides, dilations, padding in front and output sizes of a node over one or two image axes; one axis is columns.

    Args:
        kernel, size: of the kernel and of the image, along each axis.

    Raises:
        UnsupportedError: values that are missing, or leave no output.
    """
    axes, get = len(size), node.attributes.get
    stride, dilation = tuple(get("strides", (1,) * axes)), tuple(get("dilations", (1,) * axes))
    pads, extra = tuple(get("pads", (0, 0) * axes)), tuple(get("output_padding", (0,) * axes))
    auto, wanted = get("auto_pad", "NOTSET"), get("output_shape")
    if not len(kernel) == len(stride) == len(dilation) == len(extra) == axes or len(pads) != 2 * axes:
        raise UnsupportedError(
            node.name,
            f"ConvTranspose with kernel {kernel!r}, strides {stride!r}, dilations {dilation!r}, pads {pads!r} and "
            f"output_padding {extra!r} on {axes} image axes: give one of each an axis, and two pads",
        )
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedError(node.name, f"auto_pad={auto!r} has no hardware: export explicit pads")
    whole = [
        s * (n - 1) + (k - 1) * d + 1 + e for n, k, s, d, e in zip(size, kernel, stride, dilation, extra, strict=True)
    ]
    begin = [0] * axes if auto == "VALID" else list(pads[:axes])
    end = [0] * axes if auto == "VALID" else list(pads[axes:])
    outputs = [w - b - e for w, b, e in zip(whole, begin, end, strict=True)]
    if wanted is not None or auto.startswith("SAME"):
        outputs = list(wanted)[-axes:] if wanted is not None else [n * s for n, s in zip(size, stride, strict=True)]
        total = [w - o for w, o in zip(whole, outputs, strict=True)]
        begin = [t // 2 if auto == "SAME_UPPER" else t - t // 2 for t in total]
        end = [t - b for t, b in zip(total, begin, strict=True)]
    beyond = any(not 0 <= e < max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True))
    if min(*begin, *end) < 0 or min(outputs) < 1 or beyond:
        raise UnsupportedError(
            node.name,
            f"ConvTranspose with pads {(*begin, *end)!r}, output_padding {extra!r} and an output of {outputs!r}: pads "
            "must not be negative, output_padding less than stride or dilation, nor the output empty",
        )
    rows = 2 - axes
    pair = ((1,) * rows + stride, (1,) * rows + dilation, (0,) * rows + tuple(begin), (1,) * rows + tuple(outputs))
    return tuple((p[0], p[1]) for p in pair)  # type: ignore[return-value]  # four pairs
