# SPDX-License-Identifier: Apache-2.0
"""Look-up table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatewright.errors import ConfigError
from gatewright.ir.cost import Features, Ram, add_counts, counters, rom_features
from gatewright.ir.hls4ml import Layers, elementwise
from gatewright.ir.op import Bounds, Memory, Op, as_int64, divisors
from gatewright.ir.primitives import ram_in_block, varying_bits
from gatewright.ir.schedule import Schedule, streaming
from gatewright.ir.types import Encoding, IntArray, Scale, Tensor

MAX_BITS = 10
"""Widest input: a table has 2**bits words a channel."""


def inputs_of(tensor: Tensor) -> IntArray:
    """Every integer that an element can be, ascending: int64 of shape (codes,)."""
    return as_int64([-1, 1]) if tensor.encoding == "bipolar" else as_int64(np.arange(tensor.lo, tensor.hi + 1))


@dataclass(frozen=True, eq=False)
class Lut(Op):
    """y = table[c, x]: any function of one narrow input, one for all channels or one per channel.

    What an `activation` becomes where its function may rise and fall, or thresholds would cost more.

    Attributes:
        source: input of shape (..., channels), at most `MAX_BITS` wide.
        table: int64 of shape (1 or channels, codes): the output for every integer that the input can be, ascending.
        scale: of the output.
        encoding: of the output; bipolar tables hold -1 and 1.
        pe: channels processed at once; divides the channels.
    """

    source: Tensor
    table: IntArray
    scale: Scale = 1.0
    encoding: Encoding = "twos"
    pe: int = 1

    def __post_init__(self) -> None:
        if self.source.bits > MAX_BITS:
            raise ConfigError(
                f"lut: an input of {self.source.bits} bits needs {1 << self.source.bits} words a channel; at most "
                f"{MAX_BITS} bits are possible: quantise the input first"
            )
        codes = len(inputs_of(self.source))
        if self.table.shape not in ((1, codes), (self.channels, codes)):
            raise ConfigError(
                f"lut: table of shape {self.table.shape!r} for {self.channels} channels of {codes} inputs: "
                f"need (1, {codes}) or ({self.channels}, {codes})"
            )
        if self.encoding == "bipolar" and (np.abs(self.table) != 1).any():
            raise ConfigError("lut: a bipolar output holds -1 and +1 only: change the table or the encoding")
        self.check_folding(pe=(self.channels, "channels"))

    @property
    def channels(self) -> int:
        """Channels of input and output."""
        return self.source.channels

    @property
    def shared(self) -> bool:
        """Whether all channels use one table."""
        return len(self.table) == 1

    @cached_property
    def _output(self) -> Tensor:
        if self.encoding == "bipolar":
            return Tensor(self.source.shape, -1, 1, self.scale, "bipolar")
        lo, hi = int(self.table.min()), int(self.table.max())
        # A constant tensor still needs one bit of range, as behind a quantiser.
        return Tensor(self.source.shape, lo, max(hi, lo + 1), self.scale)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What the table holds."""
        return (self._output,)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """Reads the table."""
        (x,) = xs
        code = (x + 1) // 2 if self.source.encoding == "bipolar" else x - self.source.lo
        row = 0 if self.shared else np.arange(self.channels)
        return (self.table[row, code],)

    def bounds(self) -> tuple[Bounds, ...]:
        """The least and the greatest entry of each channel."""
        lo, hi = (np.broadcast_to(f(self.table, axis=1), self.channels).tolist() for f in (np.min, np.max))
        return (Bounds(tuple(lo), tuple(hi), witness="the inputs whose entries are least and greatest"),)

    def hls4ml(self) -> Layers:
        """The table itself."""
        first, step = int(inputs_of(self.source)[0]), 2 if self.source.encoding == "bipolar" else 1
        scalars = {"n_codes": self.table.shape[1], "n_tables": len(self.table), "first": first, "step": step}
        return elementwise("lut", self._output, scalars, {"table": self.table})

    # --- its hardware -----------------------------------------------------------------------------------------------

    def foldings(self) -> dict[str, tuple[int, ...]]:
        """Divisors of the channels."""
        return {"pe": divisors(self.channels)}

    @property
    def cycles(self) -> int:
        """One beat a step."""
        return self.source.size // self.pe

    def schedule(self) -> Schedule:
        """The registered read of the ROM."""
        return streaming(self.cycles, 1)

    def parameters(self) -> dict[str, int]:
        """Adds the shape of the table."""
        return super().parameters() | {"channels": self.channels, "shared": int(self.shared)}

    def memories(self) -> dict[str, Memory]:
        """At address {channel group, input bits}: one element for all channels, or one per lane."""
        bits, stored = self.source.bits, self.table
        raw = np.arange(1 << bits)
        if self.source.encoding == "twos":
            value = np.where(raw >> bits - 1 == 1, raw - (1 << bits), raw) if self.source.signed else raw
            raw = np.clip(value, self.source.lo, self.source.hi) - self.source.lo
        lanes = 1 if self.shared else self.pe
        words = stored[:, raw].reshape(-1, lanes, len(raw)).transpose(0, 2, 1).reshape(-1, lanes)
        return {"table": Memory(as_int64((words + 1) // 2 if self.encoding == "bipolar" else words), self._output.bits)}

    def features(self) -> Features:
        """A ROM a lane, in block RAM where it is deep."""
        (table,), groups = self.memories().values(), 1 if self.shared else self.channels // self.pe
        depth, bits = table.words.shape[0], self._output.bits
        counts = counters(groups, self.cycles)
        elements = range(table.words.shape[1]) if not self.shared else (0,) * self.pe
        lanes = [Memory(table.words[:, i : i + 1], bits) for i in elements]
        if not ram_in_block(bits, depth):
            return Features(counts | add_counts(*(rom_features("rom", m) for m in lanes)))
        widths = [varying_bits(m.words, m.bits).shape[1] for m in lanes]
        return Features(counts, tuple(Ram(w, depth, True, "rom") for w in widths))

    @classmethod
    def examples(cls) -> list[Op]:
        """One table and one per channel, signed, unsigned and bipolar inputs and outputs, ranges that are no power."""
        rng = np.random.default_rng(0)

        def example(source: Tensor, rows: int, lo: int, hi: int, pe: int = 1) -> Lut:
            return cls(source, as_int64(rng.integers(lo, hi + 1, (rows, len(inputs_of(source))))), 0.5, pe=pe)

        bipolar = Tensor((2, 3, 4), -1, 1, 1.0, "bipolar")
        return [
            example(Tensor((6,), -8, 7), 1, 0, 15, 3),
            example(Tensor((3, 3, 4), 0, 15), 4, -8, 7, 2),
            example(Tensor((5, 2), -5, 9), 2, -300, 700),
            example(Tensor((4, 6), 0, 1), 1, -1, 0, 6),
            example(Tensor((2, 3), -128, 127), 3, 0, 255, 3),
            example(Tensor((7, 2), 100, 900), 1, 0, 3, 2),
            example(Tensor((4,), -9, -3), 4, 5, 9, 4),
            cls(bipolar, as_int64([[-1, 1]]), pe=2),
            cls(bipolar, as_int64([[3, -4], [0, 0], [-4, -4], [1, 2]]), pe=4),
            cls(Tensor((5, 4), -4, 3), as_int64([[-1, 1, 1, -1, 1, -1, -1, 1]]), 1.0, "bipolar", 2),
        ]
