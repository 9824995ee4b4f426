# SPDX-License-Identifier: Apache-2.0
"""A float torch model as a graph of named operations, tidied for quantisation."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from gatewright.errors import ModelError, UnsupportedError
from gatewright.nn.activation import QuantIdentity
from gatewright.nn.layers import QuantWeightMixin

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)

# What an operation is to a quantiser; `Converter` has one method for each.
_MODULES: dict[str, tuple[type[nn.Module], ...]] = {
    "layer": LAYERS,
    "norm": (nn.BatchNorm1d, nn.BatchNorm2d),
    "relu": (nn.ReLU,),
    "clip": (nn.ReLU6, nn.Hardtanh),
    "maxpool": (nn.MaxPool1d, nn.MaxPool2d),
    "mean": (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
    "view": (nn.Flatten, nn.Unflatten),
    "identity": (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout),
    "pad": (nn.ZeroPad1d, nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d),
    "upsample": (nn.Upsample, nn.UpsamplingNearest2d),
    "scores": (nn.Softmax, nn.LogSoftmax, nn.Sigmoid),
}
_FUNCTIONS: dict[str, tuple[Callable[..., Any], ...]] = {
    "relu": (torch.relu, torch.relu_, functional.relu),
    "clip": (functional.relu6, functional.hardtanh),
    "maxpool": (functional.max_pool1d, functional.max_pool2d, torch.max_pool1d, torch.max_pool2d),
    "mean": (
        torch.mean,
        functional.avg_pool1d,
        functional.avg_pool2d,
        functional.adaptive_avg_pool1d,
        functional.adaptive_avg_pool2d,
    ),
    "view": (torch.flatten, torch.reshape, torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze),
    "identity": (functional.dropout, functional.dropout1d, functional.dropout2d),
    "pad": (functional.pad,),
    "upsample": (functional.interpolate,),
    "scores": (functional.softmax, functional.log_softmax, torch.softmax, torch.log_softmax, torch.sigmoid),
    "add": (operator.add, operator.iadd, torch.add),
    "arithmetic": (
        operator.sub, operator.isub, torch.sub,
        operator.mul, operator.imul, torch.mul,
        operator.truediv, operator.itruediv, torch.div, operator.floordiv,
    ),
    "cat": (torch.cat, torch.concat, torch.concatenate),
    "shape": (getattr,),
    "item": (operator.getitem,),
}  # fmt: skip
_METHODS: dict[str, tuple[str, ...]] = {
    "relu": ("relu", "relu_"),
    "mean": ("mean",),
    "view": ("view", "reshape", "flatten", "permute", "transpose", "squeeze", "unsqueeze", "contiguous"),
    "identity": ("clone", "detach"),
    "scores": ("softmax", "log_softmax", "sigmoid"),
    "add": ("add", "add_"),
    "arithmetic": ("sub", "sub_", "mul", "mul_", "div", "div_"),
    "shape": ("size", "dim"),
}
_REMEDIES: dict[tuple[type[nn.Module], ...], str] = {
    (nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Tanh, nn.Hardsigmoid, nn.Softplus): (
        "train the network with nn.ReLU or nn.ReLU6 in its place"
    ),
    (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d): "train it with nn.BatchNorm in its place",
    (nn.ConvTranspose1d, nn.ConvTranspose2d): "use nn.Upsample (nearest), then nn.Conv2d",
}
_SUPPORTED = (
    "use Linear, Conv1d, Conv2d, BatchNorm, ReLU, ReLU6, pools, nearest Upsample, flatten, additions and concatenations"
)
_BY_FUNCTION = {function: kind for kind, functions in _FUNCTIONS.items() for function in functions}
_BY_METHOD = {method: kind for kind, methods in _METHODS.items() for method in methods}


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (QuantIdentity, QuantWeightMixin)) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule:
    """A copy of ``model`` as a graph, without dropout, every ReLU in front of the max pool that follows it.

    Module names and parameters are kept; a module without parameters that is called several times gets a copy with
    a name of its own for each further call.

    Raises:
        ModelError: the model branches on values, or is quantised already.
    """
    for name, module in model.named_modules():
        if isinstance(module, (QuantIdentity, QuantWeightMixin)):
            raise ModelError(
                f"{name or 'the model'}: {type(module).__name__} is quantised already: give the float model, or "
                "train and export this one as it is"
            )
    model = copy.deepcopy(model)
    try:
        traced = fx.GraphModule(model, _Tracer().trace(model))
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError, AttributeError, IndexError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{type(model).__name__} cannot be traced by torch.fx: {reason}: give a model whose forward takes one "
            "tensor and does not branch or loop on values"
        ) from error
    traced.train(model.training)
    _drop_identities(traced)
    _unshare(traced)
    _relu_before_maxpool(traced)
    traced.graph.eliminate_dead_code()
    return traced


def kind_of(node: fx.Node, graph: fx.GraphModule) -> str:
    """What the node is to a quantiser: a key of the tables above.

    Raises:
        UnsupportedError: it has no hardware; names it with a remedy.
    """
    if node.op in ("placeholder", "output"):
        return node.op
    if node.op == "get_attr":
        return "constant"
    kind: str | None
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        kind = next((k for k, types in _MODULES.items() if type(module) in types), None)
        if kind is None:
            remedy = next((r for types, r in _REMEDIES.items() if isinstance(module, types)), _SUPPORTED)
            raise UnsupportedError(str(node.target), f"{type(module).__name__} has no hardware: {remedy}")
        return kind
    kind = _BY_METHOD.get(str(node.target)) if node.op == "call_method" else _BY_FUNCTION.get(node.target)  # type: ignore[arg-type]
    if kind is None:
        raise UnsupportedError(node.name, f"{name_of(node)} has no hardware: {_SUPPORTED}, as modules or functions")
    return kind


def name_of(node: fx.Node) -> str:
    """What the node calls, for messages."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", repr(node.target))


