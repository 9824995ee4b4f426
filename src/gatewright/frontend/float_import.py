# SPDX-License-Identifier: Apache-2.0
"""A float ONNX model, as torch and Keras export them, as a torch module that ``gatewright.nn.quantize`` takes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import fx

from gatewright.errors import GatewrightError, ModelError
from gatewright.frontend.float_context import Activation, FloatContext, FloatNode, module_name
from gatewright.frontend.float_nodes import HANDLERS


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A float model that was read.

    Attributes:
        module: the model in evaluation mode; layers are named after their weights, else their nodes.
        shape: of one input sample of the file.
        order: of the axes in which the module takes that sample, the batch being axis 0; None for the same.
        notes: what was left out of the model, in words.
    """

    module: fx.GraphModule
    shape: tuple[int, ...]
    order: tuple[int, ...] | None
    notes: tuple[str, ...]

    def arrange(self, x: NDArray[Any]) -> NDArray[Any]:
        """Samples of the file's shape as the module takes them."""
        return x if self.order is None else np.ascontiguousarray(x.transpose(self.order))


@torch.no_grad()
def import_float(path: str | Path) -> FloatModel:
    """Read a float ONNX model.

    A softmax, sigmoid or argmax at the end is left out and noted: the host computes it from the scores. So is a
    transposition of the input.

    Raises:
        ModelError: no such file, damaged, no model, or of more than one input or output.
        UnsupportedError: a node that cannot be quantised for hardware, by name, with a remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    try:
        model = onnx.load(str(path))
    except Exception as error:  # onnx raises many types for damaged files
        first = str(error).strip().split("\n")[0][:200]
        raise ModelError(f"{path}: not a readable ONNX model ({type(error).__name__}: {first})") from error
    return float_from_onnx(model)


@torch.no_grad()
def float_from_onnx(model: onnx.ModelProto) -> FloatModel:
    """A float ONNX model in memory; see ``import_float``."""
    ctx, info = _begin(model)
    shape = _input_shape(info)
    placeholder = ctx.graph.placeholder(module_name(info.name).replace(".", "_"))
    ctx.values[info.name] = Activation(placeholder, torch.zeros(1, *shape))
    for node in _nodes(model):
        _import_node(node, ctx)
    (output,) = model.graph.output
    if output.name not in ctx.values:
        raise ModelError(f"output {output.name!r} does not depend on the model's input, or nothing writes it")
    ctx.graph.output(ctx.values[output.name].node)
    module = fx.GraphModule(ctx.root, ctx.graph)
    module.graph.eliminate_dead_code()
    module.recompile()
    module.delete_all_unused_submodules()
    return FloatModel(module.eval(), shape, ctx.order, tuple(ctx.notes))


def _begin(model: onnx.ModelProto) -> tuple[FloatContext, onnx.ValueInfoProto]:
    graph = model.graph
    constants = {tensor.name: np.asarray(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    inputs = [info for info in graph.input if info.name not in constants]
    for what, found in (("inputs", inputs), ("outputs", list(graph.output))):
        if len(found) != 1:
            names = ", ".join(repr(item.name) for item in found) or "none"
            raise ModelError(
                f"the model has {len(found)} {what} ({names}): cut it to one, with onnx.utils.extract_model"
            )
    dims = inputs[0].type.tensor_type.shape.dim
    batch = int(dims[0].dim_value) if len(dims) and dims[0].HasField("dim_value") else None
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(info.name for info in graph.output)
    outputs = frozenset(info.name for info in graph.output)
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=13)
    return FloatContext(batch, uses, outputs, opset, constants=constants), inputs[0]


def _input_shape(info: onnx.ValueInfoProto) -> tuple[int, ...]:
    dims = list(info.type.tensor_type.shape.dim)
    if len(dims) < 2:
        raise ModelError(f"input {info.name!r} has {len(dims)} axes: need a batch axis and at least one more")
    for axis, dim in enumerate(dims[1:], 1):
        if not dim.HasField("dim_value") or dim.dim_value < 1:
            raise ModelError(
                f"input {info.name!r} is dynamic in axis {axis} ({dim.dim_param or '?'}): only the batch may be "
                "dynamic; export with a fixed size, or set it with onnx.tools.update_model_dims"
            )
    return tuple(int(dim.dim_value) for dim in dims[1:])


def _nodes(model: onnx.ModelProto) -> list[FloatNode]:
    nodes = []
    for i, node in enumerate(model.graph.node):
        domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        decoded = {k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in attributes.items()}
        name = node.name or f"{node.op_type.lower()}_{i}"
        nodes.append(FloatNode(name, domain + node.op_type, tuple(node.input), tuple(node.output), decoded))
    return nodes


def _import_node(node: FloatNode, ctx: FloatContext) -> None:
    missing = [i for i in node.inputs if i and i not in ctx.values and i not in ctx.constants]
    if missing:
        raise ModelError(
            f"{node.name}: {node.op_type} reads {missing[0]!r}, which nothing in the model writes: "
            "the file is damaged or its nodes are out of order"
        )
    if not any(i in ctx.values for i in node.inputs):
        _fold(node, ctx)
        return
    if node.op_type not in HANDLERS:
        raise node.refuse(f"no hardware: use one of {', '.join(sorted(HANDLERS))}, or run it on the host")
    try:
        HANDLERS[node.op_type](node, ctx)
    except GatewrightError:
        raise
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{node.name}: {node.op_type} lacks an input or attribute, or has one that its definition rules out "
            f"({error!r}): export it again"
        ) from error


def _fold(node: FloatNode, ctx: FloatContext) -> None:
    """Compute a node of constants."""
    proto = onnx.helper.make_node(node.op_type, list(node.inputs), list(node.outputs), **node.attributes)
    empty = onnx.TypeProto()
    names = [name for name in node.inputs if name]
    graph = onnx.helper.make_graph(
        [proto],
        "constants",
        [onnx.helper.make_value_info(name, empty) for name in names],
        [onnx.helper.make_value_info(name, empty) for name in node.outputs if name],
    )
    try:
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", ctx.opset)])
        results = ReferenceEvaluator(model).run(None, {name: ctx.constants[name] for name in names})
    except Exception as error:  # the evaluator raises many types
        raise node.refuse(f"its constants cannot be computed ({error}): fold constants before export") from error
    ctx.constants |= dict(zip((name for name in node.outputs if name), map(np.asarray, results), strict=True))
