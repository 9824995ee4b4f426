# SPDX-License-Identifier: Apache-2.0
"""Convolution over one or two image axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.chain import Step
from gatewright.ir.importing import ImportContext, OnnxNode, Value, check_size, standard_index
from gatewright.ir.moving import move_filters, one_scale_a_channel
from gatewright.ir.op import Bounds, Op, as_int64
from gatewright.ir.padding import integer_of
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.dense import Dense
from gatewright.ops.depthwise import Depthwise
from gatewright.ops.grouped import Grouped
from gatewright.ops.reshape import in_layout
from gatewright.ops.window import Window


@dataclass(frozen=True, eq=False)
class Conv2d(Op):
    """A convolution of an image (height, width, channels) or a row (width, channels), in groups of channels.

    Lowered to `window` and a product: `dense` for one group, `depthwise` for groups of one channel, else `grouped`;
    a 1x1 kernel of stride 1 needs no window.

    Attributes:
        source: the image.
        weight: int64 of shape (filters, kernel_h, kernel_w, channels / groups).
        weight_scale: one, or one per filter.
        groups: divides the channels and the filters; each group of filters reads its own group of channels.
    """

    composite = True

    source: Tensor
    weight: IntArray
    weight_scale: tuple[float, ...] = (1.0,)
    stride_h: int = 1
    stride_w: int = 1
    pad_top: int = 0
    pad_left: int = 0
    pad_bottom: int = 0
    pad_right: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        filters, inputs = len(self.weight), self.weight.shape[-1]
        if self.weight.ndim != 4 or inputs * self.groups != self.source.channels or filters % self.groups:
            raise ConfigError(
                f"conv2d: weight shape {self.weight.shape!r} in groups={self.groups!r} does not fit {self.source}: "
                "need (filters, height, width, channels / groups) with groups that divide the filters and the channels"
            )

    @property
    def _window(self) -> Window:
        return Window(
            self.source,
            self.weight.shape[1],
            self.weight.shape[2],
            self.stride_h,
            self.stride_w,
            self.pad_top,
            self.pad_left,
            self.pad_bottom,
            self.pad_right,
            self.dilation_h,
            self.dilation_w,
        )

    def _product(self, vectors: Tensor) -> Op:
        filters, _, _, inputs = self.weight.shape
        if self.groups == 1:
            return Dense(vectors, as_int64(self.weight.reshape(filters, -1)), self.weight_scale)
        if inputs == 1:
            return Depthwise(vectors, as_int64(self.weight.reshape(filters, -1)), self.weight_scale)
        return Grouped(vectors, as_int64(self.weight.reshape(filters, -1, inputs)), self.weight_scale)

    def lower(self) -> tuple[Op, ...]:
        """The sliding window, where there is one, and the product."""
        window = self._window
        if (window.kernel_h, window.kernel_w, window.stride_h, window.stride_w) == (1, 1, 1, 1) and not window.padded:
            return (self._product(self.source),)
        return window, self._product(window.outputs[0])

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The accumulators."""
        return self.lower()[-1].outputs

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Sum over taps, written apart from the units so that lowering is checked against it; float64 products when
        every partial sum stays below 2**53, int64 otherwise."""
        (x,) = xs
        w = self._window
        (bounds,) = self.bounds()
        partial = max(-int(bounds.partial_lo or 0), int(bounds.partial_hi or 0))
        dtype: Any = np.float64 if partial < 1 << 53 else np.int64
        pads = ((0, 0), (self.pad_top, self.pad_bottom), (self.pad_left, self.pad_right), (0, 0), (0, 0))
        image = np.pad(x.astype(dtype).reshape(-1, w.height, w.width, self.groups, self.weight.shape[-1]), pads)
        weight = self.weight.astype(dtype).reshape(self.groups, -1, *self.weight.shape[1:])
        out = np.zeros((len(x), w.out_height, w.out_width, *weight.shape[:2]), dtype)
        for i in range(w.kernel_h):
            for j in range(w.kernel_w):
                rows = slice(i * w.dilation_h, i * w.dilation_h + (w.out_height - 1) * w.stride_h + 1, w.stride_h)
                cols = slice(j * w.dilation_w, j * w.dilation_w + (w.out_width - 1) * w.stride_w + 1, w.stride_w)
                out += np.einsum("nhwgc,gfc->nhwgf", image[:, rows, cols], weight[:, :, i, j], optimize=True)
        return (out.reshape(-1, *self.outputs[0].shape).astype(np.int64),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Those of the product."""
        return self.lower()[-1].bounds()

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Conv` with one or two image axes and any groups."""
        if node.op_type != "Conv" or node.domain not in ("", "ai.onnx"):
            return False
        weight = ctx.weight(node, 1)
        value = as_image(
            node, ctx, ctx.integer(node, 0, lambda v: all(s.affine for s in v.steps) and not one_scale_a_channel(v))[0]
        )
        filters, groups = weight.values, node.attributes.get("group", 1)
        _check_filters(node, filters.shape, groups, value)
        stride, dilation, pads = geometry(node, filters.shape[2:], value.shape[1:])
        if all(s.kind in ("mul", "div") for s in value.steps):  # in front of which 0 is 0
            value, pads, _ = over_padding(ctx, value, pads, 0, other=False)
        elif any(pads):
            value, pads = _padded_before(node, ctx, value, pads)
        moved = move_filters(node, weight, value, groups, any(pads))
        if moved is None:
            text = f"after factors or offsets that cannot move behind {node.op_type}"
            value = as_image(node, ctx, ctx.unquantised(node, 0, text)[0])
            moved = move_filters(node, weight, value, groups, any(pads))
        assert moved is not None  # noqa: S101  # a stand-in has no steps
        assert value.type is not None  # noqa: S101  # it came from ctx.integer
        kernel = filters.shape[2:] if filters.ndim == 4 else (1, filters.shape[2])
        taps = as_int64(np.moveaxis(moved.weight.reshape(*filters.shape[:2], *kernel), 1, -1))
        op = cls(value.type, taps, tuple(moved.scale.tolist()), *stride, *pads, *dilation, groups)
        *sides, count = op.outputs[0].shape
        ctx.emit(op, (value,), node.outputs[0], node, (count, *sides))
        ctx.scale(node, moved.factor, moved.offset)
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = tuple(ctx.constant(node, 2).ravel().astype(np.float64).tolist())
            ctx.extend(ctx.values[node.outputs[0]], Step("add", bias), node.outputs[0], node)
        return True

    @classmethod
    def examples(cls) -> list[Op]:
        """Strides, padding, dilation, 1x1, groups of one channel and of several, one axis."""
        rng = np.random.default_rng(0)

        def weight(source: Tensor, shape: tuple[int, int, int], groups: int = 1) -> IntArray:
            return as_int64(rng.integers(-7, 8, (*shape, source.channels // groups)))

        def example(source: Tensor, shape: tuple[int, int, int], *geometry: int) -> Conv2d:
            return cls(source, weight(source, shape), (1.0,), *geometry)

        def grouped(source: Tensor, groups: int, shape: tuple[int, int, int], stride: int = 1, pad: int = 0) -> Conv2d:
            sides = (stride, stride, pad, pad, pad, pad, 1, 1)
            return cls(source, weight(source, shape, groups), (1.0,), *sides, groups)

        return [
            example(Tensor((6, 6, 3), 0, 15), (4, 3, 3), 1, 1, 1, 1, 1, 1),
            example(Tensor((7, 8, 2), -8, 7), (3, 3, 2), 2, 1, 1, 0, 0, 1),
            example(Tensor((5, 5, 4), 0, 3), (6, 1, 1)),
            example(Tensor((8, 8, 2), 0, 3), (2, 1, 1), 2, 2),
            example(Tensor((9, 9, 1), 0, 255), (2, 3, 3), 1, 1, 2, 2, 2, 2, 2, 2),
            example(Tensor((12, 3), -8, 7), (4, 1, 5), 1, 2, 0, 2, 0, 1, 1, 2),
            grouped(Tensor((6, 6, 4), 0, 15), 4, (4, 3, 3), pad=1),
            grouped(Tensor((7, 7, 3), -8, 7), 3, (6, 3, 3), stride=2),
            grouped(Tensor((6, 5, 6), 0, 15), 2, (4, 3, 3), pad=1),
            grouped(Tensor((4, 4, 6), 0, 15), 3, (9, 1, 1)),
        ]


def _padded_before(
    node: OnnxNode, ctx: ImportContext, value: Value, pads: tuple[int, int, int, int]
) -> tuple[Value, tuple[int, int, int, int]]:
    """An image behind an offset, padded with the integer that is 0 there, if there is one; the padding that is left."""
    number = integer_of(value, 0.0)
    if number is None or value.type is None:
        return value, pads
    top, left, bottom, right = pads
    op = Window(value.type, 1, 1, 1, 1, top, left, bottom, right, pad_value=number)
    *sides, _ = op.outputs[0].shape
    name = f"{node.outputs[0]} padded"
    ctx.emit(op, (value,), name, node, (value.shape[0], *sides))
    return replace(ctx.values.pop(name), steps=value.steps), (0, 0, 0, 0)


def _check_filters(node: OnnxNode, shape: tuple[int, ...], groups: int, value: Value) -> None:
    """Refuse filters of a shape (filters, channels / groups, *kernel) that does not fit the image."""
    if groups < 1 or len(shape) != len(value.shape) + 1 or shape[1] * groups != value.channels or shape[0] % groups:
        raise UnsupportedError(
            node.name,
            f"weight of shape {shape!r} does not fit an image of {value.channels} channels"
            + (f" in {groups} groups" if groups != 1 else ""),
        )


def as_image(node: OnnxNode, ctx: ImportContext, value: Value) -> Value:
    """`value` laid out channels last, for a layer that reads an image; it must be quantised.

    Raises:
        UnsupportedError: says what it is.
    """
    if len(value.shape) not in (2, 3):
        remedy = "reshape in front of it" if len(value.shape) < 2 else "put the third image axis among the channels"
        raise UnsupportedError(
            node.name,
            f"{node.op_type} on frames of shape {value.shape!r}: only images (channels, height, width) and rows "
            f"(channels, width) have hardware; {remedy}",
        )
    return in_layout(ctx, value, node, standard_index(value.shape))


def geometry(
    node: OnnxNode, kernel: tuple[int, ...], size: tuple[int, ...]
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """Strides, dilations and (top, left, bottom, right) padding of a node with a kernel over one or two image axes.

    Args:
        kernel, size: of the kernel and of the image, along each axis.
    """
    given = tuple(node.attributes.get("kernel_shape", kernel))
    if given != tuple(kernel):
        raise UnsupportedError(
            node.name, f"kernel_shape={given!r} is not that of the weight, {kernel!r}: the file is damaged"
        )
    axes, auto = len(size), node.attributes.get("auto_pad", "NOTSET")
    stride = tuple(node.attributes.get("strides", (1,) * axes))
    dilation = tuple(node.attributes.get("dilations", (1,) * axes))
    pads = tuple(node.attributes.get("pads", (0, 0) * axes))
    if not len(kernel) == len(stride) == len(dilation) == axes or len(pads) != 2 * axes:
        raise UnsupportedError(
            node.name,
            f"{node.op_type} with kernel {kernel!r}, strides {stride!r}, dilations {dilation!r} and pads {pads!r} "
            f"on {axes} image axes: give one of each an axis, and two pads",
        )
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
            for n, k, s, d in zip(size, kernel, stride, dilation, strict=True)
        ]
        less, more = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        pads = less + more if auto == "SAME_UPPER" else more + less
    elif auto == "VALID":
        pads = (0, 0) * axes
    elif auto != "NOTSET":
        raise UnsupportedError(node.name, f"auto_pad={auto!r} has no hardware: export explicit pads")
    if axes == 1:
        stride, dilation, pads = (1, *stride), (1, *dilation), (0, pads[0], 0, pads[1])
    return (stride[0], stride[1]), (dilation[0], dilation[1]), (pads[0], pads[1], pads[2], pads[3])


def over_padding(
    ctx: ImportContext, value: Value, pads: tuple[int, int, int, int], pad_value: int, *, other: bool
) -> tuple[Value, tuple[int, int, int, int], int]:
    """A padded image as the image and more padding, where a Pad stands in front of a layer that pads alike.

    Args:
        value: an image laid out channels last.
        pads: of the layer: top, left, bottom and right.
        pad_value: what the layer pads with.
        other: whether it may pad with something else, if that is all that it pads with.

    Returns:
        What the layer reads then, how much it pads, and with what.
    """
    window = next((n for n in ctx.nodes if n.outputs == (value.tensor,)), None)
    if (
        window is None
        or not isinstance(window.op, Window)
        or not np.array_equal(value.index, standard_index(value.shape))
    ):
        return value, pads, pad_value
    op = window.op
    plain = (op.kernel_h, op.kernel_w, op.stride_h, op.stride_w) == (1, 1, 1, 1)
    if not plain or (op.pad_value != pad_value and (any(pads) or not other)):
        return value, pads, pad_value
    *sides, channels = op.source.shape
    shape = (channels, *sides)
    own = (op.pad_top, op.pad_left, op.pad_bottom, op.pad_right)
    total = (pads[0] + own[0], pads[1] + own[1], pads[2] + own[2], pads[3] + own[3])
    image = replace(value, tensor=window.inputs[0], type=op.source, shape=shape, index=standard_index(shape))
    return image, total, op.pad_value


def pool_window(
    node: OnnxNode, ctx: ImportContext, value: Value, pad_value: int, *, extend: bool = False
) -> tuple[Value, Window, tuple[int, ...]]:
    """What a pooling node reads, its window, and the frame shape (channels, *sides) of the pool's output.

    Args:
        extend: whether the windows that ceil_mode adds may be filled up with `pad_value`.

    Raises:
        UnsupportedError: a form of pooling without hardware.
    """
    if len(node.outputs) > 1 and node.outputs[1]:
        raise UnsupportedError(
            node.name, f"{node.op_type} with indices as a second output has no hardware: remove that output"
        )
    kernel = tuple(node.attributes["kernel_shape"])
    stride, dilation, pads = geometry(node, kernel, value.shape[1:])
    value, pads, pad_value = over_padding(ctx, value, pads, pad_value, other=True)
    assert value.type is not None  # noqa: S101  # callers refuse float inputs
    sides = kernel if len(kernel) == 2 else (1, kernel[0])
    window = Window(value.type, sides[0], sides[1], *stride, *pads, *dilation, pad_value=pad_value)
    if node.attributes.get("ceil_mode", 0):
        more = _more_for_ceil(window)
        if any(more) and not extend:
            raise UnsupportedError(
                node.name, "ceil_mode=1 adds partial windows, which have no hardware: use ceil_mode=0 or pad"
            )
        window = replace(window, pad_bottom=window.pad_bottom + more[0], pad_right=window.pad_right + more[1])
    check_size(node, window.outputs[0])
    rows = window.outputs[0].shape[:-1]
    return value, window, (value.channels, *rows)


def _more_for_ceil(window: Window) -> tuple[int, int]:
    """Rows and columns that partial windows lack; a window that would start behind the image is none."""
    more = []
    for size, before, padded, span, stride in (
        (window.height, window.pad_top, window.padded_h, window.span_h, window.stride_h),
        (window.width, window.pad_left, window.padded_w, window.span_w, window.stride_w),
    ):
        last = -(-(padded - span) // stride) * stride
        last -= stride * (last >= size + before)
        more.append(max(0, last + span - padded))
    return more[0], more[1]


def emit_pool(node: OnnxNode, ctx: ImportContext, value: Value, window: Window, op: Op, shape: tuple[int, ...]) -> None:
    """Emit a window and the pool behind it, whose frame has `shape`; float steps before the window move behind both."""
    vectors, name = window.outputs[0], f"{node.outputs[0]}_window"
    ctx.emit(window, (value,), name, node, (vectors.size,), np.arange(vectors.size).reshape(vectors.shape))
    ctx.emit(op, (ctx.values[name],), node.outputs[0], node, shape)
    for step in value.steps:
        ctx.extend(ctx.values[node.outputs[0]], step, node.outputs[0], node)
