# SPDX-License-Identifier: Apache-2.0
"""Float functions in front of a quantiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.frontend.legal.net import Net
from tests.frontend.legal.quantisers import quantise


def steps(net: Net) -> None:
    """Up to three float functions in front of a quantiser."""
    for _ in range(net.whole(0, 3)):
        kind = net.pick(*FLOAT)
        net.see(kind)
        FLOAT[kind](net)


def narrow_function(net: Net) -> None:
    """A function that is not monotone, or has no exact float32, of a narrow tensor."""
    kinds = ("Pow", "Abs")
    if not net.exact:
        kinds += ("Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "Softplus")
    kind = net.pick(*kinds)
    net.see(kind)
    if kind == "Pow":
        power = 2 if net.exact else net.pick(2, 3)
        net.x, net.top = net.b.node("Pow", net.x, net.b.constant(float(power))), net.top**power
    else:
        net.x = net.b.node(kind, net.x)
        net.top = 1.0 if kind in ("Sigmoid", "Tanh", "HardSigmoid") else net.top
    quantise(net)


def _batch_norm(net: Net) -> None:
    c = net.shape[0]
    gamma = net.factor(-1, 1, c) * net.rng.choice([-1, 1], c)
    variance = net.factor(-1, 1, c) ** 2
    net.x = net.b.batch_norm(net.x, gamma, net.number(c), net.number(c), variance, 0.0 if net.exact else 1e-5)
    net.top *= 2


def _constant(kind: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        size = net.per_channel() if net.flag() else ()
        value = net.number(size) if kind in ("Add", "Sub", "SubFrom") else net.factor(-1, 1, size)
        if kind in ("Mul", "Div") and net.flag():
            value = -value
        operand = net.b.constant(value)
        net.x = net.b.node("Sub", operand, net.x) if kind == "SubFrom" else net.b.node(kind, net.x, operand)
        net.see(constant__per_channel=size != ())

    return apply


def _plain(kind: str) -> Callable[[Net], None]:
    def apply(net: Net) -> None:
        net.x = net.b.node(kind, net.x)

    return apply


def _leaky(net: Net) -> None:
    net.x = net.b.node("LeakyRelu", net.x, alpha=float(net.pick(0.5, 0.125, 0.0)))


def _prelu(net: Net) -> None:
    net.x = net.b.node("PRelu", net.x, net.b.constant(net.factor(-3, 0, net.per_channel())))


def _clip(net: Net) -> None:
    low, high = net.pick((0.0, 2.0), (-1.0, 1.0), (-4.0, 0.5))
    net.x = net.b.node("Clip", net.x, net.b.constant(low), net.b.constant(high))
    net.top = min(net.top, max(-low, high))


FLOAT: Mapping[str, Callable[[Net], None]] = {
    "BatchNormalization": _batch_norm, "LeakyRelu": _leaky, "PRelu": _prelu, "Clip": _clip,
    **{k: _constant(k) for k in ("Mul", "Div", "Add", "Sub", "SubFrom")},
    **{k: _plain(k) for k in ("Relu", "Neg")},
}  # fmt: skip


def activate(net: Net) -> None:
    """Float steps and a quantiser."""
    steps(net)
    quantise(net)
