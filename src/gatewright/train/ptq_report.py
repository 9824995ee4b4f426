# SPDX-License-Identifier: Apache-2.0
"""What post-training quantisation did to a model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, cast


@dataclass(frozen=True)
class LayerReport:
    """What became of a layer.

    Attributes:
        name: of the module.
        weight_bits: of its weights.
        input_bits, input_signed: of its input.
        accumulator_bits: signed width that no partial sum leaves, whatever the inputs of that width and the order.
        sqnr_before, sqnr_after: ratio of signal to quantisation noise at its output in dB, before and after bias
            correction, over the calibration inputs; infinite without noise.
        correction: greatest magnitude taken off a bias.
    """

    name: str
    weight_bits: int
    input_bits: int
    input_signed: bool
    accumulator_bits: int
    sqnr_before: float
    sqnr_after: float
    correction: float


@dataclass(frozen=True)
class ActivationReport:
    """What became of an activation.

    Attributes:
        name: of its quantiser.
        bits, signed: of its integers.
        largest: greatest magnitude that the float model had there.
        range: greatest value that the quantiser passes on.
        scale: real value of one step.
    """

    name: str
    bits: int
    signed: bool
    largest: float
    range: float
    scale: float


@dataclass(frozen=True)
class PtqReport:
    """What was done: per layer and per activation, in the order of computation.

    Attributes:
        layers, activations: as named.
        samples: inputs that were used.
        output_sqnr_before, output_sqnr_after: of the model's output, as in LayerReport.
        notes: what was left out of the model, in words.
    """

    layers: tuple[LayerReport, ...]
    activations: tuple[ActivationReport, ...]
    samples: int
    output_sqnr_before: float
    output_sqnr_after: float
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it: an infinite ratio is None."""
        return cast(dict[str, Any], _finite(asdict(self)))


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
