# SPDX-License-Identifier: Apache-2.0
"""Integer arrays as the packed little-endian words of a stream or of memory, and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .types import IntArray, Stream

Bytes = npt.NDArray[np.uint8]

_CHUNK = 1 << 20
"""Elements converted at a time: their single bits take up to 64 bytes each."""


def pack_stream(x: npt.NDArray[np.integer[Any]], stream: Stream) -> Bytes:
    """The words of whole frames, as they stand on `tdata`.

    Args:
        x: integers of shape (frames, ...), each frame of `stream.beats * stream.lanes` elements in stream order.
        stream: how the frames travel. `bits` is at most 64, or 63 without a sign.

    Returns:
        uint8 of shape (frames, beats, padded_width / 8), little-endian: element 0 in the low bits of byte 0, negative
        elements in two's complement, padding 0.

    Raises:
        DataError: the elements of a frame are not the stream's, are no integers, or do not fit into `bits`.
    """
    frames = len(x)
    if x.size != frames * stream.beats * stream.lanes:
        raise DataError(f"shape {x.shape!r} does not match {frames} frames of {stream}")
    if not np.issubdtype(x.dtype, np.integer):
        raise DataError(f"dtype {x.dtype} where integers are expected; quantise first")
    lo, hi = _limits(stream)
    if x.size and (int(x.min()) < lo or int(x.max()) > hi or (stream.bipolar and not x.all())):
        raise DataError(f"values {x.min()}..{x.max()} do not fit into the elements {lo}..{hi} of {stream}")
    if stream.bipolar:
        x = x > 0  # type: ignore[assignment]  # one bit an element
    words = x.reshape(frames * stream.beats, stream.lanes)
    out = np.empty((len(words), stream.padded_width // 8), np.uint8)
    for part in _chunks(len(words), stream):
        out[part] = _pack(words[part], stream)
    return out.reshape(frames, stream.beats, out.shape[1])


def unpack_stream(words: Bytes, stream: Stream) -> IntArray:
    """The elements of whole frames: the inverse of `pack_stream`.

    Args:
        words: uint8 whose elements are whole frames of `stream.beats` words of `stream.padded_width` bits.
        stream: how the frames travelled.

    Returns:
        int64 of shape (frames, beats * lanes).

    Raises:
        DataError: the bytes are no whole number of frames.
    """
    word_bytes = stream.padded_width // 8
    if words.size % (stream.beats * word_bytes):
        raise DataError(f"{words.size} bytes are no whole frames of {stream} in words of {word_bytes} bytes")
    rows = words.reshape(-1, word_bytes)
    out = np.empty((len(rows), stream.lanes), np.int64)
    for part in _chunks(len(rows), stream):
        out[part] = _unpack(rows[part], stream)
    if stream.bipolar:
        out = 2 * out - 1
    return out.reshape(len(rows) // stream.beats, stream.beats * stream.lanes)


def frame_images(x: IntArray, stream: Stream, bus_bits: int) -> Bytes:
    """Frames as they lie in memory: elements packed at their own bits, each frame filled up to whole words.

    Args:
        x: integers of shape (frames, ...) in stream order.

    Returns:
        uint8 of shape (frames, bytes).
    """
    packed = pack_stream(x.reshape(len(x), -1), _whole(stream)).reshape(len(x), -1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % (bus_bits // 8))))


def read_images(data: bytes, frames: int, stream: Stream, bus_bits: int) -> IntArray:
    """The inverse of `frame_images`: int64 of shape (frames, elements)."""
    whole = _whole(stream)
    images = np.frombuffer(data, np.uint8).reshape(frames, -1)
    return unpack_stream(np.ascontiguousarray(images[:, : whole.padded_width // 8]), whole)


def _whole(stream: Stream) -> Stream:
    """A frame as one word."""
    return replace(stream, lanes=stream.lanes * stream.beats, beats=1)


def _limits(stream: Stream) -> tuple[int, int]:
    if stream.bipolar:
        return -1, 1
    if stream.signed:
        return -(1 << stream.bits - 1), (1 << stream.bits - 1) - 1
    return 0, (1 << stream.bits) - 1


def _chunks(words: int, stream: Stream) -> list[slice]:
    step = max(1, _CHUNK // stream.lanes)
    return [slice(i, i + step) for i in range(0, words, step)]


def _container(stream: Stream, kind: str) -> np.dtype[np.integer[Any]]:
    """The smallest little-endian integer type that holds an element."""
    size = next(n for n in (1, 2, 4, 8) if 8 * n >= stream.bits)
    return np.dtype(f"<{kind}{size}")


def _pack(words: npt.NDArray[np.integer[Any]], stream: Stream) -> Bytes:
    container = _container(stream, "u")
    raw = np.ascontiguousarray(words.astype(container)).view(np.uint8)
    if stream.bits == 8 * container.itemsize:
        return raw
    bits = np.unpackbits(raw.reshape(len(words), stream.lanes, -1), axis=2, bitorder="little", count=stream.bits)
    return np.packbits(bits.reshape(len(words), -1), axis=1, bitorder="little")


def _unpack(words: Bytes, stream: Stream) -> npt.NDArray[np.integer[Any]]:
    container = _container(stream, "i" if stream.signed else "u")
    words = np.ascontiguousarray(words)
    if stream.bits == 8 * container.itemsize:
        return words.view(container)
    bits = np.unpackbits(words, axis=1, bitorder="little", count=stream.width)
    raw = np.packbits(bits.reshape(-1, stream.bits), axis=1, bitorder="little")
    padded = np.zeros((len(raw), container.itemsize), np.uint8)
    padded[:, : raw.shape[1]] = raw
    values = padded.view(container)
    if stream.signed:
        shift = 8 * container.itemsize - stream.bits
        values = values << shift >> shift
    return values.reshape(len(words), stream.lanes)
