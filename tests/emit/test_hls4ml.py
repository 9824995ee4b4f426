# SPDX-License-Identifier: Apache-2.0
"""hls4ml's projects: bit-exact in its C simulation, types are the proven ones, refusals are by name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gatewright.emit.files import FileSet
from gatewright.emit.hls4ml import Plan, emit, plan, reuse_factor
from gatewright.errors import ConfigError, MissingToolError, SimulationError, UnsupportedError
from gatewright.ir.graph import Graph, Node, chain, flat_input, integer_output, single
from gatewright.ir.hls4ml import Limits
from gatewright.ir.op import Op, as_int64, discover
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.add import Add
from gatewright.ops.argmax import Argmax
from gatewright.ops.avgpool import Avgpool
from gatewright.ops.concat import Concat
from gatewright.ops.conv2d import Conv2d
from gatewright.ops.dense import Dense
from gatewright.ops.global_avgpool import GlobalAvgpool
from gatewright.ops.lut import Lut
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.requant import Requant
from gatewright.ops.reshape import Reshape
from gatewright.ops.slice import Slice
from gatewright.ops.threshold import Threshold
from gatewright.ops.upsample import Upsample
from gatewright.ops.window import Window
from gatewright.passes.lower import lower
from gatewright.sim.hls4ml import compile_project

Maker = Callable[[Tensor], Op]
PART, CLOCK_NS = "xc7z020clg400-1", 10.0
RNG = np.random.default_rng(0)


def integers(lo: int, hi: int, *shape: int) -> IntArray:
    return as_int64(RNG.integers(lo, hi + 1, shape))


def frames_of(graph: Graph, count: int = 40) -> tuple[IntArray, ...]:
    """Random frames within the inputs' limits, the first two at either limit."""
    rng, xs = np.random.default_rng(1), []
    for item in graph.inputs:
        t = item.tensor
        x = rng.integers(t.lo, t.hi + 1, (count, *t.shape))
        x[:2] = np.array([t.lo, t.hi]).reshape(2, *(1 for _ in t.shape))
        xs.append(as_int64(np.where(x > 0, 1, -1) if t.encoding == "bipolar" else x))
    return tuple(xs)


def simulate(design: Plan, xs: tuple[IntArray, ...], files: FileSet | None = None) -> dict[str, IntArray]:
    return compile_project(design, files or emit(design, PART, CLOCK_NS)).run(xs)


def wrong_frames(graph: Graph, *, varied: bool = True) -> int:
    """Frames in which hls4ml's simulation differs from the reference in any integer of any output.

    Args:
        varied: whether most frames must have outputs of their own.
    """
    lowered, xs = lower(graph), frames_of(graph)
    have, wrong = simulate(plan(lowered), xs), np.zeros(len(xs[0]), np.bool_)
    for before, after, want in zip(graph.outputs, lowered.outputs, graph.reference(*xs), strict=True):
        assert before.name == after.name
        assert not varied or len(np.unique(want, axis=0)) > len(want) // 2, "frames alike tell nothing"
        wrong |= (have[after.tensor] != want.reshape(len(want), -1)).any(axis=1)
    return int(wrong.sum())


def steps(source: Tensor, count: int = 15, lo: int = 0) -> Threshold:
    """Random thresholds where sums mostly lie, every third channel falling."""
    c, centre, reach = source.channels, (source.lo + source.hi) // 2, (source.hi - source.lo) // 8 + 1
    table = np.sort(integers(centre - reach, centre + reach, c, count), axis=1)
    return Threshold(source, as_int64(table), as_int64(np.arange(c) % 3 == 1), lo, lo + count)


def behind(source: Tensor, *makers: Maker) -> list[Op]:
    """Operators one after another, each made from what the one before gives."""
    ops: list[Op] = []
    for make in makers:
        ops.append(make(source))
        (source,) = ops[-1].outputs
    return ops


def dense(rows: int, bits: int = 4) -> Maker:
    limit = (1 << bits - 1) - 1
    return lambda t: Dense(t, integers(-limit, limit, rows, t.channels))


def conv(filters: int, kernel: int, *geometry: int) -> Maker:
    return lambda t: Conv2d(t, integers(-7, 7, filters, kernel, kernel, t.channels), (1.0,), *geometry)


def halved(lo: int, hi: int) -> Maker:
    """A requant by halves: every second input is a tie."""

    def make(t: Tensor) -> Requant:
        return Requant(t, as_int64(np.ones(t.channels)), as_int64(np.arange(t.channels) - 1), 1, lo, hi)

    return make


