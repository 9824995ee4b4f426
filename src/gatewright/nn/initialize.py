# SPDX-License-Identifier: Apache-2.0
"""Starting a quantised model from a float checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gatewright.errors import ModelError
from gatewright.nn.a2q import A2QWeightQuant
from gatewright.nn.activation import QuantIdentity
from gatewright.nn.layers import QuantWeightMixin
from gatewright.nn.weight import WeightQuantizer


def load_float(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a float model's ``state_dict`` and start all weight quantisers from it.

    Parameters are matched by name; only the quantisers' own may be missing from ``state``.

    Raises:
        ModelError: a name or a shape does not match.
    """
    quantizers = [name for name, module in model.named_modules() if isinstance(module, WeightQuantizer | QuantIdentity)]
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ModelError(f"the float checkpoint does not fit the quantised model: {error}") from error
    missing = [key for key in result.missing_keys if key.rpartition(".")[0] not in quantizers]
    if missing or result.unexpected_keys:
        raise ModelError(
            f"the float checkpoint does not fit the quantised model: missing {missing!r}, "
            f"unexpected {result.unexpected_keys!r}: give both models the same module names"
        )
    for module in model.modules():
        if isinstance(module, QuantWeightMixin):
            module.weight_quantizer.initialize(module.weight)


@torch.no_grad()
def ep_init(model: nn.Module) -> None:
    """EP-init (A2Q+, ICML 2024): project all accumulator-bounded weights onto their L1 cap, in place.

    The nearest weights in the Euclidean sense that keep the bound; run it once, after ``load_float``.
    """
    for module in model.modules():
        if isinstance(module, QuantWeightMixin) and isinstance(module.weight_quantizer, A2QWeightQuant):
            module.weight.copy_(module.weight_quantizer.project(module.weight))
