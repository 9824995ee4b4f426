# SPDX-License-Identifier: Apache-2.0
"""A float torch model as a quantised one: quantisers where hardware needs them, every width and sign carried along."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import fx, nn

from gatewright.errors import ConfigError, ModelError, UnsupportedError
from gatewright.nn.activation import QuantIdentity, QuantReLU
from gatewright.nn.layers import QuantConv1d, QuantConv2d, QuantLinear
from gatewright.nn.quantize_config import QuantizeConfig
from gatewright.nn.tracing import LAYERS, argument, clip_limits, free_name, kind_of, name_of, trace


def quantize(model: nn.Module, config: QuantizeConfig | None = None) -> nn.Module:
    """A quantised copy of a float model, to be trained with ``gatewright.train.fit`` or calibrated, then exported.

    Linear, Conv1d and Conv2d become their quantised twins with the same names, weights and biases; ReLU, ReLU6 and
    Hardtanh become activation quantisers; the input, both sides of an addition (one scale), all sides of a
    concatenation (one scale) and whatever else a layer or a pool reads get a quantiser. Batch norms stay: the
    compiler folds them into the quantiser behind them, exactly. Dropout goes, and so does a softmax or sigmoid at
    the end, which is left to the host. The model given is left untouched.

    Args:
        model: its forward takes one tensor, samples first, returns one, and does not branch on values.
        config: widths; by default 8 bits everywhere.

    Raises:
        ConfigError: a rule of ``config`` that fits no module.
        ModelError: the model cannot be traced, is quantised already, or has nothing to quantise.
        UnsupportedError: an operation without hardware, by the name of its module.
    """
    return convert(model, config or QuantizeConfig()).model


@dataclass(frozen=True, eq=False)
class Conversion:
    """What ``convert`` made.

    Attributes:
        model: the quantised model; its modules have the names below.
        layers: of the layers with weights, in the order of computation.
        quantizers: of the activation quantisers, in the order of computation.
        caps: greatest value of the activation that a quantiser stands for, where it has one (6 for ReLU6).
        input_quantizer: name of the quantiser on the input.
        leading: whether arithmetic stands between the model's input and that quantiser; the host does it.
        notes: what was left out of the model, in words.
    """

    model: fx.GraphModule
    layers: tuple[str, ...]
    quantizers: tuple[str, ...]
    caps: dict[str, float]
    input_quantizer: str
    leading: bool
    notes: tuple[str, ...]


def convert(model: nn.Module, config: QuantizeConfig) -> Conversion:
    """``quantize``, with the names of what was made."""
    converter = _Converter(trace(model), config)
    for node in list(converter.graph.graph.nodes):
        converter.visit(node)
    return converter.finish()


@dataclass(frozen=True)
class _Value:
    """What is known of a tensor.

    Attributes:
        state: "input" (float, only constant arithmetic since the model's input), "code" (quantised), "real" (neither),
            or "shape" (no tensor).
        bits, signed: of a code.
        positive: no value is below zero.
        mean: an average, whose steps are finer than those of what it averages.
    """

    state: str
    bits: int = 0
    signed: bool = True
    positive: bool = False
    mean: bool = False


_SHAPE = _Value("shape")


class _Converter:
    """Walks the graph in the order of computation, one method for each kind of node; rewrites it in place."""

    def __init__(self, graph: fx.GraphModule, config: QuantizeConfig) -> None:
        self.graph = graph
        self.config = config
        self.values: dict[fx.Node, _Value] = {}
        self.codes: dict[fx.Node, fx.Node] = {}
        self.layers: list[str] = []
        self.quantizers: list[str] = []
        self.caps: dict[str, float] = {}
        self.input_quantizer = ""
        self.leading = False
        self.notes: list[str] = []
        self.first, self.last = _ends(graph)

    def visit(self, node: fx.Node) -> None:
        kind = kind_of(node, self.graph)
        if any(self.values[n] is _SHAPE for n in node.all_input_nodes if n in self.values) and kind in (
            "add", "arithmetic", "item",
        ):  # fmt: skip
            kind = "shape"
        getattr(self, f"_on_{kind}")(node)

    def finish(self) -> Conversion:
        if not self.layers:
            raise ModelError("the model has no Linear or convolution: there is nothing to quantise")
        for rule in self.config.layers:
            names = (self.layers if rule.sets_weights else []) + (
                self.quantizers if rule.activation_bits is not None else []
            )
            if not any(rule.matches(name) for name in names):
                close = get_close_matches(rule.pattern, names, n=1)
                hint = f"did you mean {close[0]!r}? " if close else ""
                raise ConfigError(
                    f"the rule for pattern={rule.pattern!r} fits no module that it has a setting for: {hint}"
                    f"the modules are {', '.join(names)}"
                )
        self.graph.graph.lint()
        self.graph.delete_all_unused_submodules()
        self.graph.recompile()
        return Conversion(
            self.graph, tuple(self.layers), tuple(self.quantizers), self.caps, self.input_quantizer, self.leading,
            tuple(self.notes),
        )  # fmt: skip

    # --- the ends ---------------------------------------------------------------------------------------------------

    def _on_placeholder(self, node: fx.Node) -> None:
        if any(value.state == "input" for value in self.values.values()):
            if node.args:  # has a default: torch.fx traces with it
                raise UnsupportedError(str(node.target), "a second argument of forward has no hardware: remove it")
            raise UnsupportedError(str(node.target), "a second input has no hardware yet: give a model of one input")
        self.values[node] = _Value("input")

    def _on_output(self, node: fx.Node) -> None:
        if not isinstance(node.args[0], fx.Node) or self.values[node.args[0]].state in ("shape", "input"):
            raise ModelError(
                f"the model returns {node.args[0]!r}, not one computed tensor: wrap it in a module whose forward "
                "returns one of its outputs"
            )

    def _on_constant(self, node: fx.Node) -> None:
        pass  # an operand: whoever uses it looks at it

    def _on_shape(self, node: fx.Node) -> None:
        if name_of(node) == "getattr" and node.args[1] != "shape":
            raise UnsupportedError(node.name, f"attribute {node.args[1]!r} of a tensor has no hardware: avoid it")
        self.values[node] = _SHAPE

    def _on_item(self, node: fx.Node) -> None:
        raise UnsupportedError(node.name, "taking a part of a tensor has no hardware: use whole tensors")

    def _on_scores(self, node: fx.Node) -> None:
        source = self._source(node)
        if [user.op for user in node.users] != ["output"]:
            raise UnsupportedError(
                self._name(node), "a softmax or sigmoid inside the network has no hardware: use ReLU"
            )
        node.replace_all_uses_with(source)
        self.graph.graph.erase_node(node)
        self.notes.append(f"{self._name(node)}: left to the host, the quantised model returns what it reads")

    # --- layers -----------------------------------------------------------------------------------------------------

    def _on_layer(self, node: fx.Node) -> None:
        name = str(node.target)
        value = self._read_code(node, 0)
        quant = self.config.weight_quant(name, first=node in self.first, last=node in self.last)
        layer = _twin(name, self.graph.get_submodule(name), weight_quant=quant, input_bits=value.bits,
                      input_signed=value.signed)  # fmt: skip
        self.graph.set_submodule(name, layer)
        self.layers.append(name)
        self.values[node] = _Value("real")

    def _on_norm(self, node: fx.Node) -> None:
        self._on_arithmetic(node)

    def _on_arithmetic(self, node: fx.Node) -> None:
        operands = [n for n in node.all_input_nodes if n in self.values]
        if len(operands) != 1 or list(node.args).count(operands[0]) > 1:
            raise UnsupportedError(
                self._name(node), f"{name_of(node)} of two activations has no hardware: only their sum has"
            )
        value = self.values[operands[0]]
        self.leading |= value.state == "input"
        self.values[node] = _Value("input" if value.state == "input" else "real")

    # --- activations ------------------------------------------------------------------------------------------------

    def _on_relu(self, node: fx.Node) -> None:
        self._activation(node, cap=None, signed=False)

    def _on_clip(self, node: fx.Node) -> None:
        low, high = clip_limits(node, self.graph)
        if not high > 0 or low not in (0, -high):
            raise UnsupportedError(
                self._name(node), f"a clip to [{low!r}, {high!r}] has no hardware: use [0, b] or [-b, b], b above 0"
            )
        self._activation(node, cap=float(high), signed=low < 0)

    def _activation(self, node: fx.Node, cap: float | None, signed: bool) -> None:
        source = self._source(node)
        if self.values[source].state == "input":
            node.replace_input_with(source, self._code(source))
        merged = {"add", "cat"}
        if cap is None and node.users and all(kind_of(user, self.graph) in merged for user in node.users):
            # The quantiser that the sides of an addition share is the only one needed.
            self.values[node] = _Value("real", positive=True)
            return
        name = str(node.target) if node.op == "call_module" else free_name(self.graph, node.name)
        bits, power = self.config.activation(name), self.config.power_of_two
        quantizer = (
            QuantIdentity(bits, True, narrow=bits > 1, power_of_two=power, max_value=cap)
            if signed
            else QuantReLU(bits, power_of_two=power, max_value=cap)
        )
        self._replace(node, name, quantizer, self._source(node))
        if cap is not None:
            self.caps[name] = cap

    # --- what keeps codes as they are -------------------------------------------------------------------------------

    def _on_maxpool(self, node: fx.Node) -> None:
        self.values[node] = self._read_code(node, 0)

    def _on_upsample(self, node: fx.Node) -> None:
        if node.op == "call_module":
            mode = getattr(self.graph.get_submodule(str(node.target)), "mode", "nearest")
        else:
            mode = argument(node, 3, "mode", "nearest")
        if mode != "nearest":
            raise UnsupportedError(self._name(node), f"mode={mode!r} has no hardware: use mode='nearest'")
        self.values[node] = self._read_code(node, 0)

    def _on_pad(self, node: fx.Node) -> None:
        name = self._name(node)
        if any(kind_of(user, self.graph) != "layer" for user in node.users):
            raise UnsupportedError(name, "padding has hardware in front of a convolution only: move it there")
        if node.op == "call_module":
            constant = getattr(self.graph.get_submodule(str(node.target)), "value", 0)
        else:
            constant = argument(node, 3, "value", 0) if argument(node, 2, "mode", "constant") == "constant" else None
        if constant not in (0, None) or argument(node, 2, "mode", "constant") != "constant":
            raise UnsupportedError(name, f"padding with {constant!r} has no hardware: pad with zeros")
        self.values[node] = self._read_code(node, 0)

    def _on_view(self, node: fx.Node) -> None:
        self.values[node] = self.values[self._source(node)]

    # --- means, sums and concatenations -----------------------------------------------------------------------------

    def _on_mean(self, node: fx.Node) -> None:
        value = self._read_code(node, 0)
        self.values[node] = _Value("real", positive=not value.signed, mean=True)

    def _on_add(self, node: fx.Node) -> None:
        sides = [n for n in node.all_input_nodes if n in self.values]
        if len(sides) < 2 and list(node.args).count(sides[0]) < 2:
            self._on_arithmetic(node)
            return
        if argument(node, 2, "alpha", 1) != 1:
            raise UnsupportedError(node.name, "add with alpha has no hardware: leave alpha out")
        positive = self._share_quantizer(node, sides, f"{node.name}_side")
        self.values[node] = _Value("real", positive=positive)

    def _on_cat(self, node: fx.Node) -> None:
        sides = [n for n in node.all_input_nodes if n in self.values]
        dim = argument(node, 1, "dim", 0)
        if dim != 1:
            raise UnsupportedError(node.name, f"cat with dim={dim!r} has no hardware: concatenate channels, dim=1")
        name = f"{node.name}_side"
        positive = self._share_quantizer(node, sides, name)
        bits = self.config.activation(self.quantizers[-1])
        self.values[node] = _Value("code", bits, not positive, positive)

    def _share_quantizer(self, node: fx.Node, sides: list[fx.Node], name: str) -> bool:
        """Put one quantiser on all sides; whether none of them has values below zero."""
        sides = [self._code(side) if self.values[side].state == "input" else side for side in sides]
        positive = all(self.values[side].positive for side in sides)
        name = free_name(self.graph, name)
        bits = self.config.activation(name)
        self.graph.add_submodule(name, self._identity(bits, not positive))
        self.quantizers.append(name)
        for original in [n for n in node.all_input_nodes if n in self.values]:
            side = self.codes.get(original, original)
            node.replace_input_with(original, self._call(name, side, _Value("code", bits, not positive, positive)))
        return positive

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _name(self, node: fx.Node) -> str:
        return str(node.target) if node.op == "call_module" else node.name

    def _source(self, node: fx.Node) -> fx.Node:
        source = argument(node, 0, "input")
        if not isinstance(source, fx.Node) or self.values.get(source, _SHAPE) is _SHAPE:
            raise UnsupportedError(self._name(node), f"{name_of(node)} does not read an activation: give it one tensor")
        return source

    def _read_code(self, node: fx.Node, position: int) -> _Value:
        """Let the node read a quantised tensor; what that is."""
        source = self._source(node)
        code = self._code(source)
        if code is not source:
            node.replace_input_with(source, code)
        return self.values[code]

    def _code(self, source: fx.Node) -> fx.Node:
        """The tensor quantised: itself, or behind a quantiser that all its readers share."""
        value = self.values[source]
        if value.state == "code":
            return source
        if source not in self.codes:
            if value.state == "input":
                name = self.input_quantizer = free_name(self.graph, "input_quant")
                bits, signed = self.config.input_bits, self.config.input_signed is not False
                quantizer = self._identity(bits, signed, self.config.input_max)
            else:
                name = free_name(self.graph, f"{self._name(source)}_quant")
                bits = self.config.activation(name, self.config.mean_bits if value.mean else None)
                signed = not value.positive
                quantizer = self._identity(bits, signed)
            self.graph.add_submodule(name, quantizer)
            self.quantizers.append(name)
            self.codes[source] = self._call(name, source, _Value("code", bits, signed, not signed))
        return self.codes[source]

    def _identity(self, bits: int, signed: bool, max_value: float | None = None) -> QuantIdentity:
        return QuantIdentity(bits, signed, power_of_two=self.config.power_of_two, max_value=max_value)

    def _call(self, name: str, source: fx.Node, value: _Value) -> fx.Node:
        with self.graph.graph.inserting_after(source):
            node = self.graph.graph.call_module(name, (source,))
        self.values[node] = value
        return node

    def _replace(self, node: fx.Node, name: str, quantizer: QuantIdentity, source: fx.Node) -> None:
        if node.op == "call_module":
            self.graph.set_submodule(name, quantizer)
        else:
            self.graph.add_submodule(name, quantizer)
        node.op, node.target, node.args, node.kwargs = "call_module", name, (source,), {}
        self.quantizers.append(name)
        self.values[node] = _Value("code", quantizer.bits, quantizer.signed, not quantizer.signed)


def _ends(graph: fx.GraphModule) -> tuple[set[fx.Node], set[fx.Node]]:
    """Layers that no layer stands before, and layers that none stands behind."""
    layers = [n for n in graph.graph.nodes if kind_of(n, graph) == "layer"]
    behind: set[fx.Node] = set()
    for node in graph.graph.nodes:
        if any(n in behind or n in layers for n in node.all_input_nodes):
            behind.add(node)
    ahead: set[fx.Node] = set()
    for node in reversed(graph.graph.nodes):
        if any(n in ahead or n in layers for n in node.users):
            ahead.add(node)
    return {n for n in layers if n not in behind}, {n for n in layers if n not in ahead}


def _twin(name: str, layer: nn.Module, **settings: Any) -> nn.Module:
    """The quantised layer with the float layer's weights."""
    if not isinstance(layer, LAYERS):
        raise UnsupportedError(name, f"{type(layer).__name__} has no quantised twin")
    if layer.weight.dtype != torch.float32:
        raise ModelError(f"{name}: its weights are {layer.weight.dtype}: give the model in float32, model.float()")
    twin: QuantLinear | QuantConv1d | QuantConv2d
    if isinstance(layer, nn.Linear):
        twin = QuantLinear(layer.in_features, layer.out_features, layer.bias is not None, **settings)
    else:
        kind: Any = QuantConv1d if isinstance(layer, nn.Conv1d) else QuantConv2d
        options = ("stride", "padding", "dilation", "groups", "padding_mode")
        settings |= {option: getattr(layer, option) for option in options} | {"bias": layer.bias is not None}
        try:
            twin = kind(layer.in_channels, layer.out_channels, layer.kernel_size, **settings)
        except ConfigError as error:
            raise UnsupportedError(name, str(error)) from error
    twin.weight, twin.bias = layer.weight, layer.bias
    twin.weight_quantizer.initialize(layer.weight)
    return twin.train(layer.training)
