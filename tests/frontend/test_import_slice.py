# SPDX-License-Identifier: Apache-2.0
"""`Slice`, `Split` and `Gather` of activations: golden equals onnxruntime, whatever the axes and the layouts."""

from __future__ import annotations

import numpy as np
import pytest
from tests.frontend.agreement import Make, agree, imported, operators
from tests.models import Builder

from gatewright.errors import UnsupportedError

LAST = (1 << 63) - 1


def features(b: Builder, channels: int = 6) -> str:
    """Quantised features of the image."""
    weight = np.random.default_rng(1).integers(-7, 8, (channels, b.shape[0], 3, 3))
    return b.quant(b.node("Conv", b.quant("x", 0.25, 4), b.weight(weight, 0.125), pads=[1, 1, 1, 1]), 0.5, 4)


def conv(b: Builder, x: str, inputs: int) -> str:
    return b.node("Conv", x, b.weight(np.random.default_rng(2).integers(-7, 8, (3, inputs, 2, 2)), 0.0625))


def cut(b: Builder, x: str, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> str:
    return b.node("Slice", x, *(b.constant(v, np.int64) for v in (starts, ends, axes, steps)))


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps", "channels"),
    [
        ([2], [4], [1], [1], 2),
        ([-3], [LAST], [1], [1], 3),
        ([1, 0], [LAST, -1], [2, 3], [1, 1], 6),
        ([1], [6], [-3], [2], 3),
        ([0, 1], [7, 5], [2, -1], [3, 2], 6),
        ([0, 0, 1, 1], [LAST, 4, 6, 4], [0, 1, 2, 3], [1, 1, 1, 1], 4),
        ([-1], [-LAST], [2], [-1], 6),
        ([4, 5], [0, -LAST], [1, 3], [-2, -1], 2),
        ([0], [LAST], [1], [1], 6),
        ([-100], [100], [2], [1], 6),
    ],
)
def test_slices_of_an_image(
    starts: list[int], ends: list[int], axes: list[int], steps: list[int], channels: int
) -> None:
    def make(b: Builder) -> str:
        return conv(b, cut(b, features(b), starts, ends, axes, steps), channels)

    graph = agree(make, (2, 7, 6))
    assert operators(graph).count("slice") == (0 if channels == 6 and (ends[0] == 100 or ends == [LAST]) else 1) - (
        steps == [-1]
    )


def test_attributes_of_old_models() -> None:
    """Up to opset 9 starts and ends are attributes."""

    def make(b: Builder) -> str:
        return conv(b, b.node("Slice", features(b), starts=[1, -5], ends=[3, 100], axes=[1, 2]), 2)

    agree(make, (2, 7, 6), opset=9)


def test_the_whole_of_a_fixed_batch() -> None:
    def make(b: Builder) -> str:
        return conv(b, cut(b, features(b), [0, 1], [4, 4], [0, 1], [1, 1]), 3)

    agree(make, (2, 7, 6), batch=4)
    with pytest.raises(UnsupportedError, match="slice_1: Slice along axis=0 .*: use axes 1 to 3"):
        imported(make, (2, 7, 6), batch=5)


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("form", ["equal", "input", "attribute", "unused"])
def test_split_and_joined_in_another_order(axis: int, form: str) -> None:
    sizes = [2, 2, 2] if form in ("equal", "unused") else [1, 3, 2]

    def make(b: Builder) -> str:
        # A part that nobody reads may have no name; onnxruntime then ends in a segmentation fault.
        x, parts = features(b), ["first", "" if form == "unused" and not b.expand else "middle", "last"]
        given = [b.constant(sizes, np.int64)] if form == "input" else []
        old = {"split": sizes} if form == "attribute" else {}
        b.node("Split", x, *given, axis=axis, outputs=parts, **old)
        joined = b.node("Concat", *(["last", "first"] if form == "unused" else ["last", "middle", "first"]), axis=axis)
        return conv(b, joined, 4 if form == "unused" and axis == 1 else 6)

    graph = agree(make, (2, 6, 6), opset=12 if form == "attribute" else 17)
    assert operators(graph).count("slice") == (2 if form == "unused" else 3)


def test_an_uneven_split_by_the_number_of_outputs() -> None:
    """Opset 18: the last part is the smaller one."""

    def make(b: Builder) -> str:
        parts = ["a", "b", "c"]
        b.node("Split", features(b, 7), axis=1, num_outputs=3, outputs=parts)
        return conv(b, "c", 1)

    agree(make, (2, 4, 4), opset=18)


