# SPDX-License-Identifier: Apache-2.0
"""Concatenation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.chain import affine_form
from gatewright.ir.cost import Features, counter_bits, counters
from gatewright.ir.hls4ml import Layers, one
from gatewright.ir.importing import ImportContext, OnnxNode, Value, standard_index
from gatewright.ir.op import Bounds, Op, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import FloatArray, IntArray, Tensor
from gatewright.ops.add import affine, as_twos, common_scale
from gatewright.ops.reshape import in_layout, natural_index


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Two tensors one behind the other along an axis: channels, or rows or columns of an image.

    Attributes:
        left, right: inputs of one shape but for the axis; one scale, or one per channel.
        axis: which, from 0; channels are the last.
        pe: channels moved at once; divides the channels of both.
    """

    left: Tensor
    right: Tensor
    axis: int
    pe: int = 1

    def __post_init__(self) -> None:
        left, right, axis = self.left.shape, self.right.shape, self.axis
        if not 0 <= axis < len(left) or (*left[:axis], *left[axis + 1 :]) != (*right[:axis], *right[axis + 1 :]):
            raise ConfigError(f"concat: {self.left} and {self.right} differ elsewhere than in axis={axis!r}")
        per_channel = isinstance(self.left.scale, tuple) or isinstance(self.right.scale, tuple)
        if self.left.scale != self.right.scale and not (per_channel and axis == len(left) - 1):
            raise ConfigError(
                f"concat: scales {self.left.scale!r} and {self.right.scale!r} must be equal: "
                "requantise one side to the scale of the other"
            )
        if self.left.encoding != self.right.encoding:
            raise ConfigError(
                f"concat: {self.left} and {self.right} have different encodings: quantise both sides alike"
            )
        self.check_folding(pe=(math.gcd(left[-1], right[-1]), "channels that both sides have in common"))

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Both parts."""
        return self.left, self.right

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The whole, with the limits of both."""
        a, b, scale = self.left, self.right, self.left.scale
        shape = (*a.shape[: self.axis], a.shape[self.axis] + b.shape[self.axis], *a.shape[self.axis + 1 :])
        if a.scale != b.scale or (isinstance(a.scale, tuple) and self._channels):
            scale = tuple(float(s) for t in (a, b) for s in np.broadcast_to(t.scale, t.channels))
        return (Tensor(shape, min(a.lo, b.lo), max(a.hi, b.hi), scale, a.encoding),)

    @property
    def _channels(self) -> bool:
        """Whether it is channels that are joined."""
        return self.axis == len(self.left.shape) - 1

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """NumPy's concatenation."""
        return (np.concatenate(xs, axis=1 + self.axis),)

    def bounds(self) -> tuple[Bounds, ...]:
        """The limits of the side that a channel comes from, or of both."""
        a, b = self.left, self.right
        if self._channels:
            lo, hi = ((x,) * a.channels + (y,) * b.channels for x, y in ((a.lo, b.lo), (a.hi, b.hi)))
        else:
            lo, hi = (min(a.lo, b.lo),) * a.channels, (max(a.hi, b.hi),) * a.channels
        return (Bounds(lo, hi, witness="the inputs' own limits"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`Concat` of activations; several become a chain, unequal scales are brought to a common finer one."""
        if node.op_type != "Concat" or not any(ctx.is_dynamic(i) for i in node.inputs):
            return False
        for i, name in enumerate(node.inputs):
            if not ctx.is_dynamic(name):
                ctx.constant(node, i)
                raise UnsupportedError(
                    node.name, f"Concat with the constant {name!r} has no hardware: fold it into the layers behind"
                )
        axis = _model_axis(node, ctx)
        values = [ctx.integer(node, i, affine)[0] for i in range(len(node.inputs))]
        if len({(v.type.encoding, v.type.scale) for v in values if v.type is not None}) > 1:
            values = [as_twos(node, ctx, v) for v in values]
        values, factor, offset = _plain(node, ctx, _one_layout(node, ctx, values), axis)
        for i, right in enumerate(values[1:], 2):
            last = i == len(values)
            values[0] = _join(node, ctx, values[0], right, axis, node.outputs[0] if last else f"{node.outputs[0]}_{i}")
        if len(values) == 1:
            ctx.values[node.outputs[0]] = values[0]
        ctx.scale(node, factor, offset)
        return True

    def hls4ml(self) -> Layers:
        """A concatenation; hls4ml counts axes from the batch on."""
        rank = len(self.left.shape)
        return one("Concatenate", self.outputs[0], {"op": f"concatenate{rank}d", "axis": self.axis + 1})

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Common divisors of the channels of both sides."""
        return {"pe": divisors(math.gcd(self.left.channels, self.right.channels))}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.outputs[0].size // self.pe

    @property
    def turn0(self) -> int:
        """Beats of the left side at a time."""
        return math.prod(self.left.shape[self.axis :]) // self.pe

    @property
    def turn1(self) -> int:
        """Beats of the right side at a time."""
        return math.prod(self.right.shape[self.axis :]) // self.pe

    def schedule(self) -> Schedule:
        """A step takes a beat of one side; the other side waits."""
        second = np.arange(self.cycles) % (self.turn0 + self.turn1) >= self.turn0
        return Schedule(self.cycles, 1, (np.cumsum(~second), np.cumsum(second)), (np.ones(self.cycles, np.bool_),))

    def parameters(self) -> dict[str, int]:
        """Adds the beats of a turn."""
        return super().parameters() | {"turn0": self.turn0, "turn1": self.turn1}

    def features(self) -> Features:
        """A multiplexer a bit that both sides have, the position within a turn, and which side that is."""
        turn, total = self.turn0 + self.turn1, self.outputs[0].bits
        counts = {
            "both": float(self.pe * min(total if t.signed else t.bits for t in self.inputs)),
            "out": float(self.pe * self.outputs[0].bits),
            "turn": counter_bits(turn),
            **counters(turn, self.cycles),
        }
        return Features(counts)

    @classmethod
    def examples(cls) -> list[Op]:
        """Every axis, unequal sides, widths and signs, vectors, one beat a side, scales per channel, bipolar."""
        return [
            cls(Tensor((3, 2, 4), 0, 15), Tensor((3, 2, 6), 0, 15), 2, 2),
            cls(Tensor((2, 3, 4), -8, 7), Tensor((2, 3, 4), 0, 200), 2, 4),
            cls(Tensor((5,), 0, 3), Tensor((1,), -1, 0), 0),
            cls(Tensor((3, 2, 4), -3, 3), Tensor((1, 2, 4), -20, 2), 0, 2),
            cls(Tensor((2, 5, 3), 0, 7), Tensor((2, 2, 3), 3, 5), 1, 3),
            cls(Tensor((4, 1), 0, 1), Tensor((4, 1), 0, 1), 1),
            cls(Tensor((2, 2), 0, 7, (0.5, 0.25)), Tensor((2, 4), 0, 7, 1.0), 1, 2),
            cls(Tensor((2, 6), -1, 1, 1.0, "bipolar"), Tensor((2, 9), -1, 1, 1.0, "bipolar"), 1, 3),
        ]


def _model_axis(node: OnnxNode, ctx: ImportContext) -> int:
    """The axis in the model's frame, from 0; refuses frames that do not fit."""
    shapes = [ctx.values[i].shape for i in node.inputs]
    rank = len(shapes[0])
    given = int(node.attributes["axis"])
    axis = given - 1 if given > 0 else given + rank
    if given == 0 or not 0 <= axis < rank:
        raise UnsupportedError(
            node.name, f"Concat along axis={given!r} has no hardware for frames of shape {shapes[0]!r}: "
            "the batch cannot be joined"
        )  # fmt: skip
    if len({(*s[:axis], *s[axis + 1 :]) for s in shapes}) > 1 or len({len(s) for s in shapes}) > 1:
        text = ", ".join(map(repr, shapes))
        raise UnsupportedError(node.name, f"Concat of frames {text}: all but axis={given!r} must be equal")
    return axis


def _one_layout(node: OnnxNode, ctx: ImportContext, values: list[Value]) -> list[Value]:
    """All frames channels last, or all in the model's own order where they are so already; vectors stay as they are."""
    if len(values[0].shape) == 1:
        return values
    natural = all(np.array_equal(v.index.ravel(), natural_index(v.shape).ravel()) for v in values)
    layout = natural_index if natural else standard_index
    return [in_layout(ctx, v, node, layout(v.shape)) for v in values]


def _plain(
    node: OnnxNode, ctx: ImportContext, values: list[Value], axis: int
) -> tuple[list[Value], FloatArray, FloatArray]:
    """The operands without steps, of one scale or one per channel, and what the whole is to be multiplied by and added.

    Raises:
        UnsupportedError: offsets that differ between parts of one channel.
    """
    forms = [affine_form(v.steps, v.channels) for v in values]
    if len(values[0].shape) == 1:  # vectors of any layout: every element is a channel of the whole
        forms = [(np.tile(f, v.index.size // v.channels), np.tile(o, v.index.size // v.channels))
                 for v, (f, o) in zip(values, forms, strict=True)]  # fmt: skip
    natural = np.array_equal(values[0].index, natural_index(values[0].shape))
    joined = len(values[0].shape) == 1 or axis == (len(values[0].shape) - 1 if natural else 0)
    offsets = [o for _, o in forms]
    if not joined and any((o != offsets[0]).any() for o in offsets):
        raise UnsupportedError(
            node.name,
            f"Concat of parts with different offsets along axis={node.attributes['axis']!r}: put a Quant node of one "
            "scale in front of each",
        )
    offset = np.concatenate(offsets) if joined else offsets[0]
    if joined and any(isinstance(v.type.scale, tuple) for v in values if v.type is not None):
        return [replace(v, steps=()) for v in values], np.concatenate([f for f, _ in forms]), offset
    plain, factor = common_scale(node, ctx, values)
    return plain, np.asarray(factor), offset


def _join(node: OnnxNode, ctx: ImportContext, left: Value, right: Value, axis: int, output: str) -> Value:
    """Emit one concatenation."""
    assert left.type is not None and right.type is not None  # noqa: S101  # both came from ctx.integer
    shape = (*left.shape[:axis], left.shape[axis] + right.shape[axis], *left.shape[axis + 1 :])
    if len(shape) == 1:
        # Vectors of any layout: the parts follow one another as they are.
        first, second = (replace(t, shape=(t.size,)) for t in (left.type, right.type))
        index = np.concatenate([left.index.ravel(), left.index.size + right.index.ravel()])
        ctx.emit(Concat(first, second, 0), (left, right), output, node, shape, index)
        return ctx.values[output]
    natural = np.array_equal(left.index, natural_index(left.shape))
    physical = axis if natural else (axis - 1) % len(shape)
    index = natural_index(shape) if natural else standard_index(shape)
    ctx.emit(Concat(left.type, right.type, physical), (left, right), output, node, shape, index)
    return ctx.values[output]
