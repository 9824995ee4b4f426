# SPDX-License-Identifier: Apache-2.0
"""The index of the largest channel."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.chain import affine_form
from gatewright.ir.cost import Features, counters
from gatewright.ir.importing import ImportContext, OnnxNode, Value
from gatewright.ir.op import Bounds, Op, as_int64, divisors
from gatewright.ir.quantizers import read_flag
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import FloatArray, IntArray, Tensor
from gatewright.ops.add import as_twos
from gatewright.ops.requant import Requant
from gatewright.ops.reshape import in_layout, natural_index

TOLERANCE = 2.0**-22
"""How far, relatively, a ratio may be from a whole number: of the order of what float32 itself rounds away, so that
only scores that are equal but for it can differ."""
SHIFT = 3
"""Registers in a row from which on synthesis makes a shift register of them."""
REMEDY = "put a Quant node with one scale in front of it, or leave it to the host"


@dataclass(frozen=True, eq=False)
class Argmax(Op):
    """The index of the largest channel of every vector: the lowest such index, or the highest.

    Attributes:
        source: vectors of shape (..., channels).
        last: take the highest index among equals.
        pe: channels compared at once; divides the channels.
    """

    gives_positions = True

    source: Tensor
    last: bool = False
    pe: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.source.scale, tuple) and len(set(self.source.scale)) > 1:
            raise ConfigError(
                "argmax: channels of different scales cannot be compared: bring them to one scale by a requant"
            )
        self.check_folding(pe=(self.channels, "channels"))

    @property
    def channels(self) -> int:
        """Channels that are compared."""
        return self.source.channels

    # --- what it computes -------------------------------------------------------------------------------------------

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """One index a vector."""
        return (Tensor((*self.source.shape[:-1], 1), 0, self.channels - 1),)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """NumPy's argmax, which is the lowest index; from the other end for the highest."""
        (x,) = xs
        index = self.channels - 1 - x[..., ::-1].argmax(axis=-1) if self.last else x.argmax(axis=-1)
        return (np.asarray(index[..., None], np.int64),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Any channel can be the largest, unless the input has one value only."""
        top, same = self.channels - 1, self.source.lo == self.source.hi
        lo, hi = top if same and self.last else 0, 0 if same and not self.last else top
        return (Bounds((lo,), (hi,), witness="one channel at its upper limit, the others at their lower"),)

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`ArgMax` and `ArgMin` along any axis, where hardware is asked for: else the host takes them.

        Scales and offsets per channel that are whole multiples of one scale come in by a multiplication.
        """
        if node.op_type not in ("ArgMax", "ArgMin") or not ctx.is_dynamic(node.inputs[0]):
            return False
        if not ctx.hardware_argmax:
            raise UnsupportedError(
                node.name, f"{node.op_type} becomes hardware only where it is asked for: compile with --argmax"
            )
        value = ctx.integer(node, 0, lambda v: all(s.affine for s in v.steps))[0]
        rank, given = len(value.shape), int(node.attributes.get("axis", 0))
        axis = (given if given >= 0 else given + rank + 1) - 1
        if not 0 <= axis < rank:
            raise UnsupportedError(
                node.name, f"{node.op_type} along axis={given!r} of a batch of frames of shape {value.shape!r}: "
                f"use axes 1 to {rank}, the batch stays whole"
            )  # fmt: skip
        index = np.ascontiguousarray(np.moveaxis(natural_index(value.shape), axis, -1))
        value = _comparable(node, ctx, in_layout(ctx, value, node, index), node.op_type == "ArgMin")
        assert value.type is not None  # noqa: S101  # it came from ctx.integer
        op = cls(value.type, read_flag(node, "select_last_index", 0))
        places = index.shape[:-1]
        kept = (1,) if read_flag(node, "keepdims", 1) else ()
        shape = (*value.shape[:axis], *kept, *value.shape[axis + 1 :])
        ctx.emit(op, (value,), node.outputs[0], node, shape, natural_index((*places, 1)))
        return True

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.channels)}

    @property
    def out_lanes(self) -> tuple[int, ...]:
        """One index."""
        return (1,)

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    @property
    def _levels(self) -> int:
        """Levels of the tree that compares the lanes of a beat."""
        return (self.pe - 1).bit_length()

    def schedule(self) -> Schedule:
        """The last beat of a vector gives its index; a register behind each level of the tree, and one more."""
        groups, step = self.channels // self.pe, np.arange(self.cycles)
        return Schedule(self.cycles, self._levels + 1, (step + 1,), (step % groups == groups - 1,))

    def parameters(self) -> dict[str, int]:
        """Adds the channels."""
        return super().parameters() | {"channels": self.channels}

    def features(self) -> Features:
        """Comparisons of the tree with what they choose between, and the largest so far with its index."""
        bits, groups, (out,) = self.source.bits, self.channels // self.pe, self.outputs
        several, levels = groups > 1, range(1, self._levels + 1)
        pairs = {t: -(-self.pe >> t - 1) // 2 for t in levels}
        # Of a vector that comes in one beat nothing asks for the largest value, only for its place.
        unread = bits if levels and not several else 0
        chosen = float(sum((bits + t) * n for t, n in pairs.items()) - unread)
        return Features(
            {
                "compare": float(bits * sum(pairs.values())),
                "choose": chosen,
                "best": float(bits * several),
                "index": float(out.bits * several),
                "out": float(out.bits),
                "flags": float(self._levels * (1 + several)),
                **self._passed(chosen),
                **counters(groups, out.size),
            }
        )

    def _passed(self, chosen: float) -> dict[str, float]:
        """Registers of the tree, of which `chosen` stand behind a choice, and shift registers.

        The last of an odd number of candidates passes a level. Three registers in a row are a shift register in LUTs.
        """
        bits, registers, shifts = self.source.bits, chosen, 0.0
        row, born = 0, 0  # registers in a row of the last candidate, and the level at which it was chosen
        for t in range(1, self._levels + 1):
            alone = (-(-self.pe >> t - 1)) % 2
            if not alone:
                row, born = 1, t
                continue
            row += 1
            registers += bits + born
            if row == SHIFT:
                registers -= SHIFT * (bits + born)
                shifts += bits + born
            elif row > SHIFT:
                registers -= bits + born
        return {"registers": registers, "shift": shifts}

    @classmethod
    def examples(cls) -> list[Op]:
        """Signs, ties of few values, one channel, all lanes and odd numbers of them, maps, both ends, bipolar."""
        return [
            cls(Tensor((10,), -128, 127), pe=5),
            cls(Tensor((3, 4, 6), 0, 3), pe=3),
            cls(Tensor((5, 7), -2, 1), True, 7),
            cls(Tensor((2, 2, 12), 0, 1), True, 4),
            cls(Tensor((4, 9), -3000, 2000), pe=1),
            cls(Tensor((3, 1), 0, 7)),
            cls(Tensor((2, 16), 5, 6), pe=2),
            cls(Tensor((2, 3, 8), -1, 1, encoding="bipolar"), pe=4),
            cls(Tensor((6, 3), -1, 1, encoding="bipolar"), True),
            cls(Tensor((2, 4), -7, 7, (0.5,) * 4), pe=2),
        ]


# --- import -----------------------------------------------------------------------------------------------------------


def _comparable(node: OnnxNode, ctx: ImportContext, value: Value, least: bool) -> Value:
    """Integers in the order of the real values, or, where the least is asked for, in the opposite one.

    Raises:
        UnsupportedError: the channels' scales or offsets are not whole multiples of one scale.
    """
    tensor = value.type
    assert tensor is not None  # noqa: S101  # it came from ctx.integer
    factor, offset = affine_form(value.steps, value.channels)
    factor = factor * np.asarray(tensor.scale) * (-1 if least else 1)
    offset = (offset - offset.min()) * (-1 if least else 1)
    unit = np.abs(factor[factor != 0]).min(initial=np.inf)
    mult, add = (_multiples(v, float(unit)) for v in (factor, offset))
    if mult is None or add is None:
        which = f"scales {factor[:4].tolist()!r}" if mult is None else f"offsets {offset[:4].tolist()!r}"
        raise UnsupportedError(
            node.name,
            f"{node.op_type} compares channels whose {which} are not whole multiples of one scale: {REMEDY}",
        )
    if (mult == 1).all() and (add == add[0]).all():
        return replace(value, steps=())
    value = as_twos(node, ctx, value)
    tensor = value.type
    assert tensor is not None  # noqa: S101  # as before
    ends = [int(v) * m + a for v in (tensor.lo, tensor.hi) for m, a in zip(mult.tolist(), add.tolist(), strict=True)]
    try:
        op = Requant(tensor, mult, add, 0, min(ends), max(ends), float(unit))
    except ConfigError as error:
        raise UnsupportedError(
            node.name, f"{node.op_type} of scores too wide to compare ({error}): {REMEDY}"
        ) from error
    name = f"{node.outputs[0]}_scores"
    ctx.emit(op, (value,), name, node, value.shape, value.index)
    return ctx.values.pop(name)


def _multiples(values: FloatArray, unit: float) -> IntArray | None:
    """Each value as a whole multiple of the unit; None where one is none."""
    if not math.isfinite(unit):
        return None
    ratios = values / unit
    whole = np.rint(ratios)
    near = np.abs(ratios - whole) <= np.abs(whole) * TOLERANCE
    return as_int64(whole) if near.all() and np.abs(whole).max() < 1 << 31 else None
