# SPDX-License-Identifier: Apache-2.0
"""Runs a converted model, in float or quantised, under the eyes of post-training quantisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from gatewright.errors import DataError, GatewrightError
from gatewright.nn import QuantIdentity, QuantReLU, QuantWeightMixin


class Run(fx.Interpreter):
    """Runs the converted graph, in float (quantisers pass their input on, layers use float weights) or quantised.

    Args:
        graph: the converted model.
        quantized: which of the two.
        saw: called with the name, the input and the output of every layer and quantiser.
        caps: of the quantisers, as in Conversion.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        quantized: bool,
        saw: Callable[[str, Tensor, Tensor], Tensor],
        caps: dict[str, float] | None = None,
    ) -> None:
        super().__init__(graph)
        self.extra_traceback = False
        self.quantized, self.saw, self.caps = quantized, saw, caps or {}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(target)
        if not isinstance(module, (QuantWeightMixin, QuantIdentity)):
            return super().call_module(target, args, kwargs)
        y = super().call_module(target, args, kwargs) if self.quantized else self._float(target, module, args[0])
        return self.saw(target, args[0], y)

    def _float(self, target: str, module: Any, x: Tensor) -> Tensor:
        if isinstance(module, QuantIdentity):
            x = torch.relu(x) if isinstance(module, QuantReLU) else x
            cap = self.caps.get(target)
            return x if cap is None else x.clamp(-cap, cap)
        kind = next(k for k in (nn.Linear, nn.Conv1d, nn.Conv2d) if isinstance(module, k))
        y: Tensor = kind.forward(module, x)
        return y


def run_model(run: Run, x: Tensor) -> Tensor:
    """What the model gives for a batch of inputs.

    Raises:
        DataError: they do not fit the model.
    """
    try:
        y: Tensor = run.run(x, enable_io_processing=False)
        return y
    except GatewrightError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"inputs of shape {tuple(x.shape)!r} do not run in the model: {reason}: give samples of the shape that "
            "the model was trained on, samples first"
        ) from error


def channels(x: Tensor) -> Tensor:
    """(N, C, ...) as (C, N * ...); (N, ..., C) of a Linear is the same for two axes."""
    return x.transpose(0, 1).flatten(1)
