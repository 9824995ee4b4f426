# SPDX-License-Identifier: Apache-2.0
"""What the conformance tests share: random frames, several emitted designs in one binary, and the comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gatewright.design.cycles import simulate
from gatewright.design.feeds import feeds
from gatewright.design.structure import Structure, structure
from gatewright.emit import rtl
from gatewright.emit.files import FileSet
from gatewright.ir.graph import Graph, Node, flat_input, integer_output, single
from gatewright.ir.op import Op, as_int64
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.threshold import Threshold
from gatewright.ops.window import Window
from gatewright.sim.model import Group, MemoryPort, Model, Port, RunResult, Traffic
from gatewright.sim.verilator import compile_model

TOP = "side_by_side"
SIGNALS = ("tdata", "tvalid", "tready", "tlast")


def sample(tensor: Tensor, frames: int, rng: np.random.Generator) -> IntArray:
    """Frames (frames, *shape) of a tensor: all at its least value, all at its greatest, then uniform."""
    if tensor.encoding == "bipolar":
        x = rng.integers(0, 2, (frames, *tensor.shape)) * 2 - 1
    else:
        x = rng.integers(tensor.lo, tensor.hi + 1, (frames, *tensor.shape))
    x[:1], x[1:2] = tensor.lo, tensor.hi
    return np.asarray(x, np.int64)


def describe(op: Op) -> str:
    """An operator with its types and scalar fields, for messages."""
    types = ", ".join(map(str, op.inputs))
    fields = ", ".join(f"{k}={v}" for k, v in op.parameters().items() if not k.startswith(("in", "out")))
    return f"{op.name()}({types}; {fields})"


@dataclass(frozen=True, eq=False)
class Bench:
    """Emitted designs side by side: `e0_s_axis`, ... are the ports of the first, and so on.

    Attributes:
        graphs: what each design computes.
        designs: their units and FIFOs.
        groups: their ports.
        sources: SystemVerilog files in order of compilation.
        folder: where all files lie and simulations run.
    """

    graphs: tuple[Graph, ...]
    designs: tuple[Structure, ...]
    groups: tuple[Group, ...]
    sources: tuple[Path, ...]
    folder: Path

    def model(self) -> Model:
        """The compiled simulation."""
        return compile_model(self.sources, TOP, self.groups, folder=self.folder)

    def frames(self, cycles: int, least: int = 4, most: int = 200) -> list[int]:
        """Per design, frames that take about so many cycles."""
        steps = [max(u.schedule.steps for u in d.units) for d in self.designs]
        return [min(most, max(least, cycles // s)) for s in steps]

    def inputs(self, frames: Sequence[int], seed: int = 0) -> list[list[IntArray]]:
        """Random inputs of every design."""
        rng = np.random.default_rng(seed)
        return [[sample(i.tensor, n, rng) for i in g.inputs] for g, n in zip(self.graphs, frames, strict=True)]


def emit_bench(graphs: Sequence[Graph], folder: Path) -> Bench:
    """Emit every graph as a top level of its own, and one that holds them all."""
    named = tuple(labelled(g, f"e{i}") for i, g in enumerate(graphs))
    designs = tuple(structure(g) for g in named)
    files = FileSet()
    for design in designs:
        for path, text in rtl.emit(design):
            files.add(path, text)
    groups = tuple(group(d) for d in designs)
    files.add(f"{TOP}.sv", _top(designs, groups))
    files.write(folder)
    tops = [folder / f"{d.name}.sv" for d in designs]
    sources = (*sorted((folder / "kernels").glob("*.sv")), *tops, folder / f"{TOP}.sv")
    return Bench(named, designs, groups, sources, folder)


def labelled(graph: Graph, label: str) -> Graph:
    """The graph under another name, and its nodes with it: memory files are named after nodes."""
    nodes = tuple(replace(n, name=f"{label}_{n.name}") for n in graph.nodes)
    names = {n.name for n in graph.nodes}
    depths = {
        replace(e, consumer=f"{label}_{e.consumer}") if e.consumer in names else e: d for e, d in graph.depths.items()
    }
    return replace(graph, name=label, nodes=nodes, depths=depths)


def group(design: Structure) -> Group:
    ins, outs = rtl.top_ports(design)
    return Group(
        tuple(Port(f"{design.name}_{p}", s) for p, s in ins),
        tuple(Port(f"{design.name}_{p}", s) for p, s in outs),
        tuple(MemoryPort(f"{design.name}_{f.prefix}", f.stream, f.content, f.passes) for f in feeds(design)),
    )


def _top(designs: Sequence[Structure], groups: Sequence[Group]) -> str:
    ports, bodies = ["input wire clk", "input wire rst_n"], []
    for design, group in zip(designs, groups, strict=True):
        pins = [".clk(clk)", ".rst_n(rst_n)"]
        for port in group.ports:
            forth, back = ("input", "output") if port in group.driven else ("output", "input")
            name = port.prefix.removeprefix(f"{design.name}_")
            ports.append(f"{forth} wire [{port.stream.padded_width - 1}:0] {port.prefix}_tdata")
            ports += [f"{forth} wire {port.prefix}_tvalid", f"{back} wire {port.prefix}_tready"]
            ports.append(f"{forth} wire {port.prefix}_tlast")
            pins += [f".{name}_{s}({port.prefix}_{s})" for s in SIGNALS]
        bodies.append(f"  {design.name} i_{design.name} ({', '.join(pins)});")
    return "\n".join([f"module {TOP} (", "  " + ",\n  ".join(ports), ");", *bodies, "endmodule", ""])


# --- comparisons ------------------------------------------------------------------------------------------------------


def check_values(bench: Bench, model: Model, frames: Sequence[int], traffic: Traffic) -> list[RunResult]:
    """Run random frames through all designs; every integer must equal the reference."""
    inputs = bench.inputs(frames, traffic.seed)
    results = model.run_groups([[x.reshape(len(x), -1) for x in xs] for xs in inputs], traffic)
    for graph, xs, result in zip(bench.graphs, inputs, results, strict=True):
        message = f"{', '.join(describe(n.op) for n in graph.nodes)} under {traffic}"
        values = graph.run(*xs)
        for have, want in zip(result.outputs, (values[t] for t in graph.leaving), strict=True):
            np.testing.assert_array_equal(have, want.reshape(len(want), -1), message)
    return results


def check_cycles(bench: Bench, results: Sequence[RunResult]) -> None:
    """A run at full speed: the start of every frame and every output beat in the very cycle of the cycle model."""
    for graph, design, result in zip(bench.graphs, bench.designs, results, strict=True):
        message = ", ".join(describe(n.op) for n in graph.nodes)
        frames = len(result.outputs[0])
        timing = simulate(design, frames)
        ends = result.last_output_cycle
        latency, interval = ends[0] - result.first_input_cycle[0], ends[-1] - ends[-2]
        assert (latency, interval) == (timing.latency, timing.interval), message
        for port, starts in zip(result.in_ports, timing.first_in, strict=True):
            np.testing.assert_array_equal(port.cycles[:, 0], starts, f"first beats into {message}")
        for port, beats in zip(result.out_ports, beat_cycles(design, frames), strict=True):
            np.testing.assert_array_equal(port.cycles, beats, f"beats out of {message}")


def beat_cycles(design: Structure, frames: int) -> list[IntArray]:
    """Cycle of every output beat in the cycle model, int64 of shape (frames, beats) per output.

    The model notes only where frames end; so every beat is made a frame of its own.
    """
    most = frames * max(s.beats for s in design.outputs)
    single_beats = replace(design, outputs=tuple(replace(s, beats=1) for s in design.outputs))
    last_out = simulate(single_beats, most).last_out
    counts = [frames * s.beats for s in design.outputs]
    return [row[:n].reshape(frames, -1) for row, n in zip(last_out, counts, strict=True)]


# --- networks ---------------------------------------------------------------------------------------------------------


def singles(ops: Sequence[Op]) -> list[Graph]:
    """A graph per operator."""
    return [single(op) for op in ops]


def identity(tensor: Tensor, pe: int) -> Op:
    """A unit that passes its input on, `pe` lanes wide: the maximum of one tap."""
    return Maxpool(tensor, 1, pe)


def network(inputs: Mapping[str, Tensor], nodes: Sequence[tuple[str, Op, str]], outputs: Sequence[str]) -> Graph:
    """A graph from rows (name, operator, tensors that it reads); each writes a tensor of its own name."""
    made = tuple(Node(name, op, tuple(reads.split()), (name,)) for name, op, reads in nodes)
    types = dict(inputs) | {n.name: n.op.outputs[0] for n in made}
    leaves = tuple(replace(integer_output(f"{t}_out", types[t]), tensor=t) for t in outputs)
    return Graph("network", tuple(flat_input(n, t) for n, t in inputs.items()), made, leaves)


def residual_network(width: int = 6, deep: int = 1) -> Graph:
    """`deep` convolutions of 3x3 with thresholds behind them beside a skip, and their sum, all at one scale."""
    rng = np.random.default_rng(3)
    image = Tensor((width, width, 4), 0, 15)
    nodes: list[tuple[str, Op, str]] = []
    tensor, name = image, "image"
    for i in range(deep):
        window = Window(tensor, 3, 3, 1, 1, 1, 1, 1, 1, simd=2)
        dense = Dense(window.outputs[0], as_int64(rng.integers(-7, 8, (4, 36))), pe=2, simd=6)
        (sums,) = dense.outputs
        table = np.sort(rng.integers(sums.lo // 4, sums.hi // 4, (4, 15)), axis=1)
        threshold = Threshold(sums, as_int64(table), as_int64([0, 1, 0, 0]), 0, 15, pe=1)
        nodes += [(f"window{i}", window, name), (f"dense{i}", dense, f"window{i}")]
        nodes += [(f"threshold{i}", threshold, f"dense{i}")]
        (tensor,), name = threshold.outputs, f"threshold{i}"
    nodes.append(("join", Add(tensor, image, 2), f"{name} image"))
    return network({"image": image}, nodes, ["join"])