def argument(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    """An argument given by position or by name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def free_name(graph: fx.GraphModule, name: str) -> str:
    """``name``, with a number where the model has such an attribute already."""
    taken = {key for key, _ in graph.named_modules()} | {key for key, _ in graph.named_parameters()}
    taken |= {key for key, _ in graph.named_buffers()} | {"graph", "code", "meta"}
    candidate, i = name, 1
    while candidate in taken or hasattr(fx.GraphModule, candidate):
        i += 1
        candidate = f"{name}_{i}"
    return candidate


def clip_limits(node: fx.Node, graph: fx.GraphModule) -> tuple[float, float]:
    """Limits of a ReLU6 or Hardtanh."""
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        return (module.min_val, module.max_val) if isinstance(module, nn.Hardtanh) else (0.0, 6.0)
    if node.target is functional.relu6:
        return 0.0, 6.0
    return argument(node, 1, "min_val", -1.0), argument(node, 2, "max_val", 1.0)


def _kind_or_none(node: fx.Node, graph: fx.GraphModule) -> str | None:
    try:
        return kind_of(node, graph)
    except UnsupportedError:
        return None


def _drop_identities(traced: fx.GraphModule) -> None:
    for node in list(traced.graph.nodes):
        if _kind_or_none(node, traced) == "identity":
            node.replace_all_uses_with(argument(node, 0, "input"))
            traced.graph.erase_node(node)


def _unshare(traced: fx.GraphModule) -> None:
    seen: set[str] = set()
    for node in traced.graph.nodes:
        if node.op != "call_module":
            continue
        target = str(node.target)
        module = traced.get_submodule(target)
        if target in seen and not any(True for _ in module.parameters()):
            node.target = free_name(traced, target)
            traced.add_submodule(node.target, copy.deepcopy(module))
        elif target in seen and isinstance(module, LAYERS):
            raise UnsupportedError(
                target,
                f"{type(module).__name__} is called more than once, but each call is a unit of its own in hardware: "
                "give each call a layer of its own (copy.deepcopy)",
            )
        seen.add(target)


def _relu_before_maxpool(traced: fx.GraphModule) -> None:
    """max(relu(x)) = relu(max(x)): the quantiser in the ReLU then stands before the pool too."""
    moved = True
    while moved:
        moved = False
        for node in traced.graph.nodes:
            pool = argument(node, 0, "input") if _kind_or_none(node, traced) in ("relu", "clip") else None
            if not isinstance(pool, fx.Node) or _kind_or_none(pool, traced) != "maxpool" or len(pool.users) != 1:
                continue
            source = argument(pool, 0, "input")
            node.replace_all_uses_with(pool)
            pool.replace_input_with(source, node)
            node.replace_input_with(pool, source)
            pool.prepend(node)
            moved = True
            break
