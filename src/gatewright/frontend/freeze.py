# SPDX-License-Identifier: Apache-2.0
"""A quantised torch model whose quantisers are constants and QONNX nodes, ready for torch's exporter."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from gatewright.nn import BipolarWeightQuant, QuantIdentity, QuantWeightMixin
from gatewright.nn.fused import aligned

DOMAIN = "qonnx.custom_op.general"
GLOBAL_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
TO_ONE = (1, (1,), (1, 1))


def freeze(model: nn.Module) -> nn.Module:
    """Replace the quantisers and global average pools of ``model``, in place; shared modules stay shared."""
    done: dict[int, nn.Module] = {}
    for module in list(model.modules()):
        if isinstance(module, QuantWeightMixin):
            module.weight_quantizer = _Weight(module)  # type: ignore[assignment]
            continue
        for name, child in module.named_children():
            if isinstance(child, GLOBAL_POOLS) and child.output_size in TO_ONE:
                setattr(module, name, _GlobalAveragePool())
            elif isinstance(child, QuantIdentity):
                setattr(module, name, done.setdefault(id(child), _Activation(child)))
    return model


class _Quantizer(nn.Module):
    """A Quant node, or a BipolarQuant node."""

    def __init__(self, scale: Tensor, bits: int, signed: bool, narrow: bool, bipolar: bool) -> None:
        super().__init__()
        self.signed, self.narrow = int(signed), int(narrow)
        self.bipolar = bipolar
        self.register_buffer("scale", scale.detach().clone())
        self.register_buffer("zero", torch.tensor(0.0))
        self.register_buffer("bits", torch.tensor(float(bits)))

    def quantize(self, x: Tensor) -> Tensor:
        scale, zero, bits = (cast(Tensor, getattr(self, name)) for name in ("scale", "zero", "bits"))
        if self.bipolar:
            return torch.onnx.ops.symbolic(
                f"{DOMAIN}::BipolarQuant", (x, scale), dtype=x.dtype, shape=x.shape, version=1
            )
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::Quant",
            (x, scale, zero, bits),
            {"signed": self.signed, "narrow": self.narrow, "rounding_mode": "ROUND"},
            dtype=x.dtype,
            shape=x.shape,
            version=1,
        )


class _Weight(_Quantizer):
    """Stands for a weight quantiser: a constant on the grid and its node."""

    def __init__(self, layer: QuantWeightMixin) -> None:
        quantizer = layer.weight_quantizer
        scale = aligned(quantizer.scale(layer.weight), layer.weight)
        super().__init__(scale, quantizer.bits, True, quantizer.narrow, isinstance(quantizer, BipolarWeightQuant))
        self.register_buffer("grid", layer.quantized_weight().detach() + 0.0)  # no -0.0

    def forward(self, weight: Tensor) -> Tensor:
        return self.quantize(cast(Tensor, self.grid))


class _Activation(_Quantizer):
    """Stands for an activation quantiser, with its ReLU if it has one."""

    def __init__(self, quantizer: QuantIdentity) -> None:
        super().__init__(quantizer.scale(), quantizer.bits, quantizer.signed, quantizer.narrow, quantizer.grid.bipolar)
        self.rectified = quantizer.rectified

    def forward(self, x: Tensor) -> Tensor:
        return self.quantize(torch.relu(x) if self.rectified else x)


class _GlobalAveragePool(nn.Module):
    """Stands for an adaptive average pool to size 1, which torch would write as a ReduceMean with computed axes."""

    def forward(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:2], *[1] * (x.dim() - 2))
        return torch.onnx.ops.symbolic("GlobalAveragePool", (x,), dtype=x.dtype, shape=shape)
