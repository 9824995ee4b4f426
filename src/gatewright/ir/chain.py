# SPDX-License-Identifier: Apache-2.0
"""Float steps between an accumulator and the next quantiser; see `gatewright.runtime.chain`: a board needs them too."""

from __future__ import annotations

from gatewright.runtime.chain import (
    EXACT,
    HALF_EVEN,
    MIXED,
    NEVER_MONOTONE,
    PER_CHANNEL,
    Kind,
    Mode,
    Rounding,
    Step,
    affine_form,
    all_steps,
    direction,
    evaluate,
    quantize,
    round_to_integer,
)

__all__ = [
    "EXACT",
    "HALF_EVEN",
    "Kind",
    "MIXED",
    "Mode",
    "NEVER_MONOTONE",
    "PER_CHANNEL",
    "Rounding",
    "Step",
    "affine_form",
    "all_steps",
    "direction",
    "evaluate",
    "quantize",
    "round_to_integer",
]
