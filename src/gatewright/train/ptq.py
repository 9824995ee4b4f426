# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation: a float model, some of its inputs, and no training.

1. Ranges of the activations from what the float model computes: the greatest value, a percentile, or the range with
   the least mean squared error of quantisation.
2. A scale for each output channel of a layer's weights with the least squared error. Under an accumulator bound the
   weights are projected onto it: positive and negative ones each onto the simplex that the accumulator holds, or, for
   signed inputs, all onto its L1 ball (the Euclidean projection of EP-init, A2Q+, ICML 2024), then rounded within it.
3. Bias correction (Nagel et al., ICCV 2019, section 4.2, in its empirical form): the mean error of each output channel
   is taken off its bias, in the order of computation, all layers before it being quantised and corrected. Statistics
   of batch norms stay as trained.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from gatewright.errors import ConfigError, DataError
from gatewright.nn import QuantIdentity, QuantWeightMixin, SymmetricWeightQuant
from gatewright.nn.a2q import A2QWeightQuant
from gatewright.nn.convert import Conversion, convert
from gatewright.nn.quantize_config import QuantizeConfig
from gatewright.progress import Progress, silent
from gatewright.train.ptq_report import ActivationReport, LayerReport, PtqReport
from gatewright.train.ptq_run import Run, channels, run_model
from gatewright.train.ptq_weights import accumulator_width, fit_weights

RANGES = ("mse", "percentile", "max")
KEPT = 1 << 15
"""Values of each batch that are kept of an activation for the choice of its range."""


@dataclass(frozen=True)
class PtqConfig:
    """Settings of ``post_training_quantize``.

    Attributes:
        ranges: of activations: ``mse`` (least squared error), ``percentile`` (of |x|) or ``max``.
        percentile: in (0, 100], used by ``percentile`` alone.
        weight_search: search weight scales for the least squared error, else take the greatest magnitude.
        bias_correction: take the mean error of every output channel off the biases.
        samples: how many of the inputs to use, from the first; all of them are in memory at once in step 3.
        batch: samples per pass in steps 1 and 2.

    Raises:
        ConfigError: a value out of range.
    """

    ranges: str = "mse"
    percentile: float = 99.9
    weight_search: bool = True
    bias_correction: bool = True
    samples: int = 256
    batch: int = 64

    def __post_init__(self) -> None:
        if self.ranges not in RANGES:
            raise ConfigError(f"ranges={self.ranges!r}: use one of {', '.join(RANGES)}")
        if not 0 < self.percentile <= 100:
            raise ConfigError(f"percentile={self.percentile!r} must lie in (0, 100]")
        for name in ("samples", "batch"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name}={value!r} must be an integer, at least 1")


@dataclass(frozen=True, eq=False)
class PtqResult:
    """The quantised model, in evaluation mode and ready for ``gatewright.export``, and what was done to it."""

    model: nn.Module
    report: PtqReport


@torch.no_grad()
def post_training_quantize(
    model: nn.Module,
    x: NDArray[Any],
    config: QuantizeConfig | None = None,
    settings: PtqConfig | None = None,
    progress: Progress = silent,
) -> PtqResult:
    """Quantise a trained float model by a few hundred of its inputs, without labels and without training.

    Args:
        model: as ``gatewright.nn.quantize`` takes it; left untouched.
        x: inputs, samples first, float32 or float64, or (u)int8, whose integers then become the network's
            own where 8 input bits are asked for and the model quantises them as they are.
        config: widths; by default 8 bits everywhere.
        settings: how scales and biases are found.

    Raises:
        ConfigError: a setting out of range, or a rule of ``config`` that fits no module.
        DataError: no sample, another type, NaN, infinite, or a shape that the model does not take.
        ModelError: as ``gatewright.nn.quantize``.
    """
    config, settings = config or QuantizeConfig(), settings or PtqConfig()
    inputs = _inputs(x, settings.samples)
    conversion = convert(model, config)
    if config.input_signed is None and not _has_negative_inputs(conversion, inputs, settings.batch):
        conversion = convert(model, replace(config, input_signed=False))
    conversion.model.eval()
    widths = _unbind(conversion)
    fixed = _keep_integers(conversion, x.dtype, config)
    reference = copy.deepcopy(conversion.model)
    progress("calibrating")
    seen = _observe(conversion, reference, inputs, settings)
    for name in conversion.quantizers:
        quantizer = _quantizer(conversion, name)
        if name not in fixed:
            _set_range(quantizer, seen.activations[name], conversion.caps.get(name), settings)
    for done, name in enumerate(conversion.layers):
        progress("searching weight scales", done, len(conversion.layers))
        fit_weights(name, _layer(conversion, name), widths.get(name), settings.weight_search)
    progress("measuring")
    before = after = _noise(conversion, reference, inputs, settings.batch)
    corrections: dict[str, float] = {}
    if settings.bias_correction:
        progress("correcting biases")
        corrections = _correct_biases(conversion, seen.means, inputs)
        progress("measuring again")
        after = _noise(conversion, reference, inputs, settings.batch)
    return PtqResult(conversion.model, _report(conversion, seen, before, after, corrections, len(inputs)))