@pytest.mark.parametrize(
    ("axis", "indices", "moves"),
    [
        (1, [0, 1, 2], "slice"),
        (1, [4, 2, 0], "slice reshape"),
        (1, [5, 3, 1, 0, 2, 4], "reshape"),
        (2, [[1, 2], [4, 3]], "slice reshape"),
        (3, [-1], "slice"),
        (-1, 2, "slice"),
    ],
)
def test_gather_by_constants(axis: int, indices: list[int], moves: str) -> None:
    """Positions of one distance are a slice, in another order a view of it."""

    def make(b: Builder) -> str:
        y = b.node("Gather", features(b), b.constant(indices, np.int64), axis=axis)
        if np.ndim(indices) != 1:
            shape = [0, 6, -1, 4 if np.ndim(indices) else 7]
            y = b.node("Reshape", y, b.constant(shape, np.int64))
        if np.ndim(indices) == 1 and axis == 3:
            return b.node("Conv", y, b.weight(np.ones((1, 6, 1, 1)), 0.5))
        return b.node("Conv", y, b.weight(np.ones((1, len(indices) if axis == 1 else 6, 1, 1)), 0.5))

    def wanted(ops: list[str]) -> str:
        return " ".join(o for o in ops if o in ("slice", "reshape"))

    assert wanted(operators(agree(make, (2, 7, 4)))) == moves


def test_float_steps_per_channel_are_cut_along() -> None:
    """A batch norm, a bias and scales per channel stand between the accumulators and the slice."""

    def make(b: Builder) -> str:
        rng = np.random.default_rng(3)
        scale = np.float32(2.0 ** rng.integers(-4, 0, (6, 1, 1, 1)))
        weight = b.weight(rng.integers(-7, 8, (6, 2, 1, 1)), scale)
        y = b.node("Conv", b.quant("x", 0.25, 4), weight, b.constant(rng.integers(-4, 5, 6)))
        y = b.batch_norm(y, [1, -1, 0.5, 2, 1, 4], np.arange(6), np.zeros(6), np.ones(6), epsilon=0.0)
        y = b.quant(b.node("Relu", cut(b, y, [1], [6], [1], [2])), 0.25, 6)
        return b.node("Conv", y, b.weight(np.ones((2, 3, 1, 1)), 1.0))

    graph = agree(make, (2, 4, 4))
    (op,) = [n.op for n in graph.nodes if n.op.name() == "slice"]
    assert isinstance(op.outputs[0].scale, tuple) and len(op.outputs[0].scale) == 3


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2]])
def test_a_transposed_frame_is_cut_where_it_lies(perm: list[int]) -> None:
    def make(b: Builder) -> str:
        y = cut(b, b.node("Transpose", features(b), perm=perm), [1, 0], [4, 2], [1, 3], [1, 1])
        return b.node("Conv", b.node("Transpose", y, perm=np.argsort(perm).tolist()), weight_for(b, perm))

    def weight_for(b: Builder, perm: list[int]) -> str:
        kept = {1: 3, 2: 6, 3: 2}  # of each axis of the transposed frame
        return b.weight(np.ones((1, kept[perm.index(1)], 1, 1)), 0.5)

    assert "reshape" not in operators(agree(make, (2, 6, 6)))


def test_part_of_a_flattened_image() -> None:
    """Whole channels of a flattened image are a box where it lies; other stretches are moved first."""

    def make(b: Builder, start: int, end: int) -> str:
        y = cut(b, b.node("Flatten", features(b)), [start], [end], [1], [1])
        return b.node("MatMul", y, b.weight(np.random.default_rng(4).integers(-7, 8, (end - start, 3)), 0.5))

    assert "reshape" not in operators(agree(lambda b: make(b, 32, 80), (2, 4, 4)))
    assert "reshape" in operators(agree(lambda b: make(b, 5, 70), (2, 4, 4)))


REFUSED: list[tuple[str, Make, str]] = [
    (
        "float input",
        lambda b: cut(b, "x", [0], [1], [1], [1]),
        r"slice_1: Slice reads the float input 'x': put a quantiser on the model's input",
    ),
    (
        "batch",
        lambda b: cut(b, features(b), [1], [2], [0], [1]),
        r"slice_1: Slice along axis=0 of a batch of 3-axis frames has no hardware: use axes 1 to 3",
    ),
    (
        "axis twice",
        lambda b: cut(b, features(b), [0, 1], [2, 3], [1, -3], [1, 1]),
        r"slice_1: Slice along axes=\[1, -3\] names an axis twice: the file is damaged",
    ),
    (
        "nothing",
        lambda b: cut(b, features(b), [3], [3], [1], [1]),
        r"slice_1: Slice keeps nothing of axis 1 of a frame \(6, 4, 4\)",
    ),
    ("step", lambda b: cut(b, features(b), [0], [3], [1], [0]), r"slice_1: Slice with a step of 0: steps are at least"),
    (
        "twice",
        lambda b: b.node("Gather", features(b), b.constant([1, 1, 2], np.int64), axis=1),
        r"gather_1: Gather repeats positions of axis 1, \[1, 1, 2\]: elements are taken once each; use Resize",
    ),
    (
        "no stretch",
        lambda b: b.node("Gather", features(b), b.constant([0, 1, 3], np.int64), axis=1),
        r"gather_1: Gather of a frame \(6, 4, 4\) keeps other elements than every n-th .*: take the parts by several",
    ),
    (
        "outside",
        lambda b: b.node("Gather", features(b), b.constant([6], np.int64), axis=1),
        r"gather_1: Gather of positions 6..6 of axis 1 of a frame \(6, 4, 4\)",
    ),
    (
        "sizes",
        lambda b: b.node("Split", features(b), b.constant([2, 3], np.int64), axis=1, outputs=["a", "b"]),
        r"split_1: Split of axis 1 of a frame \(6, 4, 4\) into \[2, 3\] for 2 outputs: the parts must be .* together 6",
    ),
]


