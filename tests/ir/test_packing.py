# SPDX-License-Identifier: Apache-2.0
"""Words of a stream: every width, sign and lane count, against Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import DataError
from gatewright.ir.packing import pack_stream, unpack_stream
from gatewright.ir.types import IntArray, Stream


def limits(stream: Stream) -> tuple[int, int]:
    if stream.signed:
        return -(2 ** (stream.bits - 1)), 2 ** (stream.bits - 1) - 1
    return 0, 2**stream.bits - 1


@st.composite
def frames(draw: st.DrawFn) -> tuple[IntArray, Stream]:
    signed = draw(st.booleans())
    stream = Stream(
        bits=draw(st.integers(1, 64 if signed else 63)),
        lanes=draw(st.integers(1, 70)),
        beats=draw(st.integers(1, 4)),
        signed=signed,
    )
    lo, hi = limits(stream)
    count = draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(lo, hi, (count, stream.beats, stream.lanes), endpoint=True)
    x.flat[:1] = lo
    x.flat[-1:] = hi
    return x, stream


@given(frames())
def test_round_trip(case: tuple[IntArray, Stream]) -> None:
    x, stream = case
    words = pack_stream(x, stream)
    assert words.shape == (len(x), stream.beats, stream.padded_width // 8)
    np.testing.assert_array_equal(unpack_stream(words, stream), x.reshape(len(x), stream.beats * stream.lanes))


@given(frames())
def test_words_are_little_endian_integers_with_element_0_in_the_low_bits(case: tuple[IntArray, Stream]) -> None:
    x, stream = case
    words = pack_stream(x, stream)
    for row, elements in zip(words.reshape(-1, words.shape[-1]), x.reshape(-1, stream.lanes).tolist(), strict=True):
        expected = sum((e & (1 << stream.bits) - 1) << i * stream.bits for i, e in enumerate(elements))
        assert int.from_bytes(row.tobytes(), "little") == expected


@pytest.mark.parametrize("lanes", [3, 2_000_000])
def test_more_elements_than_are_converted_at_a_time(lanes: int) -> None:
    stream = Stream(5, lanes, 1, True)
    x = np.random.default_rng(0).integers(-16, 16, (3_000_000 // lanes + 1, lanes))
    np.testing.assert_array_equal(unpack_stream(pack_stream(x, stream), stream), x)


def test_padding_is_ignored_when_unpacking() -> None:
    stream = Stream(3, 1, 1, True)
    np.testing.assert_array_equal(unpack_stream(np.array([0xFF, 0xFB], np.uint8), stream), [[-1], [3]])


@pytest.mark.parametrize(
    ("x", "stream", "message"),
    [
        ([[4]], Stream(3, 1, 1, True), r"values 4\.\.4 do not fit into the elements -4\.\.3 of 1x1 sint3"),
        ([[-1]], Stream(3, 1, 1, False), r"values -1\.\.-1 do not fit into the elements 0\.\.7"),
        ([[0, 1, 2]], Stream(3, 2, 2, True), r"shape \(1, 3\) does not match 1 frames of 2x2 sint3"),
        ([[0.5]], Stream(3, 1, 1, True), "dtype float64 where integers are expected; quantise first"),
    ],
)
def test_refuses_what_is_not_the_streams(x: list[list[int]], stream: Stream, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pack_stream(np.array(x), stream)


def test_refuses_part_of_a_frame() -> None:
    with pytest.raises(DataError, match="3 bytes are no whole frames of 1x2 uint8 in words of 2 bytes"):
        unpack_stream(np.zeros(3, np.uint8), Stream(8, 2, 1, False))
