# SPDX-License-Identifier: Apache-2.0
"""Functions at the end of a model that have no hardware; see `gatewright.runtime.host`, which a board needs too."""

from __future__ import annotations

from gatewright.runtime.host import (
    ArgMax,
    Arithmetic,
    Cast,
    Elementwise,
    Hardmax,
    HostFunction,
    HostStep,
    Quantizer,
    Softmax,
    TopK,
    Values,
    layout_index,
    place,
    run_steps,
)

__all__ = [
    "ArgMax",
    "Arithmetic",
    "Cast",
    "Elementwise",
    "Hardmax",
    "HostFunction",
    "HostStep",
    "Quantizer",
    "Softmax",
    "TopK",
    "Values",
    "layout_index",
    "place",
    "run_steps",
]