def _inputs(x: NDArray[Any], count: int) -> Tensor:
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float32, np.float64, np.uint8, np.int8):
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise DataError(f"the inputs are {kind}: give an array of float32, float64, uint8 or int8")
    if x.ndim < 2 or not len(x):
        raise DataError(f"the inputs have shape {x.shape!r}: give at least one sample, samples first")
    x = x[:count]
    if not np.isfinite(x).all():
        raise DataError(f"the inputs hold {int((~np.isfinite(x)).sum())!r} NaN or infinite values: remove them")
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))


def _has_negative_inputs(conversion: Conversion, inputs: Tensor, batch: int) -> bool:
    """Whether values below zero reach the quantiser of the input."""
    if not conversion.leading:
        return bool((inputs < 0).any())
    least = 0.0

    def saw(name: str, x: Tensor, y: Tensor) -> Tensor:
        nonlocal least
        least = min(least, float(x.min())) if name == conversion.input_quantizer else least
        return y

    conversion.model.eval()
    for part in torch.split(inputs, batch):
        run_model(Run(conversion.model, False, saw, conversion.caps), part)
    return least < 0


def _keep_integers(conversion: Conversion, dtype: np.dtype[Any], config: QuantizeConfig) -> set[str]:
    """The input's quantiser, where its scale is known: ``input_max`` gives it, or 8-bit inputs stay as they are."""
    name = conversion.input_quantizer
    if config.input_max is not None:
        return {name}
    signed = {"uint8": False, "int8": True}.get(str(dtype))
    quantizer = _quantizer(conversion, name)
    if conversion.leading or config.input_bits != 8 or quantizer.signed is not signed:
        return set()
    quantizer.log2_scale.zero_()
    quantizer.calibrated.fill_(True)
    return {name}


def _unbind(conversion: Conversion) -> dict[str, int]:
    """Give layers under an accumulator bound the plain quantiser, which rounds to the nearest; the widths asked for."""
    widths: dict[str, int] = {}
    for name in conversion.layers:
        layer = _layer(conversion, name)
        if isinstance(quantizer := layer.weight_quantizer, A2QWeightQuant):
            widths[name] = quantizer.accumulator_bits
            layer.weight_quantizer = SymmetricWeightQuant(layer.weight, quantizer.bits)
    return widths


# --- step 1: activations --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Seen:
    """Of the float model: values at each quantiser, their greatest magnitude, and mean outputs of each layer (C,)."""

    activations: dict[str, Tensor]
    largest: dict[str, float]
    means: dict[str, Tensor]


def _observe(conversion: Conversion, reference: fx.GraphModule, inputs: Tensor, settings: PtqConfig) -> _Seen:
    generator = torch.Generator().manual_seed(0)
    values: dict[str, list[Tensor]] = {name: [] for name in conversion.quantizers}
    largest = dict.fromkeys(conversion.quantizers, 0.0)
    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(conversion.layers, 0)

    def saw(name: str, x: Tensor, y: Tensor) -> Tensor:
        if not bool(torch.isfinite(y).all()):
            raise DataError(f"{name}: the float model computes NaN or infinite values: mend the layers before it")
        if name in values:
            flat = y.flatten()
            top = int(flat.abs().argmax())
            largest[name] = max(largest[name], float(flat[top].abs()))
            if len(flat) > KEPT:
                flat = torch.cat([flat[torch.randint(len(flat), (KEPT,), generator=generator)], flat[top : top + 1]])
            values[name].append(flat.clone())
        else:
            rows = channels(y).double()
            sums[name] = sums.get(name, torch.zeros(())) + rows.sum(1)
            counts[name] += rows.shape[1]
        return y

    run = Run(reference, False, saw, conversion.caps)
    for batch in torch.split(inputs, settings.batch):
        run_model(run, batch)
    return _Seen(
        {name: torch.cat(parts) for name, parts in values.items()},
        largest,
        {name: sums[name] / counts[name] for name in conversion.layers},
    )