@pytest.mark.parametrize(("make", "message"), [pytest.param(m, t, id=i) for i, m, t in REFUSED])
def test_what_has_no_hardware_is_refused(make: Make, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        imported(make, (2, 4, 4))


@pytest.mark.parametrize("kind", ["Slice", "Split", "Gather"])
def test_raw_codes_of_an_onnx_quantiser_stay_codes(kind: str) -> None:
    """Between QuantizeLinear and DequantizeLinear, with a zero point."""

    def make(b: Builder) -> str:
        scale, zero = b.constant(0.25), b.constant(3, np.int8)
        codes = b.node("QuantizeLinear", "x", scale, zero)
        if kind == "Slice":
            part = cut(b, codes, [1, 0], [3, 4], [1, 2], [1, 1])
        elif kind == "Split":
            part = b.node("Split", codes, b.constant([1, 2], np.int64), axis=1, outputs=["rest", "part"])
            part = "part"
        else:
            part = b.node("Gather", codes, b.constant([2, 1], np.int64), axis=1)
        y = b.node("DequantizeLinear", part, scale, zero)
        return b.node("Conv", y, b.weight(np.random.default_rng(3).integers(-7, 8, (3, 2, 2, 2)), 0.125))

    assert "slice" in operators(agree(make, (3, 5, 4)))


def drawn(b: Builder, x: str, shape: list[int], rng: np.random.Generator) -> tuple[str, list[int]]:
    """One node that moves or cuts, and the shape of the frame behind it."""
    kind, axis = rng.integers(5), int(rng.integers(len(shape)))
    if kind == 0 and len(shape) > 1:
        perm = rng.permutation(len(shape))
        return b.node("Transpose", x, perm=[0, *(1 + perm).tolist()]), [shape[i] for i in perm]
    if kind == 1:
        parts = shape if rng.random() < 0.5 else [int(np.prod(shape))]
        even = next((i for i, n in enumerate(parts) if n % 2 == 0), None)
        if even is not None:
            parts = [*parts[:even], 2, parts[even] // 2, *parts[even + 1 :]]
        return b.node("Reshape", x, b.constant([0, *parts], np.int64)), list(parts)
    size = shape[axis]
    if size < 2:
        return x, shape
    if kind == 2:
        step = int(rng.choice([1, 1, 2, -1, -2]))
        start, stop = sorted(rng.choice(size + 1, 2, replace=False).tolist())
        if step < 0:
            start, stop = stop - 1, start - 1 if start else -LAST
        kept = len(range(size)[slice(start, None if stop == -LAST else stop, step)])
        return cut(b, x, [start], [stop], [axis + 1], [step]), [*shape[:axis], kept, *shape[axis + 1 :]]
    if kind == 3:
        count = int(rng.integers(1, size + 1))
        first = int(rng.integers(0, size - count + 1))
        indices = first + rng.permutation(count)
        y = b.node("Gather", x, b.constant(indices, np.int64), axis=axis + 1)
        return y, [*shape[:axis], count, *shape[axis + 1 :]]
    first = int(rng.integers(1, size))
    parts = [b.fresh("part"), b.fresh("part")]
    b.node("Split", x, b.constant([first, size - first], np.int64), axis=axis + 1, outputs=parts)
    keep = int(rng.integers(2))
    return parts[keep], [*shape[:axis], (first, size - first)[keep], *shape[axis + 1 :]]


@pytest.mark.parametrize("seed", range(60))
def test_random_views_and_cuts(seed: int) -> None:
    """Whatever was renumbered before it, a cut takes what ONNX says; so does a layer behind many of them."""

    def make(b: Builder) -> str:
        rng = np.random.default_rng(seed)
        x, shape = features(b), [6, 6, 4]
        for _ in range(6):
            x, shape = drawn(b, x, shape, rng)
        weight = rng.integers(-7, 8, (int(np.prod(shape)), 3))
        return b.node("MatMul", b.node("Flatten", x), b.weight(weight, 0.5))

    agree(make, (2, 6, 4), seed)