def joined() -> Graph:
    """A fork whose branches meet in a sum and in a concatenation; both leave, and so does what is forked."""
    x = Tensor((6, 6, 4), 0, 15)
    half = steps(x, 7)
    wide = Conv2d(half.outputs[0], integers(-3, 3, 4, 3, 3, 4), (1.0,), 1, 1, 1, 1, 1, 1)
    back = steps(wide.outputs[0], 15, -8)
    total, pair = Add(half.outputs[0], back.outputs[0]), Concat(half.outputs[0], back.outputs[0], 2)
    nodes = (
        Node("half", half, ("x",), ("h",)),
        Node("wide", wide, ("h",), ("w",)),
        Node("back", back, ("w",), ("b",)),
        Node("total", total, ("h", "b"), ("t",)),
        Node("pair", pair, ("h", "b"), ("p",)),
    )
    outputs = tuple(integer_output(n.outputs[0], n.op.outputs[0]) for n in (nodes[0], *nodes[3:]))
    return Graph("joined", (flat_input("x", x),), nodes, outputs)


def two_inputs() -> Graph:
    """Vectors of two inputs, one of which is read twice."""
    a, b = Tensor((6,), -8, 7), Tensor((6,), 0, 200)
    total = Add(a, b)
    both = Concat(total.outputs[0], Tensor((6,), 0, 200), 0)
    nodes = (Node("total", total, ("a", "b"), ("t",)), Node("both", both, ("t", "b"), ("c",)))
    return Graph("two", (flat_input("a", a), flat_input("b", b)), nodes, (integer_output("c", both.outputs[0]),))


def pooled(pool: type[Maxpool] | type[Avgpool]) -> Maker:
    return lambda t: pool(t, 4)