def _set_range(quantizer: QuantIdentity, values: Tensor, cap: float | None, settings: PtqConfig) -> None:
    magnitude = values.abs()
    top = float(magnitude.max())
    if settings.ranges == "percentile":
        rank = max(1, math.ceil(settings.percentile / 100 * len(magnitude)))
        top = float(magnitude.kthvalue(rank).values)
    _set_scale(quantizer, top, cap)
    if settings.ranges != "mse" or top == 0:
        return
    best, error = top, math.inf
    for ratio in np.linspace(1.0, 0.1, 91):
        _set_scale(quantizer, top * float(ratio), cap)
        noise = float((quantizer(values) - values).square().mean())
        if noise < error:
            best, error = top * float(ratio), noise
    _set_scale(quantizer, best, cap)


def _set_scale(quantizer: QuantIdentity, largest: float, cap: float | None) -> None:
    largest = largest if cap is None else min(largest, cap)
    quantizer.log2_scale.fill_(math.log2(max(largest, 1e-8) / quantizer.limits()[1]))
    quantizer.calibrated.fill_(True)


# --- step 3: biases -------------------------------------------------------------------------------------------------


def _correct_biases(conversion: Conversion, means: dict[str, Tensor], inputs: Tensor) -> dict[str, float]:
    """Move every layer's mean output to the float model's, layer by layer; greatest change of each."""
    changes: dict[str, float] = {}

    def saw(name: str, x: Tensor, y: Tensor) -> Tensor:
        if name not in means:
            return y
        layer = cast(Any, conversion.model.get_submodule(name))
        change = (means[name] - channels(y).double().mean(1)).to(y.dtype)
        layer.bias = nn.Parameter(change if layer.bias is None else layer.bias + change)
        changes[name] = float(change.abs().max())
        return y + change.view(1, -1, *[1] * (y.dim() - 2))

    run_model(Run(conversion.model, True, saw), inputs)
    return changes


# --- the report -----------------------------------------------------------------------------------------------------


def _noise(conversion: Conversion, reference: fx.GraphModule, inputs: Tensor, batch: int) -> dict[str, float]:
    """SQNR in dB of every layer's output, and of the model's under the empty name."""
    signal = dict.fromkeys((*conversion.layers, ""), 0.0)
    noise = dict(signal)
    floats: dict[str, Tensor] = {}

    def keep(name: str, x: Tensor, y: Tensor) -> Tensor:
        if name in signal:
            floats[name] = y
        return y

    def compare(name: str, x: Tensor, y: Tensor) -> Tensor:
        if name in signal:
            want = floats.pop(name)
            signal[name] += float(want.double().square().sum())
            noise[name] += float((y - want).double().square().sum())
        return y

    for part in torch.split(inputs, batch):
        floats[""] = run_model(Run(reference, False, keep, conversion.caps), part)
        compare("", part, run_model(Run(conversion.model, True, compare), part))
    return {name: _decibels(signal[name], noise[name]) for name in signal}


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def _report(
    conversion: Conversion,
    seen: _Seen,
    before: dict[str, float],
    after: dict[str, float],
    corrections: dict[str, float],
    samples: int,
) -> PtqReport:
    layers = []
    for name in conversion.layers:
        layer = _layer(conversion, name)
        layers.append(
            LayerReport(
                name, layer.weight_quantizer.bits, layer.input_bits, layer.input_signed,
                accumulator_width(layer), before[name], after[name], corrections.get(name, 0.0),
            )
        )  # fmt: skip
    activations = []
    for name in conversion.quantizers:
        quantizer = _quantizer(conversion, name)
        scale = float(quantizer.scale())
        activations.append(
            ActivationReport(
                name, quantizer.bits, quantizer.signed, seen.largest[name], scale * quantizer.limits()[1], scale
            )
        )
    return PtqReport(tuple(layers), tuple(activations), samples, before[""], after[""], conversion.notes)


def _layer(conversion: Conversion, name: str) -> QuantWeightMixin:
    return cast(QuantWeightMixin, conversion.model.get_submodule(name))


def _quantizer(conversion: Conversion, name: str) -> QuantIdentity:
    return cast(QuantIdentity, conversion.model.get_submodule(name))
