# SPDX-License-Identifier: Apache-2.0
"""Reshapes and transpositions: views wherever they can be, a buffer where a layer needs another order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.chain import Step
from gatewright.ir.cost import Features, Ram, address_counts, counter_bits, counters, odd, ping_pong, rom_features
from gatewright.ir.hls4ml import Layers, gather
from gatewright.ir.importing import ImportContext, OnnxNode, Value
from gatewright.ir.op import Bounds, Memory, Op, as_int64, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor
from gatewright.ir.views import VIEWS, viewed

LOOPS = 5
"""Nested loops that make an order without a ROM."""
ORDER_IN_LUTS = 256
"""Longer orders lie in block RAM: the rule of rtl/reshape.sv."""


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """The same elements under another shape, in the same order (no hardware) or in any other.

    Two blocks are buffered: frames, or, where elements only move within their row or some other share of a frame that
    comes again and again, those. So a pixel shuffle takes two rows of memory.

    Attributes:
        source: any tensor; scales per channel must be those of the output's channels, too.
        shape: of the output.
        order: int64 of shape (elements,): which element of the input each of the output is; None where all keep
            their places.
        pe: elements moved at once; divides the runs that stay together.
    """

    source: Tensor
    shape: tuple[int, ...]
    order: IntArray | None = None
    pe: int = 1

    def __post_init__(self) -> None:
        size = self.source.size
        if math.prod(self.shape) != size:
            raise ConfigError(f"reshape: {self.source} has {size} elements, {self.shape!r} has another number")
        if self.order is not None and not np.array_equal(np.sort(self.order), np.arange(size)):
            raise ConfigError(f"reshape: the order must name each of the {size} elements once")
        if self._scale is None:
            raise ConfigError(
                "reshape: the input has one scale per channel, and the output other channels: quantise to one scale"
            )
        self.check_folding(pe=(self._run, "elements that stay together"))

    @cached_property
    def full_order(self) -> IntArray:
        """Which element of the input each of the output is, int64 of shape (elements,)."""
        return as_int64(np.arange(self.source.size)) if self.order is None else self.order

    @cached_property
    def _run(self) -> int:
        """Elements that stay together: every aligned run of so many is one of the input."""
        starts = np.flatnonzero(np.diff(self.full_order, prepend=-2) != 1)
        return int(np.gcd.reduce([self.source.size, *starts, *self.full_order[starts]]))

    @cached_property
    def _scale(self) -> float | tuple[float, ...] | None:
        """Of the output; None where elements of several scales would lie in one channel."""
        if not isinstance(self.source.scale, tuple):
            return self.source.scale
        return moved_channels(self.source.scale, self.full_order, self.shape[-1])

    @cached_property
    def _period(self) -> int:
        """Elements of the least block: all move within their block, and in every block alike."""
        size, order = self.source.size, self.full_order
        closed = np.flatnonzero(np.maximum.accumulate(order) == np.arange(size)) + 1
        for block in closed[size % closed == 0].tolist():
            blocks = order.reshape(-1, block) - np.arange(0, size, block)[:, None]
            if (blocks == blocks[0]).all():
                return int(block)
        return size

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The input under the new shape."""
        return (replace(self.source, shape=self.shape, scale=self._scale),)  # type: ignore[arg-type]  # as checked

    def lower(self) -> tuple[Op, ...] | None:
        """Nothing where all elements keep their places: producers and consumers only need as many of them."""
        return () if np.array_equal(self.full_order, np.arange(self.source.size)) else None

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Gathers."""
        (x,) = xs
        return (x.reshape(len(x), -1)[:, self.full_order].reshape(-1, *self.shape),)

    def bounds(self) -> tuple[Bounds, ...]:
        """The input's own limits."""
        n = self.shape[-1]
        return (Bounds((self.source.lo,) * n, (self.source.hi,) * n, witness="the input's own limits"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """Views, which only renumber elements until a layer needs them in another order: see `gatewright.ir.views`."""
        if node.op_type not in VIEWS or node.domain not in ("", "ai.onnx") or not ctx.is_dynamic(node.inputs[0]):
            return False
        ctx.values[node.outputs[0]] = viewed(node, ctx)
        return True

    def hls4ml(self) -> Layers:
        """Elements in another order."""
        return gather(self.source, self.outputs[0], self.reference)

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the runs that stay together."""
        return {"pe": divisors(self._run)}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    @property
    def block(self) -> int:
        """Beats of a block: two blocks are buffered."""
        return math.lcm(self._period, self.pe) // self.pe

    @property
    def beats(self) -> IntArray:
        """Which beat of its block each beat of an output block is."""
        return as_int64(self.full_order[: self.block * self.pe : self.pe] // self.pe)

    def schedule(self) -> Schedule:
        """A beat leaves once it is there and its turn has come; a block has its place once the last but one is done."""
        first = np.arange(0, self.cycles, self.block)
        need = (first[:, None] + np.maximum.accumulate(self.beats)).ravel() + 1
        after = np.repeat(first - self.block, self.block)
        return Schedule(self.cycles, 2, (need,), (np.ones(self.cycles, np.bool_),), (after,))

    @property
    def _loops(self) -> list[tuple[int, int]] | None:
        return loops(self.beats)

    def parameters(self) -> dict[str, int]:
        """Adds the beats of a block, and the loops over them, innermost first."""
        nest = self._loops
        start = int(self.beats[0]) if nest is not None else 0
        own = {"block": self.block, "start": start, "table": int(nest is None)}
        return super().parameters() | own | loop_parameters(nest or ())

    def memories(self) -> dict[str, Memory]:
        """The order, where no loops make it."""
        if self._loops is not None:
            return {}
        return {"order": Memory(self.beats[:, None], max(1, (self.block - 1).bit_length()))}

    def features(self) -> Features:
        """Two blocks of memory, and the loops that read them; the order's ROM where no loops make it."""
        counts, blocks = ping_pong(self.pe * self.source.bits, self.block)
        counts["out"] = float(self.pe * self.source.bits)
        nest = self._loops
        if nest is not None:
            loops = [n for n, _ in nest]
            counts |= {"loops": float(len(nest)), "odd": odd(*loops, self.cycles)}
            counts |= address_counts(self.beats, self.block)
            return Features(counts | counters(*loops, self.cycles), (blocks,))
        order = self.memories()["order"]
        counts |= {"next": counter_bits(self.block), **counters(self.block, self.cycles)}
        if self.block > ORDER_IN_LUTS:
            return Features(counts, (blocks, Ram(order.bits, self.block, True, "rom")))
        return Features(counts | rom_features("rom", order), (blocks,))

    @classmethod
    def examples(cls) -> list[Op]:
        """To a vector and back, transpositions of every kind, reversal, no order at all, one element, rows by rows."""
        rng = np.random.default_rng(0)

        def transposed(source: Tensor, *axes: int, pe: int = 1) -> Reshape:
            order = np.arange(source.size).reshape(source.shape).transpose(axes)
            return cls(source, order.shape, as_int64(order.ravel()), pe)

        shuffled = np.arange(48).reshape(2, 2, 2, 3, 2).transpose(2, 0, 3, 1, 4).ravel()
        return [
            cls(Tensor((2, 3, 4), 0, 3), (24,)),
            transposed(Tensor((5, 3), 0, 15), 1, 0),
            transposed(Tensor((4, 3, 6), -8, 7), 1, 0, 2, pe=3),
            transposed(Tensor((2, 3, 4), 0, 255), 2, 0, 1),
            transposed(Tensor((3, 2, 5), -1, 1, 1.0, "bipolar"), 2, 1, 0),
            cls(Tensor((6, 8), 0, 7), (48,), as_int64(shuffled), 2),
            cls(Tensor((7,), -3, 3), (7,), as_int64(np.arange(7)[::-1])),
            cls(Tensor((5, 7), 0, 1), (35,), as_int64(rng.permutation(35))),
            cls(Tensor((8, 3), 0, 9), (4, 6), as_int64((rng.permutation(8)[:, None] * 3 + np.arange(3)).ravel()), 3),
            cls(Tensor((1,), 0, 7), (1, 1), as_int64([0])),
            transposed(Tensor((3, 4, 2, 6), -8, 7), 0, 2, 1, 3, pe=6),
            transposed(Tensor((2, 3, 2, 2), 0, 3), 0, 2, 1, 3),
            cls(
                Tensor((4, 3), 0, 7, (1.0, 0.5, 1.0)), (4, 3), as_int64((np.arange(4)[:, None] * 3 + [2, 1, 0]).ravel())
            ),
            cls(Tensor((12,), 0, 1), (12,), as_int64((np.arange(2)[:, None] * 6 + [0, 3, 1, 5, 4, 2]).ravel())),
        ]


def loops(order: IntArray) -> list[tuple[int, int]] | None:
    """Counts and strides, innermost first, of at most `LOOPS` nested loops that make an order; None where none do."""
    nest: list[tuple[int, int]] = []
    while len(order) > 1:
        steps = np.diff(order)
        stride, ends = int(steps[0]), np.flatnonzero(steps != steps[0])
        count = int(ends[0]) + 1 if len(ends) else len(order)
        if len(nest) == LOOPS or len(order) % count:
            return None
        turns = order.reshape(-1, count)
        if (turns != turns[:, :1] + stride * np.arange(count)).any():
            return None
        nest.append((count, stride))
        order = turns[:, 0]
    return nest


def loop_parameters(nest: Sequence[tuple[int, int]]) -> dict[str, int]:
    """Parameters of a kernel with `LOOPS` nested loops; those that a nest does not need make one turn."""
    whole = [*nest, *[(1, 0)] * (LOOPS - len(nest))]
    return {f"n{i}": n for i, (n, _) in enumerate(whole)} | {f"s{i}": s for i, (_, s) in enumerate(whole)}


# --- layouts ----------------------------------------------------------------------------------------------------------


def natural_index(shape: Sequence[int]) -> IntArray:
    """Index of a frame whose integers lie in the model's own order, the last axis innermost."""
    return np.arange(math.prod(shape)).reshape(shape)


def in_layout(ctx: ImportContext, value: Value, node: OnnxNode, index: IntArray) -> Value:
    """`value` with its elements on the wire in the order that `node` reads them in.

    Nothing is emitted where they are in that order, or where the host can send a graph input in it.

    Args:
        value: quantised; float steps behind it stay behind it.
        index: int64 in the shape that the node reads: flat position in the model's frame of each element, such as
            `standard_index(value.shape)` for channels last or `natural_index(value.shape)`.

    Raises:
        UnsupportedError: a scale or float step per channel has no channel in the new order.
    """
    if value.index.shape == index.shape and np.array_equal(value.index, index):
        return value
    assert value.type is not None  # noqa: S101  # callers refuse float inputs
    place = np.empty(index.size, np.int64)
    place[value.index.ravel()] = np.arange(index.size)
    order = as_int64(place[index.ravel()])
    scale = value.type.scale
    moved_scale = moved_channels(scale, order, index.shape[-1]) if isinstance(scale, tuple) else scale
    if moved_scale is None:
        raise UnsupportedError(
            node.name,
            f"{node.op_type} reads a transposed or reshaped accumulator with one scale per channel: put a Quant node "
            "with one scale before it",
        )
    moved = replace(
        value,
        type=replace(value.type, shape=index.shape, scale=moved_scale),
        index=index,
        steps=_moved(node, value.steps, order, index.shape[-1]),
    )
    if np.array_equal(order, np.arange(order.size)):
        return moved
    if sum(ctx.values[i].tensor == value.tensor for i in node.inputs if ctx.is_dynamic(i)) == 1 and ctx.relay_input(
        value.tensor, order, index.shape
    ):
        return moved
    for other in ctx.nodes:
        if other.inputs == (value.tensor,) and isinstance(other.op, Reshape) and (other.op.full_order == order).all():
            return replace(moved, tensor=other.outputs[0])
    name = f"{node.outputs[0]}_order"
    ctx.emit(Reshape(value.type, index.shape, order), (value,), name, node, value.shape, index)
    return replace(ctx.values.pop(name), steps=moved.steps, code=value.code)


def as_vectors(ctx: ImportContext, value: Value, node: OnnxNode) -> tuple[Value, IntArray, IntArray]:
    """`value` as vectors along the model's last axis, each whole on the wire.

    A matrix that reads them takes up the order of their elements, and the frame of its output their own order, so that
    elements move only where vectors are torn apart.

    Returns:
        The value, its type of shape (vectors, features), or (features,) where the frame is one vector; int64 of shape
        (vectors,): which vector of the model's frame each is; and of shape (features,): which element each one is.
    """
    features = value.shape[-1]
    flat = value.index.reshape(-1, features)
    if (flat // features != flat[:, :1] // features).any() or (flat % features != flat[:1] % features).any():
        value = in_layout(ctx, value, node, natural_index(value.shape))
        flat = value.index.reshape(-1, features)
    assert value.type is not None  # noqa: S101  # callers refuse float inputs
    if not isinstance(value.type.scale, tuple):
        shape = flat.shape if len(value.shape) > 1 else (features,)
        value = replace(value, type=replace(value.type, shape=shape), index=value.index.reshape(shape))
    return value, as_int64(flat[:, 0] // features), as_int64(flat[0] % features)


def moved_channels(values: Sequence[float], order: IntArray, channels: int) -> tuple[float, ...] | None:
    """Values per channel for elements in another order; None where those of several would lie in one channel.

    Args:
        order: int64 of shape (elements,): which element each of the new ones was.
        channels: of the new order.
    """
    full = np.asarray(values)[order % len(values)].reshape(-1, channels)
    return tuple(full[0].tolist()) if (full == full[0]).all() else None


def _moved(node: OnnxNode, steps: tuple[Step, ...], order: IntArray, channels: int) -> tuple[Step, ...]:
    """Float steps for elements in another order."""
    out = []
    for step in steps:
        branches = tuple(_moved(node, b, order, channels) for b in step.branches)
        values: tuple[float, ...] | None = step.values
        if step.per_channel and len(step.values) > 1:
            values = moved_channels(step.values, order, channels)
        if values is None:
            raise UnsupportedError(
                node.name,
                f"{node.op_type} reads a transposed or reshaped tensor after a {step.kind} per channel: "
                "put a Quant node before the transposition",
            )
        out.append(replace(step, values=values, branches=branches))
    return tuple(out)