NETWORKS: dict[str, Sequence[Op]] = {
    "vectors": behind(Tensor((16,), -32, 31), dense(12, 6), steps, dense(5, 6)),
    "normalized": behind(Tensor((9,), -8, 7), dense(8), halved(-128, 127), dense(3)),
    "normalized_saturating": behind(Tensor((3, 9), -8, 7), dense(8), halved(0, 31), halved(-16, 15)),
    "limited_otherwise": behind(Tensor((9,), -8, 7), dense(8), halved(-20, 50), dense(3)),
    "wide_requant": behind(
        Tensor((2, 3, 6), -100000, 100000),
        lambda t: Requant(t, integers(-(1 << 35), 1 << 35, 6), integers(-(1 << 50), 1 << 50, 6), 44, -128, 127),
        lambda t: Requant(t, integers(1 << 51, 1 << 52, 6), integers(-(1 << 58), 1 << 58, 6), 52, -128, 127),
        lambda t: Requant(t, as_int64(np.full(6, 4)), as_int64(np.zeros(6)), 2, -64, 63),
    ),
    "image": behind(
        Tensor((8, 8, 3), 0, 15),
        conv(6, 3, 1, 1, 1, 1, 1, 1),
        steps,
        lambda t: Window(t, 2, 2, 2, 2),
        pooled(Maxpool),
        conv(5, 3, 1, 1),
        lambda t: steps(t, 7, -2),
        lambda t: Reshape(t, (t.size,)),
        dense(4),
    ),
    "row": behind(
        Tensor((12, 3), -8, 7),
        lambda t: Conv2d(t, integers(-7, 7, 4, 1, 3, 3), (1.0,), 1, 2, 0, 1, 0, 0),
        steps,
        lambda t: Dense(t, integers(-3, 3, 5, 4)),
    ),
    "groups": behind(
        Tensor((6, 6, 4), 0, 15),
        lambda t: Conv2d(t, integers(-7, 7, 8, 3, 3, 1), (1.0,), 1, 1, 1, 1, 1, 1, groups=4),
        steps,
        lambda t: Conv2d(t, integers(-7, 7, 6, 2, 2, 4), (1.0,), groups=2),
        steps,
        lambda t: Window(t, 2, 2, 2, 2),
        pooled(Avgpool),
        GlobalAvgpool,
    ),
    "tables_and_moves": behind(
        Tensor((4, 4, 2), -1, 1, 1.0, "bipolar"),
        lambda t: Dense(t, as_int64(np.sign(integers(0, 1, 6, 2) - 0.5))),
        lambda t: Lut(t, integers(-9, 9, 6, t.hi - t.lo + 1)),
        lambda t: Upsample(t, 2, 3),
        lambda t: Slice(t, (1, 0, 2), (8, 12, 6), (2, 1, 1)),
        lambda t: Reshape(t, (t.size // 8, 8), as_int64(np.random.default_rng(3).permutation(t.size))),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_small_networks_are_bit_exact(name: str) -> None:
    assert wrong_frames(chain(NETWORKS[name], name)) == 0


@pytest.mark.parametrize(
    ("name", "normalized", "own"),
    [
        ("normalized", 1, []),
        ("normalized_saturating", 2, []),
        ("limited_otherwise", 0, ["requant"]),
        ("wide_requant", 1, ["requant"] * 2),
    ],
)
def test_which_multiplications_are_batch_normalizations(name: str, normalized: int, own: list[str]) -> None:
    """Those whose limits are the type's, whose offsets a double holds, and which hls4ml would not leave out."""
    layers = [p.layer for p in plan(chain(NETWORKS[name])).layers]
    assert [x.function for x in layers if x.function] == own
    assert sum(x.kind == "BatchNormalization" for x in layers) == normalized


@pytest.mark.parametrize("graph", [joined(), two_inputs()], ids=lambda g: g.name)
def test_forks_and_joins_are_bit_exact(graph: Graph) -> None:
    assert wrong_frames(graph) == 0


def test_a_new_operator_brings_its_own_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the package knows of it, and nothing is left when its folder goes."""
    folder = shutil.copytree(Path(__file__).parents[1] / "conformance" / "extension", tmp_path / "extension")
    with monkeypatch.context() as patch:
        patch.setenv("GATEWRIGHT_PATH", str(folder))
        graph = single(discover()["absolute"](Tensor((9, 2), -20, 20)))  # type: ignore[call-arg]  # a dataclass
        assert wrong_frames(graph) == 0
        (folder / "hls" / "hls4ml" / "absolute.h").unlink()
        with pytest.raises(ConfigError, match=r"no header hls/hls4ml/absolute\.h: write it beside ops/"):
            emit(plan(graph), PART, CLOCK_NS)
    shutil.rmtree(folder)
    emit(plan(chain(NETWORKS["vectors"], "vectors")), PART, CLOCK_NS)


@pytest.mark.slow
@pytest.mark.parametrize("operator", sorted(discover()))
def test_every_example_of_every_operator(operator: str) -> None:
    """Bit-exact or refused by name; what needs a window in front of it is refused alone."""
    exact = refused = 0
    for op in discover()[operator].examples():
        try:
            assert wrong_frames(single(op), varied=False) == 0, op
            exact += 1
        except UnsupportedError as error:
            assert "hls4ml" in str(error)
            refused += 1
    assert exact or operator in ("argmax", "avgpool", "window"), f"{refused} refused"


# --- types ------------------------------------------------------------------------------------------------------------


def test_types_are_those_of_the_proofs() -> None:
    ops = NETWORKS["vectors"]
    text = emit(plan(chain(ops, "types")), PART, CLOCK_NS).files["firmware/defines.h"]
    first, last = ops[0], ops[2]
    assert isinstance(first, Dense) and isinstance(last, Dense)
    assert "typedef ap_fixed<6,6> input_t;" in text
    for layer, op in (("l1_dense", first), ("l3_dense", last)):
        assert f"typedef ap_fixed<{op.acc_bits},{op.acc_bits}> {layer}_accum_t;" in text
        assert f"typedef ap_fixed<6,6> {layer}_weight_t;" in text
    assert "typedef ap_ufixed<4,4> layer3_t;" in text


def test_reuse_is_what_hls4ml_takes_for_valid() -> None:
    backend = pytest.importorskip("hls4ml").backends.get_backend("Vitis")
    for inputs, outputs in ((1, 1), (6, 4), (12, 5), (9, 12), (27, 6), (7, 7)):
        valid = backend.get_valid_reuse_factors(inputs, outputs)
        for wanted in range(1, inputs * outputs + 1):
            assert reuse_factor(inputs, outputs, wanted) == max(n for n in valid if n <= wanted)


def narrower(design: Plan) -> Plan:
    """The plan with one bit less in the only accumulator."""
    placed = []
    for p in design.layers:
        limits = p.layer.accumulator
        if limits is not None:
            p = replace(p, layer=replace(p.layer, accumulator=Limits(limits.lo // 2, limits.hi // 2)))
        placed.append(p)
    return replace(design, layers=tuple(placed))


def test_an_accumulator_that_is_one_bit_narrower_wraps_at_the_proven_bound() -> None:
    """The proof is tight: the witness of the bound needs every bit, and hls4ml's own sums show it."""
    op = Dense(Tensor((16,), -32, 31), integers(-31, 31, 4, 16))
    graph, ends = single(op), op.bounds()[0]
    row = int(np.argmax(ends.hi))
    witness = as_int64(np.where(op.weight[row] > 0, 31, -32))[None]
    (want,) = graph.reference(witness)
    assert want[0, row] == ends.hi[row] == op.outputs[0].hi
    design = plan(graph)
    (tensor,) = design.outputs
    assert (simulate(design, (witness,))[tensor] == want).all()
    assert simulate(narrower(design), (witness,))[tensor][0, row] != want[0, row]


def test_a_threshold_off_by_one_is_seen() -> None:
    ops = behind(Tensor((4,), -8, 7), dense(3), lambda t: steps(t, 15))
    threshold = ops[1]
    assert isinstance(threshold, Threshold)
    moved = replace(threshold, thresholds=as_int64(threshold.thresholds + 1))
    graph, design = chain(ops, "moved"), plan(chain([ops[0], moved], "moved"))
    xs = frames_of(graph, 400)
    (want,), (have,) = graph.reference(*xs), simulate(design, xs).values()
    assert (want != have).any()


def test_streams_that_run_dry_are_an_error() -> None:
    graph = single(steps(Tensor((3, 3, 2), 0, 9), 3))
    design = plan(graph)
    files = emit(design, PART, CLOCK_NS)
    top = f"firmware/{design.name}.cpp"
    broken = files.files[top].replace("insert layers\n", "insert layers\n    l0_input.read();\n")
    assert broken != files.files[top]
    with pytest.raises(SimulationError, match=r"the C simulation of 'top_hls4ml': .*stream.* is read while empty"):
        simulate(design, frames_of(graph), FileSet(files.files | {top: broken}))


# --- refusals ---------------------------------------------------------------------------------------------------------

IMAGE = Tensor((6, 6, 2), -8, 7)


@pytest.mark.parametrize(
    ("ops", "text"),
    [
        ([Argmax(Tensor((5,), -8, 7))], r"u0_argmax: hls4ml has no layer that computes 'argmax'"),
        ([Window(IMAGE, 3, 3, dilation_h=2)], r"u0_window: hls4ml has no windows with dilation"),
        ([Window(IMAGE, 2, 2, 2, 2, 1, 1, 1, 1, pad_value=-8)], r"u0_window: hls4ml pads with 0 only, not with -8"),
        ([Window(IMAGE, 2, 2)], r"y0: hls4ml has no layer that gives windows themselves"),
        (
            behind(IMAGE, lambda t: Window(t, 2, 2), pooled(Maxpool)),
            r"u1_maxpool: hls4ml's maximum over windows of \(2, 2\) pixels steps by as many, not by \(1, 1\)",
        ),
        (
            behind(IMAGE, lambda t: Window(t, 2, 2), lambda t: steps(t, 3)),
            r"u1_threshold: hls4ml has no layer that computes 'threshold' of windows",
        ),
        ([Avgpool(Tensor((2, 2, 8), 0, 1), 4)], r"u0_avgpool: hls4ml has no layer that computes 'avgpool'"),
        (
            behind(Tensor((2, 2, 2, 3), 0, 1), dense(2)),
            r"u0_dense: hls4ml has layers over images and rows, not over 2x2x2x3 uint1",
        ),
        (
            behind(Tensor((4,), -(1 << 40), 1 << 40), dense(2, 20)),
            r"u0_dense: its output of -\d+..\d+: hls4ml's simulation passes integers as doubles, .* less than 2\*\*53",
        ),
        ([], r"y0: it is an input as it came, and hls4ml has no project without layers"),
    ],
)
def test_refusals_name_the_node(ops: list[Op], text: str) -> None:
    graph = chain(ops) if ops else lower(chain([Reshape(IMAGE, (72,))]))
    with pytest.raises(UnsupportedError, match=text):
        plan(graph)


def test_more_readers_than_hls4ml_copies_a_stream_for() -> None:
    x, nodes = Tensor((3, 3, 2), -8, 7), []
    for i in range(8):
        nodes.append(Node(f"n{i}", steps(x, 3), ("x",), (f"t{i}",)))
    outputs = tuple(integer_output(n.outputs[0], n.op.outputs[0]) for n in nodes)
    with pytest.raises(UnsupportedError, match=r"x: hls4ml makes at most 7 copies of a stream, not 8"):
        plan(Graph("fan", (flat_input("x", x),), tuple(nodes), outputs))
    assert plan(Graph("fan", (flat_input("x", x),), tuple(nodes[:7]), outputs[:7])).streams


def test_hls4ml_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hls4ml.model", None)
    with pytest.raises(MissingToolError, match=r"hls4ml cannot be imported .*: pip install 'gatewright\[hls4ml\]'"):
        emit(plan(chain(NETWORKS["vectors"])), PART, CLOCK_NS)


def test_planning_and_everything_else_import_no_hls4ml() -> None:
    modules = ("emit.hls4ml", "sim.hls4ml", "verify.hls4ml", "ops.dense", "cli.app")
    code = f"import sys, {', '.join(f'gatewright.{m}' for m in modules)}\nassert 'hls4ml' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_graph_gives_one_project() -> None:
    design = plan(chain(NETWORKS["vectors"], "twice"))
    first, second = emit(design, PART, CLOCK_NS), emit(design, PART, CLOCK_NS)
    assert first.digest() == second.digest()
    assert f'set part "{PART}"' in first.files["project.tcl"] and "set clock_period 10.0" in first.files["project.tcl"]
    assert not any("/tmp" in text or "/gatewright-" in text for text in first.files.values())
