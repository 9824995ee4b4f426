# SPDX-License-Identifier: Apache-2.0
"""Two-dimensional convolution."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.ir.chain import Step
from gatewright.ir.importing import ImportContext, OnnxNode, Value, check_size, standard_index
from gatewright.ir.op import Bounds, Op, as_int64
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.dense import Dense
from gatewright.ops.window import Window


@dataclass(frozen=True, eq=False)
class Conv2d(Op):
    """A convolution of an image (height, width, channels); lowered to `window` and `dense`, or to `dense` alone.

    Attributes:
        source: the image.
        weight: int64 of shape (filters, kernel_h, kernel_w, channels).
        weight_scale: one, or one per filter.
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

    def _dense(self, vectors: Tensor) -> Dense:
        return Dense(vectors, as_int64(self.weight.reshape(len(self.weight), -1)), self.weight_scale)

    def lower(self) -> tuple[Op, ...]:
        """The sliding window and the matrix-vector product; a 1x1 kernel of stride 1 needs no window."""
        window = self._window
        if (window.kernel_h, window.kernel_w, window.stride_h, window.stride_w) == (1, 1, 1, 1) and not window.padded:
            return (self._dense(self.source),)
        return window, self._dense(window.outputs[0])

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The accumulators."""
        return self.lower()[-1].outputs

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Sum over taps, written apart from `window` and `dense` so that lowering is checked against it."""
        (x,) = xs
        w = self._window
        pads = ((0, 0), (self.pad_top, self.pad_bottom), (self.pad_left, self.pad_right), (0, 0))
        image = np.pad(x, pads)
        out = np.zeros((len(x), w.out_height, w.out_width, len(self.weight)), np.int64)
        for i in range(w.kernel_h):
            for j in range(w.kernel_w):
                rows = slice(i * w.dilation_h, i * w.dilation_h + (w.out_height - 1) * w.stride_h + 1, w.stride_h)
                cols = slice(j * w.dilation_w, j * w.dilation_w + (w.out_width - 1) * w.stride_w + 1, w.stride_w)
                out += np.einsum("nhwc,fc->nhwf", image[:, rows, cols], self.weight[:, i, j], optimize=True)
        return (out,)

    def bounds(self) -> tuple[Bounds, ...]:
        """Those of the matrix-vector product."""
        return self.lower()[-1].bounds()

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Conv` with two image axes and one group."""
        if node.op_type != "Conv" or node.domain not in ("", "ai.onnx"):
            return False
        weight = ctx.weight(node, 1)
        value, tensor = ctx.integer(node, 0)
        if node.attributes.get("group", 1) != 1:
            raise UnsupportedError(
                node.name, f"Conv with group={node.attributes['group']!r} has no hardware yet: use group=1"
            )
        check_image(node, value)
        filters = weight.values
        if filters.ndim != 4 or filters.shape[1] != value.channels:
            raise UnsupportedError(
                node.name, f"weight of shape {filters.shape!r} does not fit an image of {value.channels} channels"
            )
        scale = np.broadcast_to(weight.scale, filters.shape).reshape(len(filters), -1)
        if not (scale == scale[:, :1]).all():
            raise UnsupportedError(
                node.name, "the weight's scale varies within a filter: use one scale per output channel"
            )
        stride, dilation, pads = geometry(node)
        op = cls(
            tensor, as_int64(filters.transpose(0, 2, 3, 1)), tuple(scale[:, 0].tolist()), *stride, *pads, *dilation
        )
        height, width, count = op.outputs[0].shape
        ctx.emit(op, (value,), node.outputs[0], node, (count, height, width))
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = tuple(ctx.constant(node, 2).astype(np.float64).tolist())
            ctx.extend(ctx.values[node.outputs[0]], Step("add", bias), node.outputs[0], node)
        return True

    @classmethod
    def examples(cls) -> list[Op]:
        """Strides, padding, dilation, 1x1."""
        rng = np.random.default_rng(0)

        def example(source: Tensor, shape: tuple[int, int, int], *geometry: int) -> Conv2d:
            return cls(source, as_int64(rng.integers(-7, 8, (*shape, source.channels))), (1.0,), *geometry)

        return [
            example(Tensor((6, 6, 3), 0, 15), (4, 3, 3), 1, 1, 1, 1, 1, 1),
            example(Tensor((7, 8, 2), -8, 7), (3, 3, 2), 2, 1, 1, 0, 0, 1),
            example(Tensor((5, 5, 4), 0, 3), (6, 1, 1)),
            example(Tensor((8, 8, 2), 0, 3), (2, 1, 1), 2, 2),
            example(Tensor((9, 9, 1), 0, 255), (2, 3, 3), 1, 1, 2, 2, 2, 2, 2, 2),
        ]


def check_image(node: OnnxNode, value: Value) -> None:
    """Refuse a value that is not an image laid out channels first in the model.

    Raises:
        UnsupportedError: says what it is.
    """
    if len(value.shape) != 3:
        raise UnsupportedError(
            node.name,
            f"{node.op_type} on frames of shape {value.shape!r}: only images (channels, height, width) have hardware",
        )
    if value.index.shape != standard_index(value.shape).shape or (value.index != standard_index(value.shape)).any():
        raise UnsupportedError(
            node.name, f"{node.op_type} reads a transposed or reshaped image: undo the transposition before it"
        )


def geometry(node: OnnxNode) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    """Strides, dilations and (top, left, bottom, right) padding of a node with two image axes."""
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto not in ("NOTSET", "VALID"):
        raise UnsupportedError(node.name, f"auto_pad={auto!r} has no hardware: export explicit pads")
    stride = tuple(node.attributes.get("strides", (1, 1)))
    dilation = tuple(node.attributes.get("dilations", (1, 1)))
    pads = tuple(node.attributes.get("pads", (0, 0, 0, 0)))
    if len(stride) != 2 or len(dilation) != 2 or len(pads) != 4:
        raise UnsupportedError(node.name, f"{node.op_type} with {len(stride)} image axes: only two have hardware")
    return (stride[0], stride[1]), (dilation[0], dilation[1]), (pads[0], pads[1], pads[2], pads[3])


def pool_window(node: OnnxNode, value: Value, pad_value: int) -> tuple[Window, tuple[int, int, int]]:
    """The window of a pooling node and the frame shape (channels, height, width) of the pool's output.

    Raises:
        UnsupportedError: a form of pooling without hardware.
    """
    check_image(node, value)
    if len(node.outputs) > 1 and node.outputs[1]:
        raise UnsupportedError(
            node.name, f"{node.op_type} with indices as a second output has no hardware: remove that output"
        )
    kernel = tuple(node.attributes["kernel_shape"])
    stride, dilation, pads = geometry(node)
    if value.type is None:
        raise UnsupportedError(node.name, f"{node.op_type} reads the float input: put a quantiser on the model's input")
    window = Window(value.type, kernel[0], kernel[1], *stride, *pads, *dilation, pad_value=pad_value)
    check_size(node, window.outputs[0])
    if node.attributes.get("ceil_mode", 0):
        exact = replace(window, stride_h=1, stride_w=1)
        if (exact.out_height - 1) % stride[0] or (exact.out_width - 1) % stride[1]:
            raise UnsupportedError(
                node.name, "ceil_mode=1 adds partial windows, which have no hardware: use ceil_mode=0 or pad"
            )
    return window, (value.channels, window.out_height, window.out_width)
