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
from gatewright.ir.cost import Features, Ram, counter_bits, counters, ping_pong, rom_features
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
    """The same elements under another shape, in the same order (no hardware) or in any other (two frames of buffer).

    Attributes:
        source: any tensor of one scale.
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
        if isinstance(self.source.scale, tuple):
            raise ConfigError(
                "reshape: the input has one scale per channel, and the output other channels: quantise to one scale"
            )
        if self.order is not None and not np.array_equal(np.sort(self.order), np.arange(size)):
            raise ConfigError(f"reshape: the order must name each of the {size} elements once")
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

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The input under the new shape."""
        return (replace(self.source, shape=self.shape),)

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

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the runs that stay together."""
        return {"pe": divisors(self._run)}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    @property
    def beats(self) -> IntArray:
        """Which beat of the input each beat of the output is."""
        return as_int64(self.full_order[:: self.pe] // self.pe)

    def schedule(self) -> Schedule:
        """A beat leaves once it is there and its turn has come; a frame has its place once the last but one is done."""
        after = np.full(self.cycles, -self.cycles)
        return Schedule(
            self.cycles, 1, (np.maximum.accumulate(self.beats) + 1,), (np.ones(self.cycles, np.bool_),), (after,)
        )

    @property
    def _loops(self) -> list[tuple[int, int]] | None:
        return loops(self.beats)

    def parameters(self) -> dict[str, int]:
        """Adds the loops, innermost first."""
        nest = self._loops
        counts = {f"n{i}": n for i, (n, _) in enumerate(nest or ())}
        strides = {f"s{i}": s for i, (_, s) in enumerate(nest or ())}
        start = int(self.beats[0]) if nest is not None else 0
        return super().parameters() | {"start": start} | counts | strides | {"table": int(nest is None)}

    def memories(self) -> dict[str, Memory]:
        """The order, where no loops make it."""
        if self._loops is not None:
            return {}
        return {"order": Memory(self.beats[:, None], max(1, (self.cycles - 1).bit_length()))}

    def features(self) -> Features:
        """Two frames of memory, and the loops that read them; the order's ROM where no loops make it."""
        counts, frames = ping_pong(self.pe * self.source.bits, self.cycles)
        nest = self._loops
        if nest is not None:
            counts["loops"] = float(len(nest))
            return Features(counts | counters(*(n for n, _ in nest), self.cycles), (frames,))
        order, block = self.memories()["order"], self.cycles > ORDER_IN_LUTS
        counts |= {"next": counter_bits(self.cycles), **counters(self.cycles, self.cycles)}
        if block:
            return Features(counts, (frames, Ram(order.bits, self.cycles, True, "rom")))
        return Features(counts | rom_features("rom", order), (frames,))

    @classmethod
    def examples(cls) -> list[Op]:
        """To a vector and back, transpositions of every kind, reversal, no order at all, one element."""
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
    if isinstance(value.type.scale, tuple):
        raise UnsupportedError(
            node.name,
            f"{node.op_type} reads a transposed or reshaped accumulator with one scale per channel: put a Quant node "
            "with one scale before it",
        )
    place = np.empty(index.size, np.int64)
    place[value.index.ravel()] = np.arange(index.size)
    order = as_int64(place[index.ravel()])
    moved = replace(
        value,
        type=replace(value.type, shape=index.shape),
        index=index,
        steps=_moved(node, value.steps, value.channels, order, index.shape[-1]),
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
    return replace(ctx.values.pop(name), steps=moved.steps)


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


def _moved(
    node: OnnxNode, steps: tuple[Step, ...], channels: int, order: IntArray, new_channels: int
) -> tuple[Step, ...]:
    """Float steps for elements in another order."""
    out = []
    for step in steps:
        branches = tuple(_moved(node, b, channels, order, new_channels) for b in step.branches)
        values = step.values
        if step.per_channel and len(values) > 1:
            full = np.tile(values, order.size // channels)[order].reshape(-1, new_channels)
            if (full != full[0]).any():
                raise UnsupportedError(
                    node.name,
                    f"{node.op_type} reads a transposed or reshaped tensor after a {step.kind} per channel: "
                    "put a Quant node before the transposition",
                )
            values = tuple(full[0].tolist())
        out.append(replace(step, values=values, branches=branches))
    return tuple(out)
