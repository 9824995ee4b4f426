# SPDX-License-Identifier: Apache-2.0
"""Slices: a box of a tensor, along any axes."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.chain import Step
from gatewright.ir.cost import Features, address_counts, counters, odd
from gatewright.ir.hls4ml import Layers, gather
from gatewright.ir.importing import ImportContext, OnnxNode, Value, standard_index
from gatewright.ir.op import Bounds, Op, as_int64, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.reshape import LOOPS, in_layout, loop_parameters, natural_index

NODES = ("Gather", "Slice", "Split")


class Lanes(NamedTuple):
    """What a beat keeps where it keeps anything: `number` lanes, from `first` on, `step` apart."""

    first: int
    step: int
    number: int


@dataclass(frozen=True, eq=False)
class Slice(Op):
    """The elements start, start + step, ... below stop of every axis; all others are dropped.

    Attributes:
        source: any tensor.
        start, stop, step: one of each an axis; steps are at least 1.
        pe: channels taken at once; so many that all beats that keep any keep the same lanes.
    """

    source: Tensor
    start: tuple[int, ...]
    stop: tuple[int, ...]
    step: tuple[int, ...]
    pe: int = 1

    def __post_init__(self) -> None:
        shape = self.source.shape
        if not len(self.start) == len(self.stop) == len(self.step) == len(shape):
            raise ConfigError(
                f"slice: start={self.start!r}, stop={self.stop!r} and step={self.step!r} need one value for each of "
                f"the {len(shape)} axes of {self.source}"
            )
        for axis, (size, a, b, s) in enumerate(zip(shape, self.start, self.stop, self.step, strict=True)):
            if not 0 <= a < b <= size or s < 1:
                raise ConfigError(
                    f"slice: {a}..{b} by {s} keeps no elements of axis {axis}, or leaves its {size}: "
                    "need 0 <= start < stop <= size and a step of at least 1"
                )
        if self.pe not in self._legal:
            legal = [str(n) for n in self._legal]
            text = ", ".join(legal[:-1]) + f" or {legal[-1]}" if len(legal) > 1 else legal[0]
            raise ConfigError(
                f"slice: pe={self.pe!r} does not divide {self.source.channels} channels into beats that keep the same "
                f"lanes: use {text}"
            )
        if self._nest is None:
            raise ConfigError(
                f"slice: {self.source} is cut in more than {LOOPS} nested loops: slice fewer axes at a time"
            )

    # --- what it computes -------------------------------------------------------------------------------------------

    @property
    def _box(self) -> tuple[slice, ...]:
        return tuple(slice(a, b, s) for a, b, s in zip(self.start, self.stop, self.step, strict=True))

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The box; scales per channel are cut like the channels."""
        scale = self.source.scale
        scale = scale[self._box[-1]] if isinstance(scale, tuple) else scale
        shape = tuple(len(range(n)[box]) for n, box in zip(self.source.shape, self._box, strict=True))
        return (replace(self.source, shape=shape, scale=scale),)

    def lower(self) -> tuple[Op, ...] | None:
        """Nothing where the box is the whole."""
        return () if self.outputs[0].shape == self.source.shape else None

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """NumPy's slicing."""
        box = (slice(None), *self._box)
        return (np.ascontiguousarray(xs[0][box]),)

    def bounds(self) -> tuple[Bounds, ...]:
        """The input's own limits."""
        n = self.outputs[0].channels
        return (Bounds((self.source.lo,) * n, (self.source.hi,) * n, witness="the input's own limits"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Slice`, `Split` and `Gather` with constant indices along an axis; float steps before it move behind it."""
        if node.op_type not in NODES or not node.inputs or not ctx.is_dynamic(node.inputs[0]):
            return False
        shape = ctx.values[node.inputs[0]].shape
        if node.op_type == "Slice":
            keep_elements(node, ctx, _slice_picks(node, ctx, shape), node.outputs[0])
        elif node.op_type == "Split":
            axis, sizes = _split_sizes(node, ctx, shape)
            for name, end, size in zip(node.outputs, np.cumsum(sizes), sizes, strict=True):
                if name:
                    keep_elements(node, ctx, _along(shape, axis, np.arange(end - size, end)), name)
        else:
            axis, indices = _gather_indices(node, ctx, shape)
            keep_elements(node, ctx, _along(shape, axis, indices.ravel()), node.outputs[0])
            shape = (*shape[:axis], *indices.shape, *shape[axis + 1 :])
            kept = ctx.values[node.outputs[0]]
            ctx.values[node.outputs[0]] = replace(kept, shape=shape)
        return True

    def hls4ml(self) -> Layers:
        """Elements by their numbers."""
        return gather(self.source, self.outputs[0], self.reference)

    # --- its hardware -----------------------------------------------------------------------------------------------

    @property
    def _legal(self) -> dict[int, Lanes]:
        """Lanes kept of a beat, by the number of channels of a beat."""
        return _beats_alike(self.source.channels, self.start[-1], self.stop[-1], self.step[-1])

    @property
    def _lanes(self) -> Lanes:
        return self._legal[self.pe]

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels with which all beats keep the same lanes, or nothing."""
        return {"pe": tuple(self._legal)}

    @property
    def out_lanes(self) -> tuple[int, ...]:
        """What is kept of a beat."""
        return (self._lanes.number,)

    @property
    def cycles(self) -> int:
        """One beat of the input a step."""
        return self.source.size // self.pe

    def _beats(self) -> IntArray:
        """Numbers of the beats that are kept."""
        flat = natural_index(self.source.shape)[self._box].ravel()
        return as_int64(flat[:: self._lanes.number] // self.pe)

    @property
    def _nest(self) -> list[tuple[int, int]] | None:
        """Counts and strides of the loops over the beats that are kept, innermost first."""
        shape = (*self.source.shape[:-1], self.source.channels // self.pe)
        step = self.step[-1]
        last = sorted({i // self.pe for i in range(self.start[-1], self.stop[-1], step)})
        axes = [list(range(n)[box]) for n, box in zip(shape, self._box[:-1], strict=False)] + [last]
        return _nested(shape, axes)

    def schedule(self) -> Schedule:
        """A step takes a beat; those that keep any of it give one."""
        produce = np.zeros(self.cycles, np.bool_)
        produce[self._beats()] = True
        return Schedule(self.cycles, 1, (np.arange(1, self.cycles + 1),), (produce,))

    def parameters(self) -> dict[str, int]:
        """Adds the lanes, and the loops over the beats that are kept, innermost first."""
        lanes = self._lanes
        own = {"first": int(self._beats()[0]), "lane_first": lanes.first, "lane_step": lanes.step}
        return super().parameters() | own | loop_parameters(self._nest or ())

    def features(self) -> Features:
        """A register a lane that is kept, the number of the beat, and the loops that tell the next one to keep."""
        nest, beats, out = self._nest or [], self._beats(), self._lanes.number
        loops = (self.cycles, *(n for n, _ in nest), self.outputs[0].size // out)
        counts = {
            "out": float(out * self.source.bits),
            "loops": float(len(nest)),
            "odd": odd(*loops),
            **address_counts(beats, self.cycles),
        }
        return Features(counts | counters(*loops))

    @classmethod
    def examples(cls) -> list[Op]:
        """Every axis, steps, all lanes and some, one element, everything, five axes, scales per channel, bipolar."""
        return [
            cls(Tensor((6, 5, 4), 0, 15), (1, 1, 0), (5, 4, 4), (1, 1, 1), 2),
            cls(Tensor((3, 4, 12), -8, 7), (0, 0, 4), (3, 4, 8), (1, 1, 1), 4),
            cls(Tensor((2, 3, 7), 0, 3), (0, 0, 3), (2, 3, 7), (1, 1, 1), 7),
            cls(Tensor((5, 7, 2), -100, 27), (1, 0, 0), (5, 7, 2), (2, 3, 1), 1),
            cls(Tensor((4, 12), 0, 1), (0, 1), (4, 12), (1, 3), 3),
            cls(Tensor((9,), -3, 3), (0,), (5,), (1,), 1),
            cls(Tensor((8,), 0, 255), (7,), (8,), (1,), 4),
            cls(Tensor((3, 2), 0, 7), (0, 0), (3, 2), (1, 1), 2),
            cls(Tensor((3, 2, 3, 2, 4), -1, 0), (0, 1, 1, 0, 1), (2, 2, 3, 1, 3), (1, 1, 1, 1, 1), 4),
            cls(Tensor((2, 4), 0, 7, (1.0, 0.5, 0.25, 2.0)), (1, 1), (2, 3), (1, 1), 1),
            cls(Tensor((3, 3, 6), -1, 1, encoding="bipolar"), (0, 2, 0), (3, 3, 4), (1, 1, 1), 2),
        ]


@functools.lru_cache(maxsize=4096)
def _beats_alike(channels: int, start: int, stop: int, step: int) -> dict[int, Lanes]:
    """Beats of how many channels keep the same lanes, where they keep any, and which; ascending."""
    kept, legal = np.arange(start, stop, step), {}
    for pe in divisors(channels):
        beat, lane = kept // pe, kept % pe
        lanes = lane[beat == beat[0]]
        if len(kept) % len(lanes) == 0 and (lane.reshape(-1, len(lanes)) == lanes).all():
            legal[pe] = Lanes(int(lanes[0]), step if len(lanes) > 1 else 1, len(lanes))
    return legal


def _nested(shape: Sequence[int], axes: Sequence[Sequence[int]]) -> list[tuple[int, int]] | None:
    """Loops, innermost first, over a box of an array: axes that are whole join the loop inside; None if too many."""
    nest: list[tuple[int, int]] = []
    stride = 1
    for size, kept in zip(reversed(shape), reversed(axes), strict=True):
        if len(kept) > 1:
            own = stride * (kept[1] - kept[0])
            if nest and nest[-1][0] * nest[-1][1] == own:
                nest[-1] = (nest[-1][0] * len(kept), nest[-1][1])
            else:
                nest.append((len(kept), own))
        stride *= size
    return nest if len(nest) <= LOOPS else None


# --- import -----------------------------------------------------------------------------------------------------------


def whole(shape: Sequence[int]) -> list[IntArray]:
    """Picks that keep every element of every axis."""
    return [np.arange(n) for n in shape]


def _along(shape: Sequence[int], axis: int, kept: IntArray) -> list[IntArray]:
    """Picks that keep these positions of one axis."""
    return [kept if i == axis else all_kept for i, all_kept in enumerate(whole(shape))]


def keep_elements(node: OnnxNode, ctx: ImportContext, picks: Sequence[IntArray], output: str) -> None:
    """Let `output` be the node's first operand without what `picks` leave out; another order is a view.

    Float steps and scales per channel are cut like the channels. Where what is left is no box of the elements on the
    wire, they are moved first.

    Args:
        picks: per axis of the model's frame, int64: which of its positions there are, in the output's order.

    Raises:
        UnsupportedError: nothing is kept, a position is kept twice, or what is kept of an axis are not all positions of
            one distance.
    """
    value = ctx.values[node.inputs[0]]
    shape = tuple(len(kept) for kept in picks)
    _check_picks(node, value, picks)
    place = np.full(math.prod(value.shape), -1)
    place[natural_index(value.shape)[np.ix_(*picks)].ravel()] = np.arange(math.prod(shape))
    if (place >= 0).all():
        origin = (*value.origin, node.name)
        ctx.values[output] = replace(value, shape=shape, index=as_int64(place[value.index]), origin=origin)
        return
    code = value.code
    if value.type is None:
        value, _ = ctx.integer(node, 0)
    box = _box_of(place[value.index] >= 0)
    if box is None:
        natural = np.array_equal(value.index.ravel(), np.arange(value.index.size))
        layout = natural_index if natural else standard_index
        value = in_layout(ctx, value, node, layout(value.shape))
        box = _box_of(place[value.index] >= 0)
    if box is None or value.type is None:
        raise UnsupportedError(
            node.name,
            f"{node.op_type} of a frame {value.shape!r} keeps other elements than every n-th of a stretch: "
            "take the parts by several Slice nodes and join them by Concat",
        )
    start, stop, step = zip(*((s.start, s.stop, s.step) for s in box), strict=True)
    op = Slice(value.type, start, stop, step)
    ctx.emit(op, (value,), output, node, shape, as_int64(place[value.index[box]]))
    steps = _cut(value.steps, box[-1])
    ctx.values[output] = replace(ctx.values[output], steps=steps, code=code)


def _check_picks(node: OnnxNode, value: Value, picks: Sequence[IntArray]) -> None:
    for axis, kept in enumerate(picks, 1):
        if not len(kept):
            raise UnsupportedError(node.name, f"{node.op_type} keeps nothing of axis {axis} of a frame {value.shape!r}")
        if len(np.unique(kept)) < len(kept):
            raise UnsupportedError(
                node.name,
                f"{node.op_type} repeats positions of axis {axis}, {kept[:8].tolist()!r}: elements are taken once "
                "each; use Resize, or Concat of slices, to repeat them",
            )


def _box_of(keep: npt.NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The slices that keep these elements of an array and no others; None where none do."""
    box, count = [], 1
    for axis in range(keep.ndim):
        kept = np.flatnonzero(keep.any(axis=tuple(a for a in range(keep.ndim) if a != axis)))
        step = int(kept[1] - kept[0]) if len(kept) > 1 else 1
        if (np.diff(kept) != step).any():
            return None
        box.append(slice(int(kept[0]), int(kept[-1]) + 1, step))
        count *= len(kept)
    return tuple(box) if count == keep.sum() else None


def _cut(steps: tuple[Step, ...], channels: slice) -> tuple[Step, ...]:
    """Float steps of the channels that are left."""
    out = []
    for step in steps:
        values = step.values[channels] if step.per_channel and len(step.values) > 1 else step.values
        out.append(replace(step, values=values, branches=tuple(_cut(b, channels) for b in step.branches)))
    return tuple(out)


def _frame_axis(node: OnnxNode, given: int, rank: int) -> int:
    """An axis of the model's tensor as one of the frame, from 0.

    Raises:
        UnsupportedError: it is the batch, or there is none such.
    """
    axis = given if given >= 0 else given + rank + 1
    if not 1 <= axis <= rank:
        raise UnsupportedError(
            node.name,
            f"{node.op_type} along axis={given!r} of a batch of {rank}-axis frames has no hardware: "
            f"use axes 1 to {rank}, the batch stays whole",
        )
    return axis - 1


def _numbers(node: OnnxNode, ctx: ImportContext, position: int, attribute: str) -> list[int] | None:
    """Whole numbers that are an input of new models and an attribute of old ones; None where neither is there."""
    if attribute in node.attributes:
        return [int(v) for v in node.attributes[attribute]]
    if len(node.inputs) > position and node.inputs[position]:
        return [int(v) for v in ctx.constant(node, position).ravel().tolist()]
    return None


def _slice_picks(node: OnnxNode, ctx: ImportContext, shape: tuple[int, ...]) -> list[IntArray]:
    """Positions that a `Slice` keeps of every axis of the frame."""
    starts, ends = _numbers(node, ctx, 1, "starts"), _numbers(node, ctx, 2, "ends")
    if starts is None or ends is None:
        raise UnsupportedError(node.name, "Slice without starts or ends is damaged: export the model again")
    axes = _numbers(node, ctx, 3, "axes") or list(range(len(starts)))
    steps = _numbers(node, ctx, 4, "steps") or [1] * len(starts)
    if len({a % (len(shape) + 1) for a in axes}) < len(axes):
        raise UnsupportedError(node.name, f"Slice along axes={axes!r} names an axis twice: the file is damaged")
    picks = whole(shape)
    for start, end, given, step in zip(starts, ends, axes, steps, strict=True):
        if not step:
            raise UnsupportedError(node.name, "Slice with a step of 0: steps are at least 1, or negative")
        if given in (0, -len(shape) - 1) and start == 0 and end >= (ctx.batch or (1 << 31) - 1) and step == 1:
            continue  # the whole batch
        axis = _frame_axis(node, given, len(shape))
        picks[axis] = np.arange(shape[axis])[slice(start, end if end >= -(1 << 31) else None, step)]
    return picks


def _split_sizes(node: OnnxNode, ctx: ImportContext, shape: tuple[int, ...]) -> tuple[int, list[int]]:
    """Axis of the frame, and how much of it each output of a `Split` takes."""
    axis = _frame_axis(node, int(node.attributes.get("axis", 0)), len(shape))
    sizes, count = _numbers(node, ctx, 1, "split"), len(node.outputs)
    if sizes is None:
        part = -(-shape[axis] // int(node.attributes.get("num_outputs", count)))
        sizes = [min(part, shape[axis] - i * part) for i in range(count)]
    if len(sizes) != count or sum(sizes) != shape[axis] or min(sizes) < 1:
        raise UnsupportedError(
            node.name,
            f"Split of axis {axis + 1} of a frame {shape!r} into {sizes!r} for {count} outputs: the parts must be at "
            f"least 1 and together {shape[axis]}",
        )
    return axis, sizes


def _gather_indices(node: OnnxNode, ctx: ImportContext, shape: tuple[int, ...]) -> tuple[int, IntArray]:
    """Axis of the frame, and the positions that a `Gather` takes of it, in the indices' own shape."""
    axis = _frame_axis(node, int(node.attributes.get("axis", 0)), len(shape))
    indices = np.asarray(ctx.constant(node, 1), np.int64)
    if indices.size and not -shape[axis] <= indices.min() <= indices.max() < shape[axis]:
        raise UnsupportedError(
            node.name, f"Gather of positions {indices.min()}..{indices.max()} of axis {axis + 1} of a frame {shape!r}"
        )
    return axis, as_int64(np.where(indices < 0, indices + shape[axis], indices))
