# SPDX-License-Identifier: Apache-2.0
"""A small model, built twice: imported and run as integers, and run by onnxruntime; both must agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from tests.models import DOMAIN, Builder

from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove

Make = Callable[[Builder], str]


def imported(make: Make, shape: tuple[int, ...], **settings: Any) -> Graph:
    """The graph of the model that `make` adds to the float input "x"; `settings` are the builder's."""
    b = Builder(shape, **settings)
    return from_onnx(b.model(make(b)))


def runtime(make: Make, x: np.ndarray, **settings: Any) -> np.ndarray:
    """What onnxruntime gives for the model, its quantisers written out."""
    b = Builder(x.shape[1:], expand=True, **settings)
    return run(b.model(make(b)), x)[0]


def run(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """Every output of a model that onnxruntime knows, node by node: its optimiser gives other values for products of
    dequantised weights."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def frames(shape: tuple[int, ...], count: int = 12, seed: int = 0) -> np.ndarray:
    """Float frames on a grid of 1/16, beyond the range of the input's quantiser."""
    return np.float32(np.random.default_rng(seed).integers(-40, 41, (count, *shape)) / 16)


def agree(make: Make, shape: tuple[int, ...], seed: int = 0, **settings: Any) -> Graph:
    """Golden equals onnxruntime in every output, and the lowered graph equals golden; returns the imported graph.

    `settings` are the builder's: of a fixed batch, so many frames are run.
    """
    batch = settings.get("batch", 12)
    graph, x = imported(make, shape, **settings), frames(shape, batch if isinstance(batch, int) else 12, seed=seed)
    (have,) = graph.predict(x)
    np.testing.assert_array_equal(have, runtime(make, x, **settings))
    lowered = lower(graph)
    prove(graph, lowered)
    np.testing.assert_array_equal(lowered.predict(x)[0], have)
    return graph


def operators(graph: Graph) -> list[str]:
    """Names of the operators, in order."""
    return [n.op.name() for n in graph.nodes]


# --- the qonnx package ------------------------------------------------------------------------------------------------


def qonnx_outputs(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """What the qonnx package gives for every output of a model with the float input "x"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own
        wrapper = ModelWrapper(model).transform(InferShapes())
        given = execute_onnx(wrapper, {"x": x})
    return [given[o.name] for o in model.graph.output]


def agree_with_qonnx(b: Builder, outputs: Sequence[str], x: np.ndarray, opset: int = 1) -> Graph:
    """Golden and the lowered graph equal the qonnx package in every output; returns the imported graph.

    Args:
        opset: version of QONNX' operators.
    """
    model = b.model(*outputs)
    for entry in model.opset_import:
        entry.version = opset if entry.domain == DOMAIN else entry.version
    return same_as(model, x, qonnx_outputs(model, x))


def same_as(model: onnx.ModelProto, x: np.ndarray, wanted: Sequence[np.ndarray]) -> Graph:
    """Golden gives `wanted` for the model, and the lowered graph, proven, what golden gives."""
    graph = from_onnx(model)
    lowered = lower(graph)
    prove(graph, lowered)
    for output, have, again, want in zip(graph.outputs, graph.predict(x), lowered.predict(x), wanted, strict=True):
        np.testing.assert_array_equal(have, want, output.name)
        np.testing.assert_array_equal(again, have, output.name)
    return graph
