# SPDX-License-Identifier: Apache-2.0
"""A small model, built twice: imported and run as integers, and run by onnxruntime; both must agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from tests.models import Builder

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
    model = b.model(make(b)).SerializeToString()
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


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
