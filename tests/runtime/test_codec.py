# SPDX-License-Identifier: Apache-2.0
"""The driver writes to memory and reads from it what the formulas say: every type, width, tie and odd number."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.errors import DataError
from gatewright.ir.chain import Rounding, Step, evaluate
from gatewright.ir.packing import frame_images
from gatewright.ir.types import Tensor
from gatewright.runtime import codec, ports
from gatewright.runtime.codec import Decoder, Encoder
from gatewright.runtime.kernel_map import Argument
from gatewright.runtime.ports import GraphInput, GraphOutput

ROUND: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "half_even": np.round, "floor": np.floor, "ceil": np.ceil, "zero": np.trunc,
    "away": lambda v: np.copysign(np.ceil(np.abs(v)), v),
    "half_away": lambda v: np.copysign(np.floor(np.abs(v) + 0.5), v),
    "half_zero": lambda v: np.copysign(np.ceil(np.abs(v) - 0.5), v),
}  # fmt: skip
MODES = tuple(ROUND)
DTYPES = ("float16", "float32", "float64", "uint8", "int8", "int16", "uint32", "int64")


def argument(tensor: Tensor, bus_bits: int = 64) -> Argument:
    frame_bytes = -(-tensor.size * tensor.bits // bus_bits) * bus_bits // 8
    return Argument(
        "x", "gmem0", 16, frame_bytes, tensor.bits, tensor.signed, tensor.encoding == "bipolar", tensor.size
    )


def encoded(source: GraphInput, x: np.ndarray, integers: bool = False, bus_bits: int = 64) -> np.ndarray:
    port = argument(source.tensor, bus_bits)
    encoder = Encoder(source, port, bus_bits)
    frames = encoder.check(x, integers)
    out = np.zeros((len(x), port.frame_bytes), np.uint8)
    encoder.encode(frames, integers, out)
    return out


def defined(source: GraphInput, x: np.ndarray) -> np.ndarray:
    """clip(round(x / scale + zero) - zero, lo, hi) in float64, all at once and without the driver's own functions."""
    real = x.reshape(len(x), -1).astype(np.float64)[:, source.index.ravel()].reshape(len(x), *source.tensor.shape)
    t, r = source.tensor, source.rounding
    real = evaluate(source.steps, real)
    if t.encoding == "bipolar":
        return np.where(real >= 0, 1, -1)
    with np.errstate(over="ignore"):
        codes = real / np.asarray(t.scale) + r.zero
    return np.clip(ROUND[r.mode](codes) - r.zero, t.lo, t.hi).astype(np.int64)


@st.composite
def sources(draw: st.DrawFn) -> GraphInput:
    shape = draw(st.sampled_from([(1,), (7,), (8,), (2, 3), (3, 2, 5), (33,)]))
    channels, size = shape[-1], int(np.prod(shape))
    scales = st.one_of(st.sampled_from([1.0, 0.25, 2.0**-7, 1 / 255, 0.1, 3e-5]), st.floats(1e-6, 1e6))
    per_channel = draw(st.booleans())
    scale = tuple(draw(st.lists(scales, min_size=channels, max_size=channels))) if per_channel else draw(scales)
    if draw(st.integers(0, 9)) == 0:
        tensor = Tensor(shape, -1, 1, scale, "bipolar")
    else:
        bits, signed = draw(st.integers(1, 12)), draw(st.booleans())
        lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        tensor = Tensor(shape, lo, hi, scale)
    steps: tuple[Step, ...] = draw(
        st.sampled_from([(), (), (Step("add", (-0.5,)), Step("mul", (3.25,))), (Step("relu"),), (Step("tanh"),)])
    )
    if steps and draw(st.booleans()):
        steps = (*steps, Step("mul", tuple(1.0 + i / 8 for i in range(channels))))
    rounding = Rounding(draw(st.sampled_from(MODES)), draw(st.sampled_from([0, 0, 3])))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    index = rng.permutation(size) if draw(st.booleans()) else np.arange(size)
    return GraphInput("x", tensor, (size,), index.reshape(shape), steps, rounding)


def numbers(source: GraphInput, dtype: str, count: int, seed: int) -> np.ndarray:
    """Frames with ties, neighbours of ties, denormals, zeros of both signs and the largest numbers among them."""
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    shape = (count, *source.shape)
    if kind.kind != "f":
        info = np.iinfo(kind)
        return rng.integers(max(info.min, -300), min(info.max, 300), shape, dtype=np.int64, endpoint=True).astype(kind)
    scale = np.ravel(source.tensor.scale)[0]
    with np.errstate(over="ignore"):
        ties = np.clip((rng.integers(-600, 600, shape) / 2 + 0.5) * scale, np.finfo(kind).min, np.finfo(kind).max)
        x = ties.astype(kind)
        beside = np.nextafter(x, rng.choice([-np.inf, np.inf], shape).astype(kind))
    x = np.where(rng.random(shape) < 0.5, np.where(np.isfinite(beside), beside, x), x)
    special = np.array(
        [0.0, -0.0, np.finfo(kind).tiny / 4, -np.finfo(kind).tiny, np.finfo(kind).max, np.finfo(kind).min]
    )
    return np.where(rng.random(shape) < 0.1, rng.choice(special.astype(kind), shape), x)


