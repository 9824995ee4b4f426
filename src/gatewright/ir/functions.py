# SPDX-License-Identifier: Apache-2.0
"""ONNX nodes that are elementwise float functions, as the steps that wait for the next quantiser.

`BatchNormalization`, `Mul`, `Div`, `Add`, `Sub`, `Max`, `Min` and `Pow` by constants, `Relu`, `LeakyRelu`, `PRelu`,
`Clip`, `Sigmoid`, `Tanh`, `HardSigmoid`, `HardSwish`, `Elu`, `Selu`, `Softplus`, `Gelu`, `Mish`, `Abs`, `Neg`, `Exp`,
`Log`, `Sqrt`, `Erf`, `Sin`, `Cos`, `Floor`, `Ceil`, `Round`, `Reciprocal`, division of a constant, and `Add`, `Sub` and
`Mul` of two functions of one tensor, as x * sigmoid(x).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gatewright.errors import UnsupportedError
from gatewright.ir.chain import Kind, Step
from gatewright.ir.importing import ImportContext, OnnxNode, Value

PLAIN: Mapping[str, tuple[Step, ...]] = {
    "Relu": (Step("relu"),),
    "Sigmoid": (Step("sigmoid"),),
    "Tanh": (Step("tanh"),),
    "Softplus": (Step("softplus"),),
    "Abs": (Step("abs"),),
    "Neg": (Step("mul", (-1.0,)),),
    "Exp": (Step("exp"),),
    "Sqrt": (Step("sqrt"),),
    "Erf": (Step("erf"),),
    "Floor": (Step("floor"),),
    "Ceil": (Step("ceil"),),
    "Round": (Step("round"),),
    "Reciprocal": (Step("over", (1.0,)),),
    "Sin": (Step("sin"),),
    "Cos": (Step("cos"),),
    "Log": (Step("log"),),
    "Mish": (Step("product", branches=((), (Step("softplus"), Step("tanh")))),),
}
"""Functions without attributes."""

CONSTANT: Mapping[str, Kind] = {"Mul": "mul", "Div": "div", "Add": "add", "Max": "max", "Min": "min"}
"""Functions of an activation and a constant."""
SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
"""Defaults of the ONNX operator."""


def float_steps(node: OnnxNode, ctx: ImportContext) -> tuple[Value, tuple[Step, ...]] | None:
    """The value that a float node reads and the steps that it adds; None when the node is no float function.

    Raises:
        UnsupportedError: a form of the function that has no hardware.
    """
    dynamic = [ctx.is_dynamic(i) for i in node.inputs]
    if node.domain not in ("", "ai.onnx") or not any(dynamic):
        return None
    if node.op_type in (*CONSTANT, *PLAIN, "Sub", "Pow"):
        _refuse_wrapping(node, ctx)
    if node.op_type in (*CONSTANT, "Sub") and len(dynamic) == 2:
        return _join(node, ctx) if all(dynamic) else _constant(node, ctx, dynamic.index(True))
    value = ctx.values.get(node.inputs[0])
    steps = None if value is None else _function(node, ctx, value)
    return None if value is None or steps is None else (value, steps)


def _refuse_wrapping(node: OnnxNode, ctx: ImportContext) -> None:
    """Refuse arithmetic in integers that may cut off or wrap; 32 bits hold every sum of codes.

    Raises:
        UnsupportedError: says what computes in integers.
    """
    names = [i for i in node.inputs if i]
    coded = next((i for i in names if ctx.is_dynamic(i) and ctx.values[i].code is not None), None)
    kinds = [ctx.constants[i].dtype for i in names if i in ctx.constants]
    if coded is not None or any(k.kind in "iu" and k.itemsize < 4 for k in kinds):
        raise UnsupportedError(
            node.name,
            f"{node.op_type} computes with the codes {coded or names[0]!r}, which have few bits and may wrap: "
            "put a DequantizeLinear, or a Cast to float32, before it",
        )
    if node.op_type in ("Div", "Pow", "Mul") and any(k.kind in "iu" for k in kinds):
        raise UnsupportedError(
            node.name,
            f"{node.op_type} of integers ({kinds[0]}) cuts off or wraps: cast the operands to float32 before it",
        )


def _constant(node: OnnxNode, ctx: ImportContext, position: int) -> tuple[Value, tuple[Step, ...]]:
    """A constant operand on the other side of the activation at `position`."""
    value, constant = ctx.values[node.inputs[position]], ctx.constant(node, 1 - position).astype(np.float64)
    vector = value.channel_vector(constant)
    if vector is None and value.type is None and not value.steps:
        # The host sends an input in any order: in that in which the constant is one per channel.
        ctx.relay_input(value.tensor, np.argsort(value.index, axis=None), value.shape)
        value = ctx.values[node.inputs[position]]
        vector = value.channel_vector(constant)
    if vector is None:
        raise UnsupportedError(
            node.name,
            f"constant of shape {constant.shape!r} varies within a channel: use one value, or one per channel",
        )
    if node.op_type == "Sub":
        negated = tuple(-v for v in vector)
        return value, (Step("add", negated),) if position == 0 else (Step("mul", (-1.0,)), Step("add", vector))
    if node.op_type == "Div" and position == 1:
        return value, (Step("over", vector),)
    return value, (Step(CONSTANT[node.op_type], vector),)


def _batch_norm(node: OnnxNode, ctx: ImportContext, value: Value) -> tuple[Step, ...]:
    if node.attributes.get("training_mode", 0) or not node.attributes.get("spatial", 1):
        raise UnsupportedError(
            node.name, "BatchNormalization in training mode, or with spatial=0, has no hardware: export in evaluation "
            "mode"
        )  # fmt: skip
    gamma, beta, mean, variance = (ctx.constant(node, i).astype(np.float64) for i in range(1, 5))
    variance = variance + node.attributes.get("epsilon", 1e-5)
    if not (variance > 0).all():
        raise UnsupportedError(node.name, f"variance {float(variance.min())!r} is not positive: train the model again")
    factor = gamma / np.sqrt(variance)
    axis = (-1, *(1,) * (len(value.shape) - 1))  # the model's own channels, whatever the layout of the integers
    vectors = [value.channel_vector(v.reshape(axis)) for v in (factor, beta - mean * factor)]
    if vectors[0] is None or vectors[1] is None:
        raise UnsupportedError(
            node.name,
            f"{factor.size} batch norm channels on frames of shape {value.shape!r} are not those of the layer before: "
            "put the batch norm before the reshape or transposition",
        )
    return Step("mul", vectors[0]), Step("add", vectors[1])


def _function(node: OnnxNode, ctx: ImportContext, value: Value) -> tuple[Step, ...] | None:
    """The steps of a function of one tensor; None when the node is none."""
    kind, get = node.op_type, node.attributes.get
    if kind == "BatchNormalization":
        return _batch_norm(node, ctx, value)
    if kind in PLAIN:
        return PLAIN[kind]
    if kind == "LeakyRelu":
        return (Step("leaky", (get("alpha", 0.01),)),)
    if kind == "PRelu":
        return (Step("leaky", _slopes(node, ctx)),)
    if kind == "Clip":
        return (Step("clip", clip_limits(node, ctx)),)
    if kind == "HardSigmoid":
        return _hard_sigmoid(get("alpha", 0.2), get("beta", 0.5))
    if kind == "HardSwish":
        return (Step("product", branches=((), _hard_sigmoid(1 / 6, 0.5))),)
    if kind == "Elu":
        return (Step("elu", (get("alpha", 1.0),)),)
    if kind == "Selu":
        return Step("elu", (get("alpha", SELU_ALPHA),)), Step("mul", (get("gamma", SELU_GAMMA),))
    if kind == "Gelu":
        return (Step("product", branches=((Step("mul", (0.5,)),), _gelu_gate(node))),)
    if kind == "Pow":
        return _power(node, ctx)
    return None


def _hard_sigmoid(alpha: float, beta: float) -> tuple[Step, ...]:
    return Step("mul", (alpha,)), Step("add", (beta,)), Step("clip", (0.0, 1.0))


def _gelu_gate(node: OnnxNode) -> tuple[Step, ...]:
    """1 + erf(x / sqrt 2), or its approximation by tanh."""
    form = node.attributes.get("approximate", "none")
    if form == "none":
        return Step("mul", (math.sqrt(0.5),)), Step("erf"), Step("add", (1.0,))
    if form != "tanh":
        raise UnsupportedError(node.name, f"Gelu with approximate={form!r} has no hardware: use 'none' or 'tanh'")
    cubic = Step("product", branches=((), (), ())), Step("mul", (0.044715,))
    inner = Step("sum", branches=((), cubic)), Step("mul", (math.sqrt(2 / math.pi),))
    return *inner, Step("tanh"), Step("add", (1.0,))


def _slopes(node: OnnxNode, ctx: ImportContext) -> tuple[float, ...]:
    slope = ctx.constant(node, 1)
    vector = ctx.values[node.inputs[0]].channel_vector(slope.astype(np.float64))
    if vector is None:
        raise UnsupportedError(
            node.name, f"slope of shape {slope.shape!r} varies within a channel: use one value, or one per channel"
        )
    return vector


def clip_limits(node: OnnxNode, ctx: ImportContext) -> tuple[float, float]:
    """Both limits of a Clip: inputs, or attributes in old models; infinite where left out."""
    limits = [float(node.attributes.get(name, default)) for name, default in (("min", -np.inf), ("max", np.inf))]
    for i in (1, 2):
        if len(node.inputs) > i and node.inputs[i]:
            limits[i - 1] = float(ctx.constant(node, i).item())
    if not limits[0] <= limits[1]:
        raise UnsupportedError(node.name, f"Clip to {limits[0]!r}..{limits[1]!r}: the limits must ascend")
    return limits[0], limits[1]


def _power(node: OnnxNode, ctx: ImportContext) -> tuple[Step, ...]:
    exponent = ctx.constant(node, 1)
    if exponent.size != 1 or not np.isfinite(exponent).all():
        raise UnsupportedError(
            node.name, f"Pow by {exponent.ravel()[:4].tolist()!r}: use one finite exponent for all channels"
        )
    power = float(exponent.item())
    return (Step("product", branches=((),) * int(power)) if power in (1, 2, 3, 4) else Step("pow", (power,)),)


def _join(node: OnnxNode, ctx: ImportContext) -> tuple[Value, tuple[Step, ...]] | None:
    """The common start of two functions of one tensor and the step in which they meet; None for other nodes."""
    left, right = (ctx.values[i] for i in node.inputs)
    integers = node.op_type == "Add" and not left.steps and not right.steps  # which have an operator of their own
    if node.op_type in ("Div", "Max", "Min") or integers or not one_tensor(left, right):
        return None
    shared = next((i for i, (a, b) in enumerate(zip(left.steps, right.steps, strict=False)) if a != b), None)
    shared = min(len(left.steps), len(right.steps)) if shared is None else shared
    tails = left.steps[shared:], right.steps[shared:]
    if node.op_type == "Sub":
        tails = tails[0], (*tails[1], Step("mul", (-1.0,)))
    start = replace(left, steps=left.steps[:shared])
    return start, (Step("product" if node.op_type == "Mul" else "sum", branches=tails),)


def one_tensor(left: Value, right: Value) -> bool:
    """Whether two values are elementwise functions of one tensor."""
    return left.tensor == right.tensor and left.shape == right.shape and np.array_equal(left.index, right.index)
