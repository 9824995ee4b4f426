# SPDX-License-Identifier: Apache-2.0
"""How TFLite's own kernels round, where the numbers of a TFLite file say "to nearest, ties to even, once".

A sum of products is scaled by a 31-bit integer: the product is rounded to that integer's last bit, and then, half up,
to a whole number. A value just below a boundary is lifted onto it by the first rounding, about one in a thousand; a
later layer spreads it. An average divides whole numbers, half away from zero, where the average of codes of one scale
often is a tie.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .tflite import TfModel, TfNode, same_pads

Ints = npt.NDArray[np.int64]


def multiplier(real: float) -> tuple[int, int]:
    """A positive factor as mantissa * 2**(exponent - 31), the mantissa a whole number of 31 bits."""
    fraction, exponent = math.frexp(real)
    mantissa = round(fraction * (1 << 31))
    return (mantissa // 2, exponent + 1) if mantissa == 1 << 31 else (mantissa, exponent)


def rescale(sums: Ints, factors: npt.NDArray[np.float64]) -> Ints:
    """Sums (..., channels) times a factor per channel, below 1, in TFLite's fixed point."""
    out = np.empty_like(sums)
    for channel, factor in enumerate(factors.tolist()):
        mantissa, exponent = multiplier(factor)
        assert exponent <= 0
        product = sums[..., channel] * mantissa
        nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
        high = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))  # division by 2**31 cuts towards zero
        out[..., channel] = (high + (1 << -exponent >> 1)) >> -exponent
    return out


def convolution(model: TfModel, node: TfNode, codes: npt.NDArray[np.int8]) -> tuple[Ints, Ints]:
    """Codes that TFLite's kernel gives for a CONV_2D, and those that the file's numbers mean.

    Args:
        codes: the node's input, (frames, height, width, channels).
    """
    import torch

    source, weight, bias = (model.tensors[i] for i in node.inputs)
    target = model.tensors[node.outputs[0]]
    assert weight.data is not None
    assert bias.data is not None
    window = ("StrideH", "StrideW")
    pads = [same_pads(source.shape[i + 1], weight.shape[i + 1], node.options[window[i]], 1) for i in range(2)]
    assert node.options["Padding"] == 0
    image = torch.from_numpy(codes.astype(np.float64) - int(source.zero[0])).permute(0, 3, 1, 2)
    image = torch.nn.functional.pad(image, (*pads[1], *pads[0]))
    kernel = torch.from_numpy(weight.data.astype(np.float64)).permute(0, 3, 1, 2)
    sums = torch.nn.functional.conv2d(image, kernel, stride=tuple(node.options[w] for w in window))
    whole = sums.permute(0, 2, 3, 1).numpy().astype(np.int64) + bias.data  # float64 holds these sums exactly
    factors = float(source.scale[0]) * weight.scale.astype(np.float64) / float(target.scale[0])
    zero = int(target.zero[0])
    low = max(-128, zero) if node.options["FusedActivationFunction"] == 1 else -128
    fixed, meant = rescale(whole, factors), np.rint(whole * factors).astype(np.int64)
    return np.clip(fixed + zero, low, 127), np.clip(meant + zero, low, 127)
