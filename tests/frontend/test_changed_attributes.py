# SPDX-License-Identifier: Apache-2.0
"""Cuts, transposed convolutions and labels with changed numbers: refused, or what onnxruntime computes."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper
from tests.frontend.agreement import Make, frames
from tests.frontend.test_import_argmax import per_pixel, scores
from tests.frontend.test_import_conv_transpose import layer
from tests.frontend.test_import_slice import conv, cut, features
from tests.models import Builder

from gatewright.errors import ModelError, UnsupportedError
from gatewright.frontend.importer import from_onnx

CHANGED = ("ArgMax", "ConvTranspose", "Gather", "Slice", "Split")
NUMBERS = (0, 1, -1, 2, -2, 3, -3, 4, 5, 6, 7, -7, 100, -100, (1 << 31) - 1, (1 << 63) - 1, -(1 << 63))


def split(b: Builder) -> str:
    b.node("Split", features(b), b.constant([2, 4], np.int64), axis=1, outputs=["first", "second"])
    return conv(b, "second", 4)


MODELS: list[tuple[tuple[int, ...], Make]] = [
    ((2, 7, 6), lambda b: conv(b, cut(b, features(b), [1, 0], [5, 6], [1, 2], [2, 1]), 2)),
    ((2, 6, 6), split),
    ((2, 6, 6), lambda b: conv(b, b.node("Gather", features(b), b.constant([3, 1], np.int64), axis=1), 2)),
    ((2, 4, 5), lambda b: layer(b, 4, (3, 3), strides=[2, 2], pads=[1] * 4, output_padding=[1, 0], group=2)),
    ((2, 4, 5), lambda b: layer(b, 3, (3, 2), strides=[2, 2], output_shape=[8, 9], auto_pad="SAME_UPPER")),
    ((4, 7), lambda b: layer(b, 4, (3,), strides=[3], pads=[1, 0])),
    ((6,), lambda b: b.node("ArgMax", scores(b), axis=1, keepdims=0, select_last_index=1)),
    ((2, 3, 5), lambda b: b.node("ArgMax", per_pixel(b), axis=2)),
]


def change(model: onnx.ModelProto, rng: random.Random) -> None:
    """One to three numbers of attributes and constants; the same ones in every form of a model."""
    nodes = [n for n in model.graph.node if n.op_type in CHANGED]
    constants = {c.name: c for c in model.graph.initializer if c.data_type == TensorProto.INT64}
    for _ in range(rng.randint(1, 3)):
        node, number, which, place = rng.choice(nodes), rng.choice(NUMBERS), rng.randrange(1000), rng.randrange(1000)
        operands = [constants[i] for i in node.input if i in constants]
        attributes = sorted(node.attribute, key=lambda a: a.name)
        if attributes and (rng.random() < 0.5 or not operands):
            attribute = attributes[which % len(attributes)]
            if attribute.ints:
                attribute.ints[place % len(attribute.ints)] = number
            elif attribute.type == onnx.AttributeProto.INT:
                attribute.i = number
            else:
                attribute.s = rng.choice([b"SAME_LOWER", b"SAME_UPPER", b"VALID", b"NOTSET"])
        elif operands:
            operand = operands[which % len(operands)]
            values = numpy_helper.to_array(operand).copy()
            values[place % values.size] = number
            operand.CopyFrom(numpy_helper.from_array(values, operand.name))


def verdict(seed: int) -> str:
    """What becomes of one changed model; fails where it is neither refused nor right."""
    shape, make = MODELS[seed % len(MODELS)]
    written, ours = Builder(shape, expand=True), Builder(shape)
    models = [b.model(make(b)) for b in (written, ours)]
    for model in models:
        change(model, random.Random(seed))
    labels = any(n.op_type == "ArgMax" for n in models[0].graph.node)
    models[0].graph.output[0].type.tensor_type.elem_type = TensorProto.INT64 if labels else TensorProto.FLOAT
    x = frames(shape, 6, seed)
    try:
        (have,) = from_onnx(models[1], argmax=labels).predict(x)
    except (ModelError, UnsupportedError):
        return "refused"
    session = onnxruntime.InferenceSession(models[0].SerializeToString(), providers=["CPUExecutionProvider"])
    want = session.run(None, {"x": x})[0]
    assert have.shape == want.shape, seed
    np.testing.assert_array_equal(have, want, str(seed))
    return "right"


def check(seeds: range) -> None:
    counts = Counter(verdict(seed) for seed in seeds)
    print(counts)
    assert min(counts["right"], counts["refused"]) > len(seeds) // 10


def test_refused_or_right() -> None:
    check(range(240))


@pytest.mark.slow
def test_many_are_refused_or_right() -> None:
    check(range(1000, 4000))
