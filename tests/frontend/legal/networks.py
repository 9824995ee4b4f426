# SPDX-License-Identifier: Apache-2.0
"""Random legal networks of two to eight operators, and what runs them independently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto
from tests.frontend.legal.layers import LAYERS, legal, matrix
from tests.frontend.legal.net import Drawer, Net, Roller
from tests.frontend.legal.quantisers import qdq, qonnx
from tests.frontend.legal.steps import FLOAT, steps
from tests.models import Builder

BATCH = 6
TAILS = ("none", "float", "Softmax", "LogSoftmax", "ArgMax", "TopK")


def tail(net: Net) -> list[str]:
    """What the host does behind the last integers; the names of the model's outputs."""
    kind = net.pick(*TAILS) if len(net.shape) == 1 else "none"
    net.see(f"tail.{kind}")
    if kind == "none":
        return [net.x]
    if kind == "float":
        steps(net)
        return [net.x]
    if kind == "ArgMax":
        return [net.b.node("ArgMax", net.x, axis=1, keepdims=int(net.flag()))]
    if kind == "TopK":
        outs = [net.b.fresh("top") for _ in range(2)]
        net.b.node("TopK", net.x, net.b.constant([1 + net.shape[0] // 2], np.int64), outputs=outs, axis=1)
        return outs
    return [net.b.node(kind, net.x, axis=1)]


WITH_HARDWARE = ("Conv", "ConvTranspose", "MatMul", "Gemm", "MaxPool", "Add", "Resize")
SHAPES = ((2, 6, 5), (4, 5, 5), (3, 8), (6,), (1, 8, 8), (6, 4, 3))


@dataclass(frozen=True, eq=False)
class Drawn:
    """A drawn network.

    Attributes:
        outputs: of the model, in order.
        exact: float32 makes no error in it, but in a softmax at its end.
        seen: operators and attributes in it.
    """

    builder: Builder
    outputs: tuple[str, ...]
    exact: bool
    seen: Counter[str]

    @property
    def transcendental(self) -> bool:
        """Whether it ends in a softmax."""
        return any(n.op_type in ("Softmax", "LogSoftmax") for n in self.builder.nodes)

    @property
    def quantisers(self) -> tuple[str, ...]:
        """Tensors that a quantiser of an activation wrote."""
        constants = {c.name for c in self.builder.constants}
        kinds = ("Quant", "MultiThreshold", "BipolarQuant", "DequantizeLinear")
        return tuple(n.output[0] for n in self.builder.nodes if n.op_type in kinds and n.input[0] not in constants)

    def model(self, *more: str) -> onnx.ModelProto:
        """The model, with further tensors as outputs."""
        model = self.builder.model(*self.outputs, *more)
        whole = {n.output[0] for n in self.builder.nodes if n.op_type == "ArgMax"}
        whole |= {n.output[1] for n in self.builder.nodes if n.op_type == "TopK"}
        for info in model.graph.output:
            if info.name in whole:
                info.type.tensor_type.elem_type = TensorProto.INT64
        return model


@st.composite
def networks(draw: Callable[..., Any], exact: bool | None = None) -> Drawn:
    """Networks for hypothesis; see `grow`."""
    return grow(Drawer(draw), exact)


def grow(chooser: Drawer | Roller, exact: bool | None = None) -> Drawn:
    """A network of two to eight operators on a batch of `BATCH` frames.

    Args:
        exact: as in `Net`; None draws it.
    """
    exact = bool(chooser.whole(0, 1)) if exact is None else exact
    net = Net(chooser, exact, Builder(chooser.pick(SHAPES), batch=BATCH))
    net.top = 2.5
    if net.flag():
        FLOAT[net.pick("Mul", "Add", "Sub", "Div")](net)
        net.see("input.steps")
    (qdq if net.flag() else qonnx)(net)
    for _ in range(net.whole(2, 8)):
        LAYERS[net.pick(*legal(net))](net)
        if net.size > 2000:
            break
    if not any(n.op_type in WITH_HARDWARE for n in net.b.nodes):
        matrix(net)
    return Drawn(net.b, tuple(tail(net)), net.exact, net.seen)


def frames(drawn: Drawn, seed: int = 0) -> np.ndarray:
    """Float frames on a grid of 1/16, beyond the range of the input's quantiser; ties included."""
    x = np.random.default_rng(seed).integers(-48, 49, (BATCH, *drawn.builder.shape)) / 16
    return np.float32(x if drawn.exact else x * 0.97)


def execute(drawn: Drawn, x: np.ndarray, *more: str) -> dict[str, np.ndarray]:
    """Every output, and the tensors `more`, as the qonnx package computes them, node by node."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(drawn.model()).transform(InferShapes())
    context = execute_onnx(model, {"x": x}, return_full_exec_context=True)
    return {name: context[name] for name in (*drawn.outputs, *more)}
