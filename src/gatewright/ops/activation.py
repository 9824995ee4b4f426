# SPDX-License-Identifier: Apache-2.0
"""Everything between an accumulator and the next quantiser, as the model defines it in floating point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatewright.errors import ConfigError, ProofError
from gatewright.ir.chain import HALF_EVEN, MIXED, Mode, Rounding, Step, affine_form, direction, evaluate, quantize
from gatewright.ir.importing import ImportContext, OnnxNode
from gatewright.ir.op import Bounds, Op, as_int64, step_probes
from gatewright.ir.types import FloatArray, IntArray, Scale, Tensor
from gatewright.ops.lut import MAX_BITS, Lut, inputs_of
from gatewright.ops.requant import Requant
from gatewright.ops.threshold import Threshold

THRESHOLD_BITS = 4
"""Outputs up to this many bits become thresholds; wider ones a multiplication if one is exact."""

COMPARED = 1 << 26
"""Inputs times channels up to which a function of the mathematical library is compared everywhere."""
CHUNK = 1 << 12

MULT_BITS = 36
"""Widest factor of a multiplication. An 8-bit quantiser with a scale per channel needs about 30: each of its 255 steps
must lie between two neighbouring accumulator values, in every channel."""

REQUANT_BITS = 16
"""Widest output whose every step is compared."""

NUDGES: Mapping[Mode, tuple[tuple[float, int], ...]] = {
    "half_even": ((0.0, 0), (0.0, 1), (0.0, -1)),
    "floor": ((-0.5, 1), (-0.5, 0)),
    "ceil": ((0.5, -1), (0.5, 0)),
    "away": ((0.5, -1), (-0.5, 1), (0.5, 0), (-0.5, 0)),
    "zero": ((-0.5, 1), (0.5, -1), (-0.5, 0), (0.5, 0)),
    "half_away": ((0.0, 0), (0.0, 1), (0.0, -1)),
    "half_zero": ((0.0, 0), (0.0, -1), (0.0, 1)),
}
"""What makes a rounding half to even another one, where it can: halves, and units of the last place, that are added."""


@dataclass(frozen=True, eq=False)
class Activation(Op):
    """clip(round(f(x) / scale), lo, hi), f the model's float steps in float64; lowered to integers by proof.

    Attributes:
        source: input of shape (..., channels).
        steps: the float steps, on real values (source scale * integer).
        scale: of the output; one, or one per channel.
        quant_lo, quant_hi: limits of the quantiser; the output's own limits are those that are reached.
        bipolar: the quantiser gives -1 and +1 only, +1 from 0 up.
        rounding: mode and zero point of the quantiser; see `gatewright.ir.chain.quantize`.
    """

    composite = True

    source: Tensor
    steps: tuple[Step, ...]
    scale: Scale
    quant_lo: int
    quant_hi: int
    bipolar: bool = False
    rounding: Rounding = HALF_EVEN

    def __post_init__(self) -> None:
        if not self.monotone and self.source.bits > MAX_BITS:
            kinds = ", ".join(s.kind for s in self.steps)
            raise ConfigError(
                f"a function that may rise and fall ({kinds}) of {self.source.bits} bits has no hardware: "
                f"quantise to at most {MAX_BITS} bits before it"
            )
        if any(np.isnan(end).any() for end in self._probe):
            raise ConfigError(
                f"the steps before the quantiser are no number for some inputs of {self.source}: "
                "clip them to where the function is defined"
            )

    @property
    def monotone(self) -> bool:
        """Whether the definition never rises and falls in one channel."""
        return MIXED not in direction(self.steps, self.source.channels)

    @cached_property
    def _probe(self) -> FloatArray:
        """The steps' real values at both limits of the input, or at every input: shape (inputs, channels)."""
        ends = as_int64([self.source.lo, self.source.hi]) if self.monotone else inputs_of(self.source)
        x = np.broadcast_to(ends[:, None], (len(ends), self.source.channels)).astype(np.float64)
        with np.errstate(invalid="ignore"):
            return evaluate(self.steps, x * np.asarray(self.source.scale))

    def define(self, x: IntArray) -> IntArray:
        """The definition on integers of shape (..., channels)."""
        real = x.astype(np.float64) * np.asarray(self.source.scale)
        return self._round(evaluate(self.steps, real))

    def _round(self, real: FloatArray) -> IntArray:
        return quantize(real, self.scale, self.quant_lo, self.quant_hi, self.bipolar, self.rounding)

    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """The definition."""
        return (self.define(xs[0]),)

    @cached_property
    def _ends(self) -> tuple[IntArray, IntArray]:
        """Least and greatest value of the definition: int64 of shape (channels,) each."""
        y = self._round(self._probe)
        return as_int64(y.min(axis=0)), as_int64(y.max(axis=0))

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The quantised values, with the limits that are reached."""
        if self.bipolar:
            return (Tensor(self.source.shape, -1, 1, self.scale, "bipolar"),)
        at_lo, at_hi = self._ends
        lo, hi = int(np.minimum(at_lo, at_hi).min()), int(np.maximum(at_lo, at_hi).max())
        # A constant tensor still needs one bit of range, or nothing could be told apart behind it.
        return (Tensor(self.source.shape, lo, max(hi, lo + 1), self.scale),)

    def bounds(self) -> tuple[Bounds, ...]:
        """Reached at the input's limits where the steps are monotone; else the extremes over every input."""
        at_lo, at_hi = self._ends
        return (
            Bounds(
                tuple(np.minimum(at_lo, at_hi).tolist()),
                tuple(np.maximum(at_lo, at_hi).tolist()),
                witness="the input's own limits",
            ),
        )

    # --- lowering ---------------------------------------------------------------------------------------------------

    def lower(self) -> tuple[Op, ...]:
        """A `threshold` for narrow outputs, else a `requant` that is equal everywhere, else a `lut` of a narrow input,
        else a `threshold` up to 8 bits. Always a `lut` where the steps are not monotone or the input is bipolar.

        Raises:
            ProofError: none of them equals the definition.
        """
        (out,) = self.outputs
        steps = out.hi - out.lo
        if steps >= 1 << REQUANT_BITS:
            raise ProofError(f"the quantiser to {out} has {steps} steps: use at most {REQUANT_BITS} output bits")
        if not self.monotone or self.source.encoding == "bipolar":
            return (self._lut(),)
        if steps < 1 << THRESHOLD_BITS:
            return (self._threshold(),)
        requant = self._requant()
        if requant is not None:
            return (requant,)
        if self.source.bits <= MAX_BITS:
            return (self._lut(),)
        if steps < 1 << 8:
            return (self._threshold(),)
        raise ProofError(
            f"no multiplication of up to {MULT_BITS} bits equals the quantiser to {out} for every accumulator value, "
            f"and {steps} thresholds a channel are too many: use at most 8 output bits or power-of-two scales"
        )

    def step_positions(self) -> IntArray:
        """Where the definition changes: int64 of shape (channels, hi - lo), ascending, by exact search.

        For a rising channel position k is the least x with f(x) > lo + k, for a falling one the least x with
        f(x) < hi - k; source.hi + 1 where there is none. Bisection is exact because every step is monotone.
        Where one is not, every input but the least may be a step: only comparing all of them proves anything.
        """
        if not self.monotone:
            inputs = np.arange(self.source.lo + 1, self.source.hi + 1)
            return as_int64(np.broadcast_to(inputs, (self.source.channels, len(inputs))))
        (out,) = self.outputs
        step = 2 if self.bipolar else 1
        codes = np.arange(step, out.hi - out.lo + 1, step)[:, None]
        falling = self._falling == 1
        low = np.full((len(codes), self.source.channels), self.source.lo)
        high = np.full_like(low, self.source.hi + 1)
        while (low < high).any():
            middle = (low + high) // 2
            y = self.define(np.minimum(middle, self.source.hi))
            reached = np.where(falling, y <= out.hi - codes, y >= out.lo + codes) & (middle <= self.source.hi)
            high = np.where(reached | (low >= high), np.minimum(high, middle), high)
            low = np.where(reached | (low >= high), low, middle + 1)
        return as_int64(low.T)

    @cached_property
    def _falling(self) -> IntArray:
        return as_int64(direction(self.steps, self.source.channels) < 0)

    def _lut(self) -> Lut:
        inputs = inputs_of(self.source)[:, None]
        table = self.define(np.broadcast_to(inputs, (len(inputs), self.source.channels))).T
        shared = (table == table[0]).all()
        return Lut(self.source, as_int64(table[:1] if shared else table), self.scale, self.outputs[0].encoding)

    def _threshold(self) -> Threshold:
        (out,) = self.outputs
        threshold = Threshold(
            self.source, self.step_positions(), self._falling, out.lo, out.hi, self.scale, bipolar=self.bipolar
        )
        if not all(s.exact for s in self.steps):
            self._compare(threshold)
        return threshold

    def _compare(self, threshold: Threshold) -> None:
        """Compare every input: a library's exp may fall by its last bit where the function rises.

        Raises:
            ProofError: too many inputs, or one that differs.
        """
        source = self.source
        if (source.hi - source.lo + 1) * source.channels > COMPARED:
            kinds = ", ".join(s.kind for s in self.steps)
            raise ProofError(
                f"the steps {kinds} of {source} cannot be compared for every input: quantise to fewer bits before them"
            )
        for start in range(source.lo, source.hi + 1, CHUNK):
            inputs = np.arange(start, min(start + CHUNK, source.hi + 1))[:, None]
            x = np.broadcast_to(inputs, (len(inputs), source.channels))
            if (threshold.reference(x)[0] != self.define(x)).any():
                raise ProofError(f"the steps before the quantiser to {self.outputs[0]} are not monotone in float64")

    def _requant(self) -> Requant | None:
        """The narrowest multiplication that equals the definition at and just below every step, or None."""
        (out,) = self.outputs
        channels = self.source.channels
        factor, offset = affine_form([s for s in self.steps if s.affine], channels)
        divisor = np.asarray(self.scale if self.rounding.divisor is None else self.rounding.divisor)
        factor, offset = factor * np.asarray(self.source.scale) / divisor, offset / divisor
        probes = step_probes(self.step_positions(), self.source)
        want = self.define(probes)
        top = float(np.abs(factor).max())
        for bits in range(2, MULT_BITS + 1):
            shift = bits - 1 - int(np.ceil(np.log2(top))) if top > 0 else 0
            if not 0 <= shift <= 62:
                continue
            reach = max(-self.source.lo, self.source.hi) * top + float(np.abs(offset).max()) + 1
            if reach * 2.0**shift >= 1 << 61:
                break  # wider sums than the hardware has
            mult = as_int64(np.rint(factor * 2.0**shift))
            for half, ulp in NUDGES[self.rounding.mode]:
                add = as_int64(np.rint((offset + half) * 2.0**shift) + ulp)
                requant = Requant(self.source, mult, add, shift, out.lo, out.hi, self.scale)
                if (requant.reference(probes)[0] == want).all():
                    return requant
        return None

    # --- import -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """Quantisers of all dialects, and the float functions before them: see `gatewright.ops.quantize`."""
        from gatewright.ops.quantize import import_quantizer  # which makes activations

        return import_quantizer(node, ctx)

    @classmethod
    def examples(cls) -> list[Op]:
        """Batch norms of either sign, ReLU, biases, widths that lower to thresholds and to multiplications."""
        rng = np.random.default_rng(0)

        def example(source: Tensor, scale: float, lo: int, hi: int, *, relu: bool, sign: bool = False) -> Activation:
            gain = rng.uniform(0.5, 2.0, source.channels) * (
                np.where(np.arange(source.channels) % 2, -1, 1) if sign else 1
            )
            steps = (Step("mul", tuple(gain.tolist())), Step("add", tuple(rng.normal(0, 2, source.channels).tolist())))
            return cls(source, (*steps, Step("relu")) if relu else steps, scale, lo, hi)

        return [
            example(Tensor((6,), -3000, 2900, 0.01), 1.7, 0, 15, relu=True),
            example(Tensor((3, 3, 4), -500, 480, 0.02), 0.9, -8, 7, relu=False, sign=True),
            example(Tensor((4,), -20000, 20000, 0.001), 0.13, 0, 255, relu=True),
            example(Tensor((5,), 0, 240, 0.0625), 0.0625, -128, 127, relu=False),
        ]
