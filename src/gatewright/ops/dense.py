# SPDX-License-Identifier: Apache-2.0
"""Matrix-vector product."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.chain import Step
from gatewright.ir.importing import ImportContext, OnnxNode
from gatewright.ir.op import Bounds, Memory, Op, as_int64, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor, bits_for


@dataclass(frozen=True, eq=False)
class Dense(Op):
    """y = W x on every vector of the input, `pe` rows and `simd` columns a cycle (a matrix-vector unit, MVU).

    Attributes:
        source: input of shape (..., columns).
        weight: int64 of shape (rows, columns).
        weight_scale: real weight = weight_scale * weight; one, or one per row.
        pe: rows computed at once; divides the rows.
        simd: columns multiplied at once; divides the columns.
    """

    source: Tensor
    weight: IntArray
    weight_scale: tuple[float, ...] = (1.0,)
    pe: int = 1
    simd: int = 1

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.weight.shape[1] != self.source.channels:
            raise ConfigError(
                f"dense: weight shape {self.weight.shape!r} does not fit {self.source}: "
                f"need (rows, {self.source.channels})"
            )
        if isinstance(self.source.scale, tuple):
            raise ConfigError("dense: the input has one scale per channel; sums need one scale")
        if self.acc_bits > 63:
            raise ConfigError(
                f"dense: sums of {self.acc_bits} bits; at most 63 are possible: use narrower weights or inputs"
            )
        self.check_folding(pe=(self.weight.shape[0], "rows"), simd=(self.weight.shape[1], "columns"))

    # --- what it computes -------------------------------------------------------------------------------------------

    @cached_property
    def _output(self) -> Tensor:
        (bounds,) = self.bounds()
        scale = tuple((float(self.source.scale) * np.broadcast_to(self.weight_scale, self.rows)).tolist())  # type: ignore[arg-type]  # checked to be a scalar
        return Tensor(
            (*self.source.shape[:-1], self.rows),
            min(bounds.lo),
            max(bounds.hi),
            scale[0] if len(set(scale)) == 1 else scale,
        )

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The accumulators, one per row."""
        return (self._output,)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Exact: float64 products when every partial sum stays below 2**53, int64 otherwise."""
        (x,) = xs
        if max(-self.partial_lo, self.partial_hi) < 1 << 53:
            return (np.matmul(x.astype(np.float64), self.weight.T.astype(np.float64)).astype(np.int64),)
        return (np.matmul(x, self.weight.T),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Positive weights against one limit of the input, negative ones against the other, in Python integers."""
        return (self._bounds,)

    @cached_property
    def _bounds(self) -> Bounds:
        positive = [int(v) for v in np.maximum(self.weight, 0).sum(axis=1)]
        negative = [int(v) for v in np.minimum(self.weight, 0).sum(axis=1)]
        lo, hi = self.source.lo, self.source.hi
        pairs = list(zip(positive, negative, strict=True))
        # A partial sum lacks some terms: as if those inputs were 0.
        low, high = min(lo, 0), max(hi, 0)
        return Bounds(
            tuple(p * lo + n * hi for p, n in pairs),
            tuple(p * hi + n * lo for p, n in pairs),
            min(p * low + n * high for p, n in pairs),
            max(p * high + n * low for p, n in pairs),
            f"x = {hi} where the weight is positive and {lo} where it is negative reaches hi; the opposite reaches lo",
        )

    # --- import -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """`MatMul` with a constant right operand and `Gemm`."""
        if node.op_type not in ("MatMul", "Gemm") or node.domain not in ("", "ai.onnx"):
            return False
        if not ctx.is_dynamic(node.inputs[0]):
            raise UnsupportedError(
                node.name,
                f"{node.op_type} with the activation on the right has no hardware: "
                "transpose it so that the weight is the second operand",
            )
        if node.attributes.get("transA", 0) or node.attributes.get("alpha", 1.0) != 1.0:
            raise UnsupportedError(
                node.name, "Gemm with transA or alpha other than 1 has no hardware: fold them into the weight"
            )
        weight = ctx.weight(node, 1)
        value, tensor = ctx.integer(node, 0)
        if len(value.shape) != 1:
            raise UnsupportedError(
                node.name,
                f"{node.op_type} on frames of shape {value.shape!r} has no hardware: "
                "flatten the input to (batch, features) first",
            )
        matrix = weight.values if node.attributes.get("transB", 0) else weight.values.T
        if matrix.shape[1] != value.shape[0]:
            raise UnsupportedError(
                node.name, f"weight takes {matrix.shape[1]} features but the input has {value.shape[0]}"
            )
        scale = np.broadcast_to(weight.scale, weight.values.shape)
        scale = scale if node.attributes.get("transB", 0) else scale.T
        if not (scale == scale[:, :1]).all():
            raise UnsupportedError(
                node.name, "the weight's scale varies along the inputs: use one scale per output channel"
            )
        op = cls(
            replace(tensor, shape=(tensor.size,)), as_int64(matrix[:, value.index.ravel()]), tuple(scale[:, 0].tolist())
        )
        ctx.emit(op, (value,), node.outputs[0], node, (op.rows,))
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = ctx.constant(node, 2) * node.attributes.get("beta", 1.0)
            result = ctx.values[node.outputs[0]]
            vector = result.channel_vector(bias)
            if vector is None:
                raise UnsupportedError(node.name, f"bias of shape {bias.shape!r} does not fit {op.rows} outputs")
            ctx.extend(result, Step("add", vector), node.outputs[0], node)
        return True

    # --- its hardware -----------------------------------------------------------------------------------------------

    @property
    def rows(self) -> int:
        """Outputs per vector."""
        return int(self.weight.shape[0])

    @property
    def cols(self) -> int:
        """Inputs per vector."""
        return int(self.weight.shape[1])

    @property
    def vectors(self) -> int:
        """Vectors a frame."""
        return math.prod(self.source.shape[:-1])

    @property
    def partial_lo(self) -> int:
        """Least value of any partial sum."""
        return int(self._bounds.partial_lo or 0)

    @property
    def partial_hi(self) -> int:
        """Greatest value of any partial sum."""
        return int(self._bounds.partial_hi or 0)

    @property
    def acc_bits(self) -> int:
        """Accumulator width: what the exact bounds of every partial sum need, and not a bit more."""
        return max(
            bits_for(min(self.partial_lo, self._output.lo), max(self.partial_hi, self._output.hi)), self._output.bits
        )

    @cached_property
    def weight_bits(self) -> int:
        """Signed width of a stored weight."""
        return bits_for(min(int(self.weight.min()), -1), int(self.weight.max()))

    @property
    def in_lanes(self) -> tuple[int, ...]:
        """`simd` elements a beat."""
        return (self.simd,)

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the rows and of the columns."""
        return {"pe": divisors(self.rows), "simd": divisors(self.cols)}

    @property
    def cycles(self) -> int:
        """Every vector visits every word of the ROM once."""
        return self.vectors * (self.rows // self.pe) * (self.cols // self.simd)

    @property
    def tree_registers(self) -> int:
        """Register levels in the adder tree: one after every two levels of adders."""
        return -(-(self.simd - 1).bit_length() // 2)

    def schedule(self) -> Schedule:
        """Row group after row group; the first pass over a vector takes it in, later ones reread it."""
        sf, nf = self.cols // self.simd, self.rows // self.pe
        one = np.concatenate([np.arange(1, sf + 1), np.full((nf - 1) * sf, sf)])
        need = (np.arange(self.vectors)[:, None] * sf + one).ravel()
        produce = np.arange(1, self.cycles + 1) % sf == 0
        return Schedule(self.cycles, 3 + self.tree_registers, (need,), (produce,))

    @property
    def block_rom(self) -> bool:
        """Whether the weights go to block RAM: words enough that LUTs (64 words each) would cost more."""
        return self.cycles // self.vectors > 128

    @property
    def dsp(self) -> bool:
        """Whether products go to DSP slices: wide ones only, narrow ones cost fewer LUTs than they would block."""
        return self.weight_bits + self.source.bits > 12

    def parameters(self) -> dict[str, int]:
        """Adds the shape and the exact widths."""
        return super().parameters() | {
            "rows": self.rows,
            "cols": self.cols,
            "acc_bits": self.acc_bits,
            "block_rom": int(self.block_rom),
            "dsp": int(self.dsp),
        }

    def memories(self) -> dict[str, Memory]:
        """One word a step: row group outer, column group inner; element p * simd + s."""
        nf, sf = self.rows // self.pe, self.cols // self.simd
        words = self.weight.reshape(nf, self.pe, sf, self.simd).transpose(0, 2, 1, 3).reshape(nf * sf, -1)
        return {"weight": Memory(words, self.weight_bits)}

    def resources(self) -> dict[str, float]:
        """First model: products and adder tree in LUTs (or a DSP a product), ROM by shape."""
        macs, product = self.pe * self.simd, self.weight_bits + self.source.bits
        lut: float = self.pe * (self.acc_bits + (self.simd - 1) * (product + 1)) + 40
        if not self.dsp:
            lut += macs * self.weight_bits * (self.source.bits + (not self.source.signed)) * 1.45
        if self.rows > self.pe:
            lut += self.simd * self.source.bits * -(-(self.cols // self.simd) // 32) * 0.7
        width, depth = macs * self.weight_bits, self.cycles // self.vectors
        if not self.block_rom:
            lut += width * -(-depth // 64) * (1 if depth > 16 else depth / 16)
        bram = -(-width // 36) * -(-depth // 1024) if depth > 512 else -(-width // 72)
        return {
            "LUT": lut,
            "FF": macs * (product + self.weight_bits) + self.pe * self.acc_bits * 2 + 60,
            "BRAM36": float(bram) if self.block_rom else 0.0,
            "DSP": float(macs) if self.dsp else 0.0,
        }

    @classmethod
    def examples(cls) -> list[Op]:
        """1 to 8-bit operands of both signs, every kind of folding, one vector and several, wide and tall."""
        rng = np.random.default_rng(0)

        def example(rows: int, cols: int, bits: int, source: Tensor, pe: int, simd: int) -> Dense:
            limit = max((1 << bits - 1) - 1, 1)
            weight = rng.integers(-limit, limit + 1, (rows, cols))
            weight.flat[0] = limit
            return cls(source, as_int64(weight), pe=pe, simd=simd)

        return [
            example(4, 8, 4, Tensor((8,), 0, 15), 2, 4),
            example(6, 6, 2, Tensor((3, 6), 0, 3), 3, 1),
            example(8, 4, 8, Tensor((4,), -128, 127), 1, 4),
            example(10, 32, 8, Tensor((32,), 0, 255), 5, 8),
            example(3, 9, 4, Tensor((2, 2, 9), -8, 7), 3, 9),
            example(5, 1, 3, Tensor((4, 1), 0, 1), 1, 1),
            example(1, 16, 4, Tensor((16,), 0, 15), 1, 2),
            example(16, 27, 4, Tensor((5, 27), 0, 15), 4, 3),
            example(12, 36, 1, Tensor((3, 36), -1, 1), 12, 36),
            example(16, 128, 4, Tensor((2, 128), 0, 15), 1, 1),
            example(4, 6, 3, Tensor((4, 6), 2, 5), 2, 3),
            cls(Tensor((2, 8), 0, 1), as_int64(-rng.integers(0, 2, (4, 8))), pe=2, simd=4),
        ]
