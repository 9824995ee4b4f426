# SPDX-License-Identifier: Apache-2.0
"""What every operator promises, checked on every example: bounds, schedules, foldings, memories, lowering."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from gatewright.errors import ConfigError
from gatewright.ir.graph import chain
from gatewright.ir.op import Memory, Op, discover
from gatewright.ir.types import IntArray
from gatewright.ops.argmax import Argmax
from gatewright.ops.conv2d import Conv2d
from gatewright.ops.conv_transpose2d import ConvTranspose2d
from gatewright.ops.dense import Dense
from gatewright.ops.depthwise import Depthwise
from gatewright.ops.grouped import Grouped
from gatewright.ops.lut import Lut, inputs_of
from gatewright.ops.requant import Requant
from gatewright.ops.reshape import Reshape
from gatewright.ops.slice import Slice
from gatewright.ops.threshold import Threshold

ALL = [pytest.param(op, id=f"{name}{i}") for name, cls in discover().items() for i, op in enumerate(cls.examples())]
KERNELS = [p for p in ALL if not p.values[0].composite]
COMPOSITES = [p for p in ALL if p.values[0].composite and p.values[0].lower()]


def of(cls: type[Op]) -> list:
    return [pytest.param(op, id=str(i)) for i, op in enumerate(cls.examples())]


def inputs(op: Op, frames: int, seed: int = 0) -> list[np.ndarray]:
    """Random frames; every fourth holds only the limits."""
    rng = np.random.default_rng(seed)
    arrays = [rng.choice(inputs_of(t), (frames, *t.shape)) for t in op.inputs]
    for x, t in zip(arrays, op.inputs, strict=True):
        x[::4] = rng.choice([t.lo, t.hi], x[::4].shape)
    return arrays


def folded(op: Op) -> list[Op]:
    """The operator in every legal folding."""
    names, values = list(op.foldings()), list(op.foldings().values())
    return [replace(op, **dict(zip(names, v, strict=True))) for v in itertools.product(*values)]


# --- what it computes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ALL)
def test_outputs_stay_within_the_bounds(op: Op) -> None:
    outputs = op.reference(*inputs(op, 40))
    assert len(outputs) == len(op.outputs) == len(op.bounds())
    for y, tensor, bounds in zip(outputs, op.outputs, op.bounds(), strict=True):
        assert y.dtype == np.int64 and y.shape == (40, *tensor.shape)
        assert len(bounds.lo) == len(bounds.hi) == tensor.channels
        assert (y >= np.array(bounds.lo)).all() and (y <= np.array(bounds.hi)).all()
        assert tensor.lo <= min(bounds.lo) and max(bounds.hi) <= tensor.hi
        assert bounds.witness


ELSEWHERE = Argmax | Dense | Conv2d | ConvTranspose2d | Depthwise | Grouped
"""Operators whose limits are not reached with all inputs at theirs; witnesses of their own are below."""


@pytest.mark.parametrize("op", [p for p in ALL if not isinstance(p.values[0], ELSEWHERE)])
def test_bounds_are_reached_at_the_inputs_limits(op: Op) -> None:
    values = inputs_of(op.inputs[0]).tolist() if isinstance(op, Lut) else []  # which may rise and fall
    ends = [np.stack([np.full(t.shape, v) for v in values or (t.lo, t.hi)]) for t in op.inputs]
    for y, bounds in zip(op.reference(*ends), op.bounds(), strict=True):
        flat = y.reshape(-1, y.shape[-1])
        assert flat.min(axis=0).tolist() == list(bounds.lo)
        assert flat.max(axis=0).tolist() == list(bounds.hi)


@pytest.mark.parametrize("op", of(Argmax))
def test_witness_of_an_index(op: Argmax) -> None:
    (bounds,) = op.bounds()
    for index in {bounds.lo[0], bounds.hi[0]}:
        x = np.full((1, *op.source.shape), op.source.lo)
        x[..., index] = op.source.hi
        assert (op.reference(x)[0] == index).all()


@pytest.mark.parametrize("op", of(Dense))
def test_witness_of_a_matrix_product(op: Dense) -> None:
    (bounds,) = op.bounds()
    lo, hi = op.source.lo, op.source.hi
    for row, (least, most) in enumerate(zip(bounds.lo, bounds.hi, strict=True)):
        up = np.where(op.weight[row] > 0, hi, lo)
        both = np.stack([np.broadcast_to(x, op.source.shape) for x in (up, lo + hi - up)])
        y = op.reference(both)[0][..., row]
        assert (y[0] == most).all() and (y[1] == least).all()
        # Partial sums in the order of largest terms first come as far as the certificate says, never further.
        terms = op.weight[row] * up
        assert op.partial_lo <= np.minimum(terms, 0).sum() and np.maximum(terms, 0).sum() <= op.partial_hi
    assert (op.partial_lo, op.partial_hi) == (bounds.partial_lo, bounds.partial_hi)
    reach = [np.where(op.weight > 0, op.weight * max(hi, 0), op.weight * min(lo, 0)).sum(axis=1).max(),
             np.where(op.weight > 0, op.weight * min(lo, 0), op.weight * max(hi, 0)).sum(axis=1).min()]  # fmt: skip
    assert reach == [bounds.partial_hi, bounds.partial_lo]
    if op.source.lo <= 0 <= op.source.hi:
        assert op.acc_bits == op.outputs[0].bits or (op.partial_lo, op.partial_hi) != (min(bounds.lo), max(bounds.hi))


def test_bounds_of_a_small_product_are_exhaustive() -> None:
    rng = np.random.default_rng(5)
    for lo, hi in ((0, 3), (-2, 1), (1, 3), (-3, -1)):
        source = Dense.examples()[0].source
        op = Dense(replace(source, shape=(4,), lo=lo, hi=hi), rng.integers(-3, 4, (5, 4)))
        every = np.array(list(itertools.product(range(lo, hi + 1), repeat=4)))
        y = op.reference(every)[0]
        assert (y.min(axis=0).tolist(), y.max(axis=0).tolist()) == tuple(
            map(list, (op.bounds()[0].lo, op.bounds()[0].hi))
        )
        orders = [op.weight[:, list(o)] * every[:, None, list(o)] for o in itertools.permutations(range(4))]
        partial = np.stack([np.cumsum(terms, axis=2) for terms in orders])
        # A partial sum may also be empty: an accumulator starts at 0.
        assert (min(partial.min(), 0), max(partial.max(), 0)) == (min(op.partial_lo, 0), max(op.partial_hi, 0))


@pytest.mark.parametrize("op", of(Conv2d))
def test_witness_of_a_convolution(op: Conv2d) -> None:
    (bounds,) = op.bounds()
    filters, kh, kw, inputs = op.weight.shape
    height, width, channels = (1, *op.source.shape)[-3:]
    # A window wholly inside the image: its first tap.
    row = next(r for r in range(height) if (r + op.pad_top) % op.stride_h == 0)
    col = next(c for c in range(width) if (c + op.pad_left) % op.stride_w == 0)
    assert row + (kh - 1) * op.dilation_h < height and col + (kw - 1) * op.dilation_w < width
    rows, cols = (
        slice(row, row + (kh - 1) * op.dilation_h + 1, op.dilation_h),
        slice(col, col + (kw - 1) * op.dilation_w + 1, op.dilation_w),
    )
    at = ((row + op.pad_top) // op.stride_h, (col + op.pad_left) // op.stride_w)
    for f in range(filters):
        first = f // (filters // op.groups) * inputs
        for side, want in ((op.weight[f] > 0, bounds.hi[f]), (op.weight[f] <= 0, bounds.lo[f])):
            x = np.zeros((1, height, width, channels), np.int64)
            x[0, rows, cols, first : first + inputs] = np.where(side, op.source.hi, op.source.lo)
            y = op.reference(x.reshape(1, *op.source.shape))[0]
            assert y.reshape(-1, *op.outputs[0].shape[-2:])[at[0], at[1], f] == want


# --- its hardware -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", KERNELS)
def test_every_legal_folding(op: Op) -> None:
    x = inputs(op, 2)
    want = op.reference(*x)
    for name, values in op.foldings().items():
        assert list(values) == sorted(values) and values[0] == 1
        with pytest.raises(ConfigError, match=rf"{op.name()}: {name}=\d+ does not divide \d+ [\w ]+: use 1"):
            replace(op, **{name: values[-1] + 1})
    for other in folded(op):
        assert other.outputs == op.outputs
        assert other.cycles == other.schedule().steps
        assert all(np.array_equal(a, b) for a, b in zip(other.reference(*x), want, strict=True))
    assert len(folded(op)) == np.prod([len(v) for v in op.foldings().values()])


@pytest.mark.parametrize("op", KERNELS)
def test_more_lanes_are_never_slower(op: Op) -> None:
    for name, values in op.foldings().items():
        cycles = [replace(op, **{name: v}).cycles for v in values]
        assert cycles == sorted(cycles, reverse=True) and (len(cycles) == 1 or cycles[-1] < cycles[0])


@pytest.mark.parametrize("op", KERNELS)
def test_schedule_fits_the_streams(op: Op) -> None:
    for other in folded(op):
        schedule = other.schedule()
        assert 1 <= schedule.depth <= 63
        assert len(schedule.need) == len(schedule.after) == len(other.in_streams)
        for need, after, stream in zip(schedule.need, schedule.after, other.in_streams, strict=True):
            assert need.shape == (schedule.steps,) and (np.diff(need) >= 0).all()
            if after is None:
                assert need[-1] == stream.beats and need[0] in (0, 1) and (np.diff(need) <= 1).all()
                continue
            assert need[-1] <= stream.beats and after.shape == (stream.beats,)
            # No step may wait for a beat that is only accepted once that step is done.
            first_use = np.searchsorted(need, np.arange(stream.beats), side="right")
            used = first_use < schedule.steps
            assert (after[used] <= first_use[used]).all() and (np.diff(after) >= 0).all()
        assert max(need[0] for need in schedule.need) >= 1
        for produce, stream in zip(schedule.produce, other.out_streams, strict=True):
            assert produce.shape == (schedule.steps,) and produce.sum() == stream.beats


@pytest.mark.parametrize("op", KERNELS)
def test_parameters_are_those_of_the_streams(op: Op) -> None:
    for other in folded(op):
        parameters = other.parameters()
        assert all(type(v) is int for v in parameters.values())
        for side, streams in (("in", other.in_streams), ("out", other.out_streams)):
            for i, s in enumerate(streams):
                prefix = side if len(streams) == 1 else f"{side}{i}"
                assert [parameters[f"{prefix}_{k}"] for k in ("bits", "lanes", "beats", "signed")] == [
                    s.bits, s.lanes, s.beats, s.signed
                ]  # fmt: skip
        for name, memory in other.memories().items():
            parts = memory if isinstance(memory, tuple) else (memory,)
            assert {m.bits for m in parts} == {parameters[f"{name}_bits"]}


@pytest.mark.parametrize("op", KERNELS)
def test_resources_are_of_known_kinds(op: Op) -> None:
    for other in folded(op):
        resources = other.resources()
        assert set(resources) <= {"LUT", "FF", "BRAM36", "DSP", "URAM"} and resources["LUT"] > 0
        assert all(v >= 0 for v in resources.values())


def stored(memory: Memory) -> np.ndarray:
    """Elements (words, elements) read back from the hexadecimal text, sign-extended."""
    mask, sign = (1 << memory.bits) - 1, 1 << memory.bits - 1
    words = [int(line, 16) for line in memory.hex_lines()]
    raw = [[w >> i * memory.bits & mask for i in range(memory.words.shape[1])] for w in words]
    return np.array([[v - (mask + 1 if v & sign else 0) for v in row] for row in raw])


def stored_weights(op: Dense) -> IntArray:
    """The ROM's words as weights (words, pe, simd), from bit planes where products are gates."""
    memory = op.memories()["weight"]
    if op.dsp:
        return stored(memory).reshape(-1, op.pe, op.simd)
    planes = memory.words.reshape(-1, op.weight_bits, op.simd, op.pe)
    if op.weight_bipolar:
        return np.asarray(2 * planes[:, 0] - 1).transpose(0, 2, 1)
    value = np.array([1 << i for i in range(op.weight_bits)])
    value[-1] *= -1 if op.weight_signed else 1
    return np.einsum("wisp,i->wps", planes, value)


