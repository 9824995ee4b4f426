# SPDX-License-Identifier: Apache-2.0
"""An ONNX file, its inputs and its nodes, as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from gatewright.errors import ModelError
from gatewright.ir.importing import MAX_ELEMENTS, OnnxNode, Value, standard_index, unique_name


def model_bytes(path: Path) -> bytes:
    """A readable model in one piece: the file as it is, or with the weights in it that lie in files beside it.

    Raises:
        ModelError: it is too large for one file.
    """
    model = onnx.load(str(path), load_external_data=False)
    if not any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        return path.read_bytes()
    onnx.load_external_data_for_model(model, str(path.parent))
    try:
        return bytes(model.SerializeToString(deterministic=True))
    except ValueError as error:
        raise ModelError(
            f"{path}: with its weights it is larger than a file of ONNX can be, 2 GiB ({error})"
        ) from error


def check_names(graph: onnx.GraphProto) -> None:
    """Refuse text that is not UTF-8, which protobuf hands on as bytes."""
    named = (*graph.input, *graph.output, *graph.initializer, *(a for n in graph.node for a in n.attribute))
    texts = [item.name for item in named]
    for node in graph.node:
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
    for text in texts:
        if not isinstance(text, str):
            raise ModelError(f"the name {text!r} is not UTF-8: the file is damaged; export it again")


def identifier(name: str) -> str:
    """A name that modules, kernels and the IP catalog can have: the last knows no two underscores in a row."""
    base = re.sub(r"[\W_]+", "_", name, flags=re.ASCII).strip("_") or "network"
    return base if not base[0].isdigit() else f"n_{base}"


def model_input(info: onnx.ValueInfoProto) -> Value:
    dims = list(info.type.tensor_type.shape.dim)
    if len(dims) < 2:
        raise ModelError(
            f"input {info.name!r} has {len(dims)} axes: need a batch axis and at least one more; export with "
            "inputs of shape (batch, ...), and what is a constant as an initialiser"
        )
    shape = []
    for axis, dim in enumerate(dims[1:], 1):
        if not dim.HasField("dim_value") or dim.dim_value < 1:
            raise ModelError(
                f"input {info.name!r} is dynamic in axis {axis} ({dim.dim_param or '?'}): only the batch may be "
                f"dynamic; export with a fixed size, or set type.tensor_type.shape.dim[{axis}].dim_value of the input"
            )
        shape.append(int(dim.dim_value))
    if int(np.prod(shape, dtype=object)) > MAX_ELEMENTS:
        raise ModelError(f"input {info.name!r} of shape {tuple(shape)!r} has more than {MAX_ELEMENTS} elements")
    return Value(info.name, None, tuple(shape), standard_index(tuple(shape)))


def node_names(graph: onnx.GraphProto) -> list[str]:
    """The name of each node of a model as an identifier: what `Node.origin` holds."""
    names: dict[str, None] = {}
    for i, node in enumerate(graph.node):
        names[unique_name(node.name or f"{node.op_type}_{i}", names.keys())] = None
    return list(names)


def opset_of(model: onnx.ModelProto) -> int:
    """Version of ONNX' own operators; the nearest known one where a file names another."""
    version = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=17)
    return int(min(max(version, 1), onnx.defs.onnx_opset_version()))


def batch_of(info: onnx.ValueInfoProto) -> int | None:
    """Size of an input's batch; None where the file leaves it open."""
    size = info.type.tensor_type.shape.dim[0].dim_value
    return int(size) if size > 0 else None


def nodes_of(model: onnx.ModelProto) -> Iterable[OnnxNode]:
    for name, node in zip(node_names(model.graph), model.graph.node, strict=True):
        yield OnnxNode(name, node.op_type, node.domain, tuple(node.input), tuple(node.output), attributes(node))


def attributes(node: onnx.NodeProto) -> Mapping[str, Any]:
    """Attributes of a node by name, text decoded.

    Raises:
        ModelError: one is damaged.
    """
    try:
        values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    except (TypeError, ValueError) as error:
        raise ModelError(f"{node.name}: an attribute of {node.op_type} is damaged: {error}") from error
    return {k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in values.items()}