@settings(max_examples=400, deadline=None)
@given(
    sources(), st.sampled_from(DTYPES), st.integers(1, 5), st.integers(0, 99), st.sampled_from([32, 64, 512]),
    st.sampled_from([1.0, 1.0, 1e-2, 1e-4]),
)  # fmt: skip
def test_what_is_written_is_the_formula(
    source: GraphInput, dtype: str, count: int, seed: int, bus_bits: int, size: float
) -> None:
    """Small blocks are always clipped, large ones where their least and greatest number ask for it: both ways, and
    numbers of a size that leaves the limits at both ends, at one, or nowhere."""
    x = numbers(source, dtype, count, seed)
    x = (x * x.dtype.type(size)).astype(x.dtype) if x.dtype.kind == "f" else x
    if x.dtype.kind == "f":
        x = (np.abs(x), -np.abs(x), x)[seed % 3]
    want = frame_images(defined(source, x), argument(source.tensor, bus_bits).stream, bus_bits)
    np.testing.assert_array_equal(encoded(source, x, bus_bits=bus_bits), want)
    with mock.patch.object(ports, "_MANY", 0):
        np.testing.assert_array_equal(encoded(source, x, bus_bits=bus_bits), want)


@settings(max_examples=100, deadline=None)
@given(sources(), st.integers(1, 5), st.integers(0, 99))
def test_integers_go_in_as_they_are(source: GraphInput, count: int, seed: int) -> None:
    t = source.tensor
    values = [-1, 1] if t.encoding == "bipolar" else range(t.lo, t.hi + 1)
    y = np.random.default_rng(seed).choice(np.asarray(values), (count, *t.shape))
    np.testing.assert_array_equal(encoded(source, y, True), frame_images(y, argument(t).stream, 64))


@pytest.mark.parametrize("bits", range(1, 9))
def test_blocks_and_calls_do_not_mix(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames in many blocks, then fewer of them: scratch from the call before must not show."""
    monkeypatch.setattr(codec, "BLOCK", 100)
    tensor = Tensor((13,), 0, (1 << bits) - 1, 0.1)
    source = GraphInput("x", tensor, (13,), np.arange(13))
    port = argument(tensor)
    encoder = Encoder(source, port, 64)
    for count in (50, 3, 51):
        x = np.random.default_rng(count).random((count, 13)) * 30
        out = np.zeros((count, port.frame_bytes), np.uint8)
        encoder.encode(encoder.check(x, False), False, out)
        np.testing.assert_array_equal(out, frame_images(defined(source, x), port.stream, 64))


def test_a_known_quantiser_by_fractions() -> None:
    """Rounding by exact arithmetic, with nothing of this package in it."""
    tensor = Tensor((1,), -8, 7, 0.1)
    x = np.float32(np.linspace(-1, 1, 4001))[:, None]
    ratio = [Fraction(float(np.float64(v) / np.float64(0.1))) for v in x[:, 0]]
    want = [min(7, max(-8, round(r))) & 15 for r in ratio]  # Python rounds fractions half to even
    assert encoded(GraphInput("x", tensor, (1,), np.arange(1)), x)[:, 0].tolist() == want


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("steps", [(), (Step("tanh"),), (Step("clip", (0.0, 1.0)),)])
def test_what_is_no_number_is_refused(bad: float, steps: tuple[Step, ...]) -> None:
    source = GraphInput("x", Tensor((2,), 0, 15, 0.1), (2,), np.arange(2), steps)
    with pytest.raises(DataError, match="input 'x': holds NaN or infinite values; remove them"):
        encoded(source, np.float32([[0, 1], [bad, 1]]))


@pytest.mark.parametrize(
    ("x", "integers", "message"),
    [
        (np.zeros((2,)), False, r"got shape \(2,\), need \(frames, 2\); for a single frame write x\[None\]"),
        (np.float32(0), False, r"got shape \(\), need \(frames, 2\)"),
        (np.zeros((1, 3)), False, r"got shape \(1, 3\), need \(frames, 2\)$"),
        (np.zeros((1, 2), complex), False, "got dtype complex128, need floats"),
        (np.zeros((1, 2), bool), False, "got dtype bool, need floats"),
        (np.zeros((1, 2), object), False, "got dtype object, need floats"),
        (np.zeros((1, 2)), True, "x: dtype float64 where integers are expected; quantise first"),
        (np.full((1, 2), 16), True, r"x: values 16\.\.16 leave the limits 0\.\.15"),
    ],
)
def test_refusals(x: Any, integers: bool, message: str) -> None:
    source = GraphInput("x", Tensor((2,), 0, 15, 0.1), (2,), np.arange(2))
    with pytest.raises(DataError, match=message):
        encoded(source, np.asarray(x), integers)


@given(st.integers(1, 64), st.booleans(), st.integers(1, 20), st.integers(0, 9))
def test_what_was_written_comes_back(bits: int, signed: bool, size: int, seed: int) -> None:
    signed = signed or bits == 64
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    y = np.random.default_rng(seed).integers(lo, hi, (4, size), endpoint=True)
    scale, offset = np.linspace(0.5, 2, size), np.linspace(-1, 1, size)
    output = GraphOutput("y", "t", (size,), np.arange(size), scale, offset)
    port = Argument("y", "gmem1", 28, -(-size * bits // 64) * 8, bits, signed, False, size, ("y",))
    decoder = Decoder(port, (output,))
    images = frame_images(y, port.stream, 64)
    np.testing.assert_array_equal(decoder.integers(images), y)
    np.testing.assert_array_equal(decoder.decode(y, False)["y"], y * scale + offset)
    np.testing.assert_array_equal(decoder.decode(y, True)["y"], y)