@pytest.mark.parametrize("op", of(Dense))
def test_weight_memory_holds_the_weights(op: Dense) -> None:
    for other in folded(op):
        x = inputs(other, 1)[0].reshape(-1, other.cols)
        groups = other.cols // other.simd
        y = np.zeros((len(x), other.rows), np.int64)
        for address, word in enumerate(stored_weights(other)):
            row, col = address // groups * other.pe, address % groups * other.simd
            y[:, row : row + other.pe] += x[:, col : col + other.simd] @ word.T
        assert np.array_equal(y, other.reference(inputs(other, 1)[0])[0].reshape(-1, other.rows))


@pytest.mark.parametrize("op", of(Requant))
def test_factor_memories_hold_the_factors(op: Requant) -> None:
    for other in folded(op):
        memories = other.memories()
        assert stored(memories["mult"]).ravel().tolist() == op.mult.tolist()
        assert stored(memories["add"]).ravel().tolist() == op.add.tolist()


@pytest.mark.parametrize("op", of(Threshold))
def test_threshold_memories_hold_a_binary_search(op: Threshold) -> None:
    """Walks the search as the kernel does, bit by bit, from the ROMs alone, for every input value."""
    x = np.arange(op.source.lo, op.source.hi + 1)
    want = op.reference(np.broadcast_to(x.reshape(-1, *[1] * len(op.source.shape)), (len(x), *op.source.shape)))[0]
    want = want.reshape(len(x), -1, op.channels)[:, 0]
    for other in folded(op):
        levels, falling = other.memories()["level"], other.memories()["falling"].words
        assert [len(m.words) for m in levels] == [(op.channels // other.pe) << i for i in range(op.levels)]
        for c in range(op.channels):
            group, lane = divmod(c, other.pe)
            code = np.zeros(len(x), np.int64)
            for i, memory in enumerate(levels):
                code = 2 * code + (x >= stored(memory)[(group << i) + code, lane])
            code = 2 * code if op.bipolar else code
            y = op.hi - code if falling[group, lane] else op.lo + code
            assert np.array_equal(y, want[:, c])


# --- lowering ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", COMPOSITES)
def test_lowered_operators_compute_the_same(op: Op) -> None:
    ops = op.lower()
    assert not any(o.composite for o in ops)
    x = inputs(op, 50)
    assert np.array_equal(chain(ops).reference(*x)[0], op.reference(*x)[0])
    assert ops[-1].outputs == op.outputs
    have, want = ops[-1].bounds()[0], op.bounds()[0]
    if isinstance(ops[-1], Reshape | Slice):  # which know the limits of all channels only
        assert (min(have.lo), max(have.hi)) == (min(want.lo), max(want.hi))
    else:
        assert (have.lo, have.hi) == (want.lo, want.hi)
