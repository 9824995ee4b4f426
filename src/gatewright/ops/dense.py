# SPDX-License-Identifier: Apache-2.0
"""Matrix-vector product."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from gatewright.errors import ConfigError, UnsupportedError
from gatewright.ir.chain import Step
from gatewright.ir.cost import Features, Product, Ram, counters, rom_counts
from gatewright.ir.heap import Heap, heap
from gatewright.ir.hls4ml import Layers, Windows, convolution, product, sums
from gatewright.ir.importing import ImportContext, OnnxNode, Value
from gatewright.ir.moving import Moved, move_matrix, turned
from gatewright.ir.op import Bounds, Memory, Op, as_int64, divisors
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Tensor, bits_for
from gatewright.ops.reshape import as_vectors


@dataclass(frozen=True, eq=False)
class Dense(Op):
    """y = W x on every vector of the input, `pe` rows and `simd` columns a cycle (a matrix-vector unit, MVU).

    Attributes:
        source: input of shape (..., columns).
        weight: int64 of shape (rows, columns).
        weight_scale: real weight = weight_scale * weight; one, or one per row.
        pe: rows computed at once; divides the rows.
        simd: columns multiplied at once; divides the columns.
        streamed: ("weight",) where the RTL kernel takes its weights from a port, as from memory off the chip, and has
            no ROM of them; the integers and the schedule are the same, and other targets keep their ROM.
    """

    streamable: ClassVar[tuple[str, ...]] = ("weight",)

    source: Tensor
    weight: IntArray
    weight_scale: tuple[float, ...] = (1.0,)
    pe: int = 1
    simd: int = 1
    streamed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.weight.shape[1] != self.source.channels:
            raise ConfigError(
                f"dense: weight shape {self.weight.shape!r} does not fit {self.source}: "
                f"need (rows, {self.source.channels})"
            )
        if isinstance(self.source.scale, tuple):
            raise ConfigError(
                "dense: the input has one scale per channel; sums need one scale: quantise with one, or powers of two"
            )
        if self.acc_bits > 63:
            raise ConfigError(
                f"dense: sums of {self.acc_bits} bits; at most 63 are possible: use narrower weights or inputs"
            )
        self.check_folding(pe=(self.weight.shape[0], "rows"), simd=(self.weight.shape[1], "columns"))
        self.check_streamed()

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
        """`Gemm`, and `MatMul` with a constant on either side; factors and offsets in front of it move behind it."""
        if node.op_type not in ("MatMul", "Gemm") or node.domain not in ("", "ai.onnx"):
            return False
        left = node.op_type == "MatMul" and not ctx.is_dynamic(node.inputs[0])  # W x is the transpose of x' W'
        at = int(left)
        if node.op_type == "Gemm" and (node.attributes.get("transA", 0) or not ctx.is_dynamic(node.inputs[0])):
            raise UnsupportedError(
                node.name, "Gemm of a transposed activation mixes the batch with the frame: make it the first operand"
            )
        weight = ctx.weight(node, 1 - at)

        def move(value: Value) -> Moved | None:
            return move_matrix(node, weight, turned(node, value) if left else value, left)

        value, _ = ctx.integer(node, at, lambda v: move(v) is not None)
        if node.op_type == "Gemm" and len(value.shape) != 1:
            raise UnsupportedError(
                node.name, f"Gemm on frames of shape {value.shape!r} is none: use MatMul, or flatten the frame"
            )
        moved = move(value)
        assert moved is not None  # noqa: S101  # checked, and a stand-in has no steps
        value, vectors, columns = as_vectors(ctx, replace(turned(node, value) if left else value, steps=()), node)
        assert value.type is not None  # noqa: S101  # it came from ctx.integer
        op = cls(value.type, as_int64(moved.weight[:, columns]), tuple(moved.scale.tolist()))
        index = (vectors[:, None] * op.rows + np.arange(op.rows)).reshape(op.outputs[0].shape)
        ctx.emit(op, (value,), node.outputs[0], node, (*value.shape[:-1], op.rows), index)
        alpha = node.attributes.get("alpha", 1.0)
        ctx.scale(node, moved.factor * alpha, moved.offset * alpha)
        if left:
            ctx.values[node.outputs[0]] = turned(node, ctx.values[node.outputs[0]])
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = ctx.constant(node, 2) * node.attributes.get("beta", 1.0)
            result = ctx.values[node.outputs[0]]
            vector = result.channel_vector(bias)
            if vector is None:
                raise UnsupportedError(node.name, f"bias of shape {bias.shape!r} does not fit {op.rows} outputs")
            ctx.extend(result, Step("add", vector), node.outputs[0], node)
        return True

    def hls4ml(self) -> Layers:
        """A dense layer, or a convolution of one pixel where there are several vectors."""
        limits = sums(self._output, self.partial_lo, self.partial_hi)
        return product(self.source, self.weight, self._output, limits, self.cycles // self.vectors)

    def hls4ml_of_windows(self, windows: Windows) -> Layers:
        """A convolution."""
        limits = sums(self._output, self.partial_lo, self.partial_hi)
        return convolution(windows, self.weight, self._output, limits, self.cycles // self.vectors)

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
    def weight_bipolar(self) -> bool:
        """Whether every weight is -1 or +1, which one stored bit tells apart."""
        return bool((np.abs(self.weight) == 1).all())

    @cached_property
    def weight_signed(self) -> bool:
        """Whether a stored weight has a sign bit; always for multipliers."""
        return not self.weight_bipolar and (self.dsp or bool((self.weight < 0).any()))

    @cached_property
    def weight_bits(self) -> int:
        """Width of a stored weight."""
        if self.weight_bipolar:
            return 1
        lo = int(self.weight.min())
        return bits_for(min(lo, -1) if self.dsp else lo, int(self.weight.max()))

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
    def heap(self) -> Heap:
        """The bit heap of one row, where products are gates."""
        return heap(self.simd, self.weight_bits, self.source.bits, self.acc_bits)

    @property
    def sum_cycles(self) -> int:
        """Cycles from operands to sums: the heap's, or a multiplier and a register after every two levels of adders."""
        return 1 - (-(self.simd - 1).bit_length() // 2) if self.dsp else self.heap.cycles

    def schedule(self) -> Schedule:
        """Row group after row group; the first pass over a vector takes it in, later ones reread it."""
        sf, nf = self.cols // self.simd, self.rows // self.pe
        one = np.concatenate([np.arange(1, sf + 1), np.full((nf - 1) * sf, sf)])
        need = (np.arange(self.vectors)[:, None] * sf + one).ravel()
        produce = np.arange(1, self.cycles + 1) % sf == 0
        return Schedule(self.cycles, 2 + self.sum_cycles + (self.block_rom or self.dsp), (need,), (produce,))

    @property
    def block_rom(self) -> bool:
        """Whether the weights go to block RAM: words enough that LUTs (64 words each) would cost more."""
        return not self.streamed and self.cycles // self.vectors > 128

    @cached_property
    def dsp(self) -> bool:
        """Whether products go to DSP slices: wide ones only, narrow ones cost fewer LUTs than they would block."""
        weight = bits_for(min(int(self.weight.min()), -1), int(self.weight.max()))
        return min(weight, self.source.bits) > 3 and weight + self.source.bits > 12

    def parameters(self) -> dict[str, int]:
        """Adds the shape, the exact widths and the encodings."""
        return super().parameters() | {
            "rows": self.rows,
            "cols": self.cols,
            "acc_bits": self.acc_bits,
            "sum_cycles": self.sum_cycles,
            "in_bipolar": int(self.source.encoding == "bipolar"),
            "block_rom": int(self.block_rom),
            "dsp": int(self.dsp),
            "planes": self.weight_bits,
            "weight_signed": int(self.weight_signed),
            "weight_bipolar": int(self.weight_bipolar),
        }

    def memories(self) -> dict[str, Memory]:
        """WEIGHT: one word a step, row group outer, column group inner; START: one word a row group."""
        nf, sf = self.rows // self.pe, self.cols // self.simd
        blocks = self.weight.reshape(nf, self.pe, sf, self.simd).transpose(0, 2, 1, 3)
        if self.dsp:
            weight = Memory(as_int64(blocks.reshape(nf * sf, -1)), self.weight_bits)
        else:
            planes = self._planes(blocks.transpose(0, 1, 3, 2))
            weight = Memory(as_int64(planes.transpose(1, 2, 0, 3, 4).reshape(nf * sf, -1)), 1)
        return {"weight": weight, "start": Memory(self._starts.reshape(nf, self.pe), self.acc_bits)}

    def memory_shape(self, name: str) -> tuple[int, int]:
        """That of `memories`, without a look at the weights."""
        groups = self.rows // self.pe
        if name == "start":
            return groups, self.pe * self.acc_bits
        return groups * (self.cols // self.simd), self.pe * self.simd * self.weight_bits

    def _planes(self, weight: IntArray) -> IntArray:
        """The stored bits of weights, one plane after the other, as a new first axis."""
        if self.weight_bipolar:
            return np.asarray(weight > 0, np.int64)[None]
        return np.stack([weight >> i & 1 for i in range(self.weight_bits)])

    @cached_property
    def _starts(self) -> IntArray:
        """What each row's gates count too little, told by inputs whose bits are all 0."""
        if self.dsp:
            return as_int64(np.zeros(self.rows))
        bipolar = self.source.encoding == "bipolar"
        ones = self._planes(self.weight).sum(axis=2)  # (planes, rows)
        counted = np.zeros(self.rows, np.int64)
        for j in range(self.source.bits):
            top = self.source.signed and j == self.source.bits - 1
            for i in range(self.weight_bits):
                if self.weight_bipolar:
                    counted += (ones[0] if top else self.cols - ones[0]) << j
                elif top != (self.weight_signed and i == self.weight_bits - 1):
                    counted += self.cols << i + j
        return as_int64(-self.weight.sum(axis=1) - 2 * counted if bipolar else -counted)

    def features(self) -> Features:
        """A bit heap and an accumulator a row, or products in DSP slices and an adder tree; weights, starts, buffer."""
        nf, sf = self.rows // self.pe, self.cols // self.simd
        data, acc = float(self.simd * self.source.bits), float(self.pe * self.acc_bits)
        words, word = self.memory_shape("weight")
        counts = {
            **counters(nf, nf, sf, sf, *(() if self.streamed else (words,)), self.vectors * nf),
            "data_dsp" if self.dsp else "data": data,  # a DSP slice has registers for its factors
            "sums": acc,
            "start": acc * (nf > 8),  # of fewer words, a bit is part of the accumulator's LUT
            "start_ecp5": acc * -(-nf // 16) * (nf > 1),
        }
        memories: list[Ram] = []
        if self.streamed:
            counts |= {"rom_bits": 0.0 if self.dsp else float(word)}  # the register that a word comes to
        elif self.block_rom:
            memories.append(Ram(word, words, True, "rom"))
        else:
            counts |= rom_counts("rom", word, words)
        if self.dsp or memories:  # the register in front of the products, which a DSP slice has inside
            counts["late_dsp" if self.dsp else "late"] = data + counts.get("rom_bits", float(word) if memories else 0.0)
        if self.dsp and "rom_bits" in counts:
            counts["rom_bits_dsp"] = counts.pop("rom_bits")
        if nf > 1 and sf > 1:
            memories.append(Ram(int(data), sf))
            counts["reread"] = data
        products, found = self._product_features() if self.dsp else ((), self._heap_features())
        if sf > 1:
            # With one product a row, the DSP slice accumulates too.
            counts["accumulator_dsp" if self.dsp and self.simd == 1 else "accumulator"] = acc
        return Features(counts | found, tuple(memories), products)

    def _product_features(self) -> tuple[tuple[Product, ...], dict[str, float]]:
        """Products in DSP slices, and the adders behind them."""
        a_bits = self.source.bits + (not self.source.signed)
        p_bits = min(a_bits + self.weight_bits, self.acc_bits)
        product = Product(a_bits, self.weight_bits, p_bits, self.pe * self.simd)
        registers = sum(-(-self.simd // 4**t) * (p_bits + 2 * t) for t in range(1, self.sum_cycles))
        return (product,), {
            "tree": float(self.pe * (self.simd - 1) * (p_bits + 1)),
            "tree_bits": float(self.pe * registers),
        }

    def _heap_features(self) -> dict[str, float]:
        """Gates and compressors; where a ROM of the weights has one word or two, most gates are none."""
        shape, words = self.heap, 0 if self.streamed else self.memory_shape("weight")[0]
        top = min(self.acc_bits, self.weight_bits + self.source.bits - 2 + self.simd.bit_length())
        counts = {"chain": float(self.pe * shape.chain), "heap_bits": float(self.pe * (shape.registers + top))}
        if words == 1:
            return counts | self._constant_features()
        if words == 2:
            return counts | {"heap_two_words": float(self.pe * (shape.first + shape.rest))}
        kind = "xnor" if self.weight_bipolar else "and"
        return counts | {f"{kind}_first": float(self.pe * shape.first), f"{kind}_rest": float(self.pe * shape.rest)}

    def _constant_features(self) -> dict[str, float]:
        """Of a heap with constant weights: three bits of the input meet at most eight weights, and rows share sums."""
        chance = 1 / 4 if self.weight_bipolar else 1 / 8  # that three weights are given ones, or, if bipolar, opposite
        sums = 4 * (1 - (1 - chance) ** (self.pe * self.weight_bits))  # of at least two bits
        rest = 11 / 16 * self.pe * self.heap.rest  # bits behind the first level, where half of the weights are 0
        if self.weight_bipolar:  # a weight's sign turns the lowest bit of a sum around, so all rows share it
            rest = float(self.pe * self.heap.rest - (self.pe - 1) * self.heap.parity)
        return {"constant_first": 2 * sums * self.source.bits * -(-self.simd // 3), "constant_rest": rest}

    @classmethod
    def examples(cls) -> list[Op]:
        """1 to 8-bit operands of both signs, every kind of folding, one vector and several, wide and tall."""
        rng = np.random.default_rng(0)

        def example(rows: int, cols: int, bits: int, source: Tensor, pe: int, simd: int) -> Dense:
            limit = max((1 << bits - 1) - 1, 1)
            weight = rng.integers(-limit, limit + 1, (rows, cols))
            weight.flat[0] = limit
            return cls(source, as_int64(weight), pe=pe, simd=simd)

        def bipolar(rows: int, source: Tensor, pe: int, simd: int) -> Dense:
            return cls(source, as_int64(rng.integers(0, 2, (rows, source.channels)) * 2 - 1), pe=pe, simd=simd)

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
            bipolar(8, Tensor((2, 36), -1, 1, encoding="bipolar"), 4, 18),
            bipolar(4, Tensor((3, 10), 0, 3), 2, 5),
            bipolar(6, Tensor((27,), -128, 127), 3, 9),
            example(4, 12, 3, Tensor((2, 12), -1, 1, encoding="bipolar"), 4, 3),
            cls(Tensor((2, 8), -2, 1), as_int64(rng.integers(0, 4, (4, 8))), pe=1, simd=8),
        ]
