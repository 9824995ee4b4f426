# SPDX-License-Identifier: Apache-2.0
"""Networks that take tensors apart and put them together: splits behind forks, transposed convolutions, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatewright.design.fifos import size_fifos
from gatewright.ir.graph import Graph, chain
from gatewright.ir.op import Op, as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.argmax import Argmax
from gatewright.ops.concat import Concat
from gatewright.ops.conv_transpose2d import ConvTranspose2d
from gatewright.ops.slice import Slice
from gatewright.passes.lower import lower
from gatewright.sim.model import Traffic

from .support import check_cycles, check_values, emit_bench, network


def folded(graph: Graph, seed: int) -> Graph:
    """The lowered graph under a folding drawn from the legal ones, with FIFOs that keep its rate."""
    rng = np.random.default_rng(seed)
    graph = lower(graph)

    def drawn(op: Op) -> Mapping[str, int]:
        return {name: int(rng.choice(values)) for name, values in op.foldings().items()}

    ops = {n.name: replace(n.op, **drawn(n.op)) for n in graph.nodes}  # type: ignore[type-var]
    return size_fifos(graph.with_ops(ops))


def split_and_joined(axis: int) -> Graph:
    """Three parts of an image, joined in the opposite order: the last part comes first and the first one waits."""
    image = Tensor((4, 6, 8), -8, 7)
    nodes: list[tuple[str, Op, str]] = []
    ends = (2, 3, image.shape[axis])
    for i, (a, b) in enumerate(zip((0, *ends[:-1]), ends, strict=True)):
        start, stop = ([0] * 3, list(image.shape))
        start[axis], stop[axis] = a, b
        nodes.append((f"part{i}", Slice(image, tuple(start), tuple(stop), (1, 1, 1)), "image"))
    parts = [op.outputs[0] for _, op, _ in nodes]
    first = Concat(parts[2], parts[1], axis)
    nodes += [("tail", first, "part2 part1"), ("joined", Concat(first.outputs[0], parts[0], axis), "tail part0")]
    return network({"image": image}, nodes, ["joined"])


def decoder(seed: int, *geometry: int) -> Graph:
    """A transposed convolution, and a label for every pixel of what it gives."""
    rng = np.random.default_rng(seed)
    weight = as_int64(rng.integers(-7, 8, (4, 3, 3, 5)))
    up = ConvTranspose2d(Tensor((3, 4, 4), 0, 15), weight, *geometry[:2], (1.0,), *geometry[2:])
    return chain([up, Argmax(up.outputs[0])])


def check(graphs: Sequence[Graph], folder: Path) -> None:
    """All in one binary: at full speed in the predicted cycles, under stalls, and after resets."""
    bench = emit_bench([folded(g, i) for i, g in enumerate(graphs)], folder)
    model = bench.model()
    frames = [12] * len(graphs)
    check_cycles(bench, check_values(bench, model, frames, Traffic()))
    check_values(bench, model, frames, Traffic(in_stall=0.3, out_stall=0.5, burst=6, seed=1))
    check_values(bench, model, frames, Traffic(in_stall=0.6, out_stall=0.1, seed=2, reset_at=(29, 260)))


def test_values_and_cycles(tmp_path: Path) -> None:
    graphs = [split_and_joined(axis) for axis in range(3)]
    graphs += [decoder(0, 6, 8, 2, 2, 1, 1), decoder(1, 7, 9, 2, 2), decoder(2, 10, 8, 3, 2, 0, 1)]
    check(graphs, tmp_path)


@pytest.mark.slow
def test_every_example_of_a_transposed_convolution(tmp_path: Path) -> None:
    check([chain([op]) for op in ConvTranspose2d.examples()], tmp_path)
