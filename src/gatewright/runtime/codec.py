# SPDX-License-Identifier: Apache-2.0
"""Frames of a network's inputs and outputs as they lie in the device's memory.

What is computed is `GraphInput.quantize`, `packing.frame_images` and `GraphOutput.dequantize`; what is added is speed:
frames are taken in blocks that stay in the cache, and all intermediate results have their place from one call to the
next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .host import Values
from .kernel_map import Argument
from .packing import Bytes, frame_images, pack_rows, unpack_stream
from .ports import GraphInput, GraphOutput
from .types import FloatArray, IntArray, check_ints

BLOCK = 1 << 17
"""Elements converted at a time: enough that calls of NumPy cost little, few enough that they stay in a cache."""


class Encoder:
    """Frames of one input, as the kernel reads them.

    Args:
        source: the input.
        argument: the memory port that reads it.
        bus_bits: of the port.
    """

    def __init__(self, source: GraphInput, argument: Argument, bus_bits: int) -> None:
        self.source = source
        self.argument = argument
        self.bus_bits = bus_bits
        self._padded = -(-argument.elements // 8) * 8
        self._rows = max(1, BLOCK // self._padded)
        self._codes: Bytes = np.zeros(0, np.uint8)
        self._real: FloatArray = np.zeros(0)
        self._tables: dict[str, Bytes | None] = {}

    def check(self, x: npt.NDArray[Any], integers: bool) -> npt.NDArray[Any]:
        """Frames as a matrix (frames, elements).

        Args:
            x: the model's own input (frames, *shape), or with `integers` the tensor's integers (frames, *tensor.shape).

        Raises:
            DataError: the wrong shape or type, or an integer out of range.
        """
        if integers:
            return check_ints(self.source.name, x, self.source.tensor).reshape(len(x), self.argument.elements)
        self.source.check(x)
        return x.reshape(len(x), self.argument.elements)

    def encode(self, x: npt.NDArray[Any], integers: bool, out: Bytes) -> None:
        """Write the images of checked frames.

        Args:
            x: (frames, elements) as `check` returns it.
            out: uint8 of shape (frames, frame_bytes), its padding 0.

        Raises:
            DataError: a value that is not finite.
        """
        for first in range(0, len(x), self._rows):
            part = slice(first, first + self._rows)
            if self.argument.bits <= 8:
                pack_rows(self._block(x[part], integers), self.argument.elements, self.argument.bits, out[part])
            else:
                codes = x[part] if integers else self._quantized(x[part]).astype(np.int64)
                out[part] = frame_images(codes, self.argument.stream, self.bus_bits)

    def _block(self, x: npt.NDArray[Any], integers: bool) -> Bytes:
        """The integers of a block as bytes, of which the low bits count."""
        count = len(x)
        if len(self._codes) < count:
            self._codes = np.empty((count, self._padded), np.uint8)
        codes = self._codes[:count]
        codes[:, self.argument.elements :] = 0
        wanted = codes[:, : self.argument.elements]
        table = None if integers or x.dtype.itemsize > 1 else self._table(x.dtype)
        if table is not None:
            self._look_up(table, x, wanted)
        elif self.argument.bipolar:
            np.greater_equal(x if integers or self._sign_only(x) else self._quantized(x), 0, out=wanted.view(np.bool_))
        else:
            np.copyto(wanted.view(np.int8 if self.argument.signed else np.uint8),
                      x if integers else self._quantized(x), casting="unsafe")  # fmt: skip
        return codes

    def _sign_only(self, x: npt.NDArray[Any]) -> bool:
        """Whether a float's sign is its bipolar integer, whatever the scale; `_quantized` tells what is no number."""
        return self.source.in_order and not self.source.steps and bool(np.isfinite(x).all())

    def _quantized(self, x: npt.NDArray[Any]) -> FloatArray:
        """The integers of a block as float64 of shape (frames, elements)."""
        if self._real.size < x.size:
            self._real = np.empty(x.size)
        return self.source.quantize_flat(x, self._real[: x.size]).reshape(len(x), self.argument.elements)

    def _table(self, dtype: np.dtype[Any]) -> Bytes | None:
        """The code of each of 256 input values, by its byte; None where it depends on the channel."""
        if dtype.str not in self._tables:
            values = np.arange(256, dtype=np.uint8).view(dtype)
            codes = self.source.quantize_values(values).astype(np.int64)
            codes = np.asarray(codes > 0, np.int64) if self.argument.bipolar else codes
            same = (codes == codes[:, :1]).all()
            self._tables[dtype.str] = codes[:, 0].astype(np.uint8) if same else None
        return self._tables[dtype.str]

    def _look_up(self, table: Bytes, x: npt.NDArray[Any], out: Bytes) -> None:
        x = x.view(np.uint8)
        if not self.source.in_order:
            x = np.take(x, self.source.index.ravel(), axis=1)
        out[...] = np.take(table, x, mode="clip")


class Decoder:
    """Frames of one output tensor, as the kernel wrote them.

    Args:
        argument: the memory port that wrote it.
        outputs: the model's outputs that are made of it.
    """

    def __init__(self, argument: Argument, outputs: tuple[GraphOutput, ...]) -> None:
        self.argument = argument
        self.outputs = outputs
        self._bytes = argument.stream.padded_width // 8

    def integers(self, images: Bytes) -> IntArray:
        """int64 of shape (frames, elements) from images (frames, frame_bytes)."""
        return unpack_stream(np.ascontiguousarray(images[:, : self._bytes]), self.argument.stream)

    def decode(self, y: IntArray, integers: bool) -> dict[str, Values]:
        """The model's outputs (frames, *shape) by name, or with `integers` those of their tensor."""
        if integers:
            return {o.name: y.reshape(len(y), *o.index.shape) for o in self.outputs}
        return {o.name: o.dequantize(y) for o in self.outputs}
