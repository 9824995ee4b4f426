# SPDX-License-Identifier: Apache-2.0
"""Quantised torch modules: weight and activation quantisers, layers, joins, and their start from a float model."""

from __future__ import annotations

from gatewright.nn.a2q import (
    A2QPlusWeightQuant,
    A2QWeightQuant,
    a2q_cap,
    a2q_plus_cap,
    accumulator_penalty,
    project_l1,
)
from gatewright.nn.activation import QuantIdentity, QuantReLU
from gatewright.nn.config import WeightQuant, integer_limits
from gatewright.nn.convert import quantize
from gatewright.nn.initialize import ep_init, load_float
from gatewright.nn.joins import QuantAdd, QuantConcat, QuantUpsample
from gatewright.nn.layers import QuantConv1d, QuantConv2d, QuantLinear, QuantWeightMixin
from gatewright.nn.quantize_config import LayerRule, QuantizeConfig
from gatewright.nn.weight import BipolarWeightQuant, SymmetricWeightQuant, TernaryWeightQuant, WeightQuantizer

__all__ = [
    "A2QPlusWeightQuant",
    "A2QWeightQuant",
    "BipolarWeightQuant",
    "LayerRule",
    "QuantAdd",
    "QuantConcat",
    "QuantConv1d",
    "QuantConv2d",
    "QuantIdentity",
    "QuantLinear",
    "QuantReLU",
    "QuantUpsample",
    "QuantWeightMixin",
    "QuantizeConfig",
    "SymmetricWeightQuant",
    "TernaryWeightQuant",
    "WeightQuant",
    "WeightQuantizer",
    "a2q_cap",
    "a2q_plus_cap",
    "accumulator_penalty",
    "ep_init",
    "integer_limits",
    "load_float",
    "project_l1",
    "quantize",
]
