# SPDX-License-Identifier: Apache-2.0
"""Integer arrays as the packed little-endian words of a stream or of memory, and back."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
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
    parts = _chunks(len(rows), stream)
    if len(parts) == 1:
        out = np.asarray(_unpack(rows, stream), np.int64)
    else:
        out = np.empty((len(rows), stream.lanes), np.int64)
        for part in parts:
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
    if stream.bits < 8:
        codes = np.zeros((len(words), -(-stream.lanes // 8) * 8), np.uint8)
        np.copyto(codes[:, : stream.lanes], words, casting="unsafe")
        out = np.zeros((len(words), stream.padded_width // 8), np.uint8)
        pack_rows(codes, stream.lanes, stream.bits, out)
        return out
    raw = np.ascontiguousarray(words.astype(container)).view(np.uint8)
    if stream.bits == 8 * container.itemsize:
        return raw
    bits = np.unpackbits(raw.reshape(len(words), stream.lanes, -1), axis=2, bitorder="little", count=stream.bits)
    return np.packbits(bits.reshape(len(words), -1), axis=1, bitorder="little")


def pack_rows(codes: Bytes, elements: int, bits: int, out: Bytes) -> None:
    """The low bits of bytes side by side.

    In words of eight bytes, neighbours are pushed together, then pairs, then fours, until a group fills whole bytes.

    Args:
        codes: contiguous uint8 of shape (rows, elements rounded up to eights), what lies above the bits ignored, the
            elements too many 0.
        elements: of a row.
        bits: of an element, 1 to 8.
        out: uint8 of shape (rows, bytes) with room for the elements; what lies behind them is left as it is.
    """
    used = -(-elements * bits // 8)
    if bits == 8:
        out[:, :used] = codes[:, :used]
        return
    if bits == 1:
        packed = np.packbits(np.bitwise_and(codes, 1, out=codes), bitorder="little")
        out[:, :used] = packed.reshape(len(codes), -1)[:, :used]
        return
    lanes, steps = codes.view(np.uint64), _folds(bits)
    other = np.empty_like(lanes)
    for shift, low, high in steps:
        np.right_shift(lanes, shift, out=other)
        np.bitwise_and(other, high, out=other)
        np.bitwise_and(lanes, low, out=lanes)
        np.bitwise_or(lanes, other, out=lanes)
    group = 1 << len(steps)
    step = group * bits // 8
    for byte in range(step):
        column = out[:, byte:used:step]
        column[...] = codes[:, byte::group][:, : column.shape[1]]


@lru_cache(maxsize=8)
def _folds(bits: int) -> list[tuple[np.uint64, np.uint64, np.uint64]]:
    """Per step of `pack_rows` the shift that brings the upper of two neighbours to the lower, and where the two are."""
    steps, group = [], 1
    while group * bits % 8:
        size, lane = group * bits, group * 8
        low = sum(((1 << size) - 1) << at for at in range(0, 64, 2 * lane))
        steps.append((np.uint64(lane - size), np.uint64(low), np.uint64(low << size)))
        group *= 2
    return steps


def _unpack(words: Bytes, stream: Stream) -> npt.NDArray[np.integer[Any]]:
    words = np.ascontiguousarray(words)
    if stream.bits in (8, 16, 32, 64):
        return words.view(_container(stream, "i" if stream.signed else "u"))
    low = 32 if stream.bits > 57 else stream.bits  # a field must lie in eight bytes wherever it starts
    if low == stream.bits:
        return _fields(words, stream, 0, low, stream.signed)
    high = _fields(words, stream, low, stream.bits - low, stream.signed)
    return (high << low) | _fields(words, stream, 0, low, False)


def _fields(words: Bytes, stream: Stream, first: int, bits: int, signed: bool) -> IntArray:
    """The bits of every element from bit `first` on, int64 of shape (rows, lanes); at most 57, or 56 without a sign."""
    where, shifts = _windows(stream, first, bits)
    eights = words.take(where, axis=1).view("<i8" if signed else "<u8")
    np.left_shift(eights, shifts if signed else shifts.view(np.uint64), out=eights)
    np.right_shift(eights, np.int64(64 - bits) if signed else np.uint64(64 - bits), out=eights)
    return eights.view(np.int64)


@lru_cache(maxsize=64)
def _windows(stream: Stream, first: int, bits: int) -> tuple[npt.NDArray[np.intp], IntArray]:
    """Which eight bytes of a word hold each element, and how far to shift them so that its highest bit is theirs."""
    starts = np.arange(stream.lanes) * stream.bits + first
    last = stream.padded_width // 8 - 1  # what is read again in place of bytes behind the last is shifted out
    where = np.minimum((starts // 8)[:, None] + np.arange(8), last)
    return where.ravel(), (64 - bits - starts % 8).astype(np.int64)
