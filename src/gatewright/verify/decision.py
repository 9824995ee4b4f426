# SPDX-License-Identifier: Apache-2.0
"""Which class a network decides on: by scores, by the sign of one number, or by a label that it gives itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gatewright.ir.graph import Graph, GraphOutput
from gatewright.ir.host import ArgMax, TopK, Values
from gatewright.ir.types import IntArray


@dataclass(frozen=True)
class Decision:
    """The output that tells classes apart.

    Attributes:
        output: its place among the network's outputs.
        classes: how many it can name.
        labels: whether it holds labels, the best first; else scores, or one number.
        limit: one number above it means class 1, else class 0.
    """

    output: int = 0
    classes: int = 2
    labels: bool = False
    limit: float = 0.0

    def decide(self, outputs: Values) -> IntArray:
        """The class of each frame of that output: int64 of shape (frames,)."""
        flat = outputs.reshape(len(outputs), -1)
        if self.labels:
            return np.asarray(flat[:, 0], np.int64)
        return np.asarray(flat.argmax(axis=1) if flat.shape[1] > 1 else flat[:, 0] > self.limit, np.int64)

    def accuracy(self, outputs: Values, labels: IntArray | None) -> float | None:
        """Share of frames whose class is the label."""
        return None if labels is None else float((self.decide(outputs) == labels[: len(outputs)]).mean())


def decision(graph: Graph) -> Decision | None:
    """The first output that tells classes apart: a label, a vector of scores or one number; None where none does."""
    for place, output in enumerate(graph.outputs):
        found = _labels(graph, output) if _gives_labels(output) else _scores(graph, output)
        if found is not None:
            return Decision(place, *found)
    return None


def _gives_labels(output: GraphOutput) -> bool:
    last = next((s.function for s in reversed(output.host) if isinstance(s.function, (ArgMax, TopK))), None)
    return output.positions if last is None else isinstance(last, ArgMax) or last.positions


def _labels(graph: Graph, output: GraphOutput) -> tuple[int, bool] | None:
    """Classes of a label a frame, or of the best few."""
    shape, classes = output.frame, graph.tensors[output.tensor].hi + 1
    best = False
    for step in output.host:
        if isinstance(step.function, (ArgMax, TopK)):
            best, classes = isinstance(step.function, TopK), shape[step.function.axis - 1]
            if isinstance(step.function, ArgMax) and step.function.least:
                return None
        shape = step.shape
    several = sum(n > 1 for n in shape)
    return (classes, True) if several == 0 or (best and several == 1) else None


def _scores(graph: Graph, output: GraphOutput) -> tuple[int, bool, float] | None:
    """Classes of a vector of scores, or two and the limit between them of one number."""
    if sum(n > 1 for n in output.shape) > 1 or any(isinstance(s.function, TopK) for s in output.host):
        return None
    size = math.prod(output.shape)
    if size > 1:
        return size, False, 0.0
    tensor = graph.tensors[output.tensor]
    ends = np.broadcast_to(np.array([tensor.lo, tensor.hi]).reshape(2, *[1] * len(tensor.shape)), (2, *tensor.shape))
    reached = output.dequantize(np.ascontiguousarray(ends))
    # A number that stays between 0 and 1 is a probability.
    return 2, False, 0.5 if ((reached >= 0) & (reached <= 1)).all() else 0.0
