# SPDX-License-Identifier: Apache-2.0
"""What has no hardware is refused by name, with the value and the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.models import DOMAIN, Builder, small_network, two_layers

from gatewright.errors import ModelError, UnsupportedError
from gatewright.frontend.importer import from_onnx, import_model

Make = Callable[[Builder, str], str]


def image(make: Make, shape: tuple[int, ...] = (2, 6, 6)) -> onnx.ModelProto:
    """A model whose output is what `make` adds to a quantised input."""
    b = Builder(shape)
    return b.model(make(b, b.quant("x", 0.5, 4)))


def vector(make: Make) -> onnx.ModelProto:
    return image(make, (4,))


def weight(b: Builder, *shape: int, scale: object = 0.5) -> str:
    return b.weight(np.ones(shape), scale)


def conv(b: Builder, x: str, **attributes: object) -> str:
    return b.node("Conv", x, weight(b, 3, 2, 3, 3), **attributes)


def within(b: Builder, x: str) -> str:
    return b.quant(b.node("Mul", x, b.constant(np.arange(16).reshape(4, 4))), 1.0, 4)


def quantise(**settings: object) -> Make:
    return lambda b, x: b.quant(conv(b, x), **{"scale": 1.0, "bits": 4, **settings})


CASES: list[tuple[str, onnx.ModelProto, str]] = [
    # Operators and forms of them.
    (
        "unknown",
        image(lambda b, x: b.node("Softsign", x)),
        r"softsign_1: operator Softsign on frames of shape \(2, 6, 6\) has no hardware: replace it, run it on the host",
    ),
    (
        "other domain",
        image(lambda b, x: b.node("Fancy", x, domain="my.ops")),
        r"fancy_1: operator my.ops.Fancy on frames of shape \(2, 6, 6\) has no hardware",
    ),
    (
        "indices",
        image(lambda b, x: b.node("MaxPool", x, kernel_shape=[2, 2], outputs=["y", "i"])),
        "maxpool_1: MaxPool with indices as a second output has no hardware: remove that output",
    ),
    (
        "conv on a vector",
        vector(lambda b, x: conv(b, x)),
        r"conv_1: Conv on frames of shape \(4,\): only images \(channels, height, width\) and rows",
    ),
    (
        "channels",
        image(lambda b, x: b.node("Conv", x, weight(b, 3, 5, 3, 3))),
        r"conv_1: weight of shape \(3, 5, 3, 3\) does not fit an image of 2 channels",
    ),
    (
        "kernel beyond the image",
        image(lambda b, x: b.node("Conv", x, weight(b, 3, 2, 7, 7))),
        "conv_1: window: a kernel spanning 7x7 does not fit the padded image 6x6: use a smaller kernel or more padding",
    ),
    (
        "negative pads",
        image(lambda b, x: conv(b, x, pads=[-1, 0, 0, 0])),
        "conv_1: window: negative padding has no hardware: crop the image before it",
    ),
    (
        "huge pads",
        image(lambda b, x: conv(b, x, pads=[1 << 20] * 4)),
        "conv_1: output .* has more than 67108864 elements",
    ),
    (
        "huge pool pads",
        image(lambda b, x: b.node("MaxPool", x, kernel_shape=[2, 2], pads=[1 << 20] * 4)),
        "maxpool_1: output .* has more than 67108864 elements",
    ),
    (
        "transA",
        vector(lambda b, x: b.node("Gemm", x, weight(b, 4, 3), transA=1)),
        "gemm_1: Gemm of a transposed activation mixes the batch with the frame: make it the first operand",
    ),
    (
        "features",
        vector(lambda b, x: b.node("MatMul", x, weight(b, 5, 3))),
        "matmul_1: weight takes 5 features but the input has 4",
    ),
    (
        "weight on the left",
        image(lambda b, x: b.node("MatMul", weight(b, 3, 4), x), (4,)),
        r"matmul_1: MatMul of a constant with frames of shape \(4,\) mixes the batch with the frame: make the constant",
    ),
    (
        "two activations",
        vector(lambda b, x: b.node("MatMul", x, x)),
        "matmul_1: weight 'quant_1_out' is not a constant, and products of two activations have no hardware: use a",
    ),
    (
        "division",
        vector(lambda b, x: b.quant(b.node("Div", b.node("Relu", x), b.quant(x, 0.25, 4)), 1.0, 4)),
        r"div_1: operator Div on frames of shape \(4,\), \(4,\) has no hardware",
    ),
    (
        "flatten axis",
        image(lambda b, x: b.node("Flatten", x, axis=2)),
        "flatten_1: Flatten axis=2 mixes the batch with the frame",
    ),
    (
        "batch reshape",
        image(lambda b, x: b.node("Reshape", x, b.constant([4, -1], np.int64))),
        r"reshape_1: Reshape to \[4, -1\] changes the batch axis: keep it first \(0 or -1\)",
    ),
    (
        "lossy reshape",
        image(lambda b, x: b.node("Reshape", x, b.constant([0, 7], np.int64))),
        r"reshape_1: Reshape of a frame \(2, 6, 6\) to \[0, 7\] does not keep its 72 elements",
    ),
    (
        "batch transpose",
        image(lambda b, x: b.node("Transpose", x, perm=[1, 0, 2, 3])),
        r"transpose_1: Transpose perm=\(1, 0, 2, 3\) moves the batch axis, which has no hardware: keep axis 0 first",
    ),
    (
        "mean of the batch",
        image(lambda b, x: b.node("ReduceMean", x, axes=[0, 1])),
        r"reducemean_1: ReduceMean over axes \[0, 1\] reduces the batch, which has no hardware: name the axes of the",
    ),
    (
        "unequal shapes",
        image(lambda b, x: b.node("Add", x, b.quant(b.node("MaxPool", x, kernel_shape=[6, 6]), 0.25, 4))),
        r"add_1: Add of frames \(2, 6, 6\) and \(2, 1, 1\): both must have "
        r"one shape; broadcasting activations",
    ),
    (
        "odd ratio",
        vector(lambda b, x: b.node("Add", x, b.quant(b.node("MatMul", x, weight(b, 4, 4)), 1e-9, 4))),
        "add_1: Add of scales 0.5 and 9.99.*e-10: no factors up to 65536 "
        "bring both to one scale; share one quantiser between",
    ),
    (
        "unquantised addend",
        image(lambda b, x: b.node("Add", x, b.node("Relu", b.node("Conv", x, weight(b, 2, 2, 1, 1))))),
        r"add_1: Add reads 'relu_1_out' after float steps \(relu\) that no "
        r"quantiser follows: put a Quant node in front of Add",
    ),
    (
        "falling pool",
        image(lambda b, x: b.node("MaxPool", b.node("Mul", x, b.constant(-1.0)), kernel_shape=[2, 2])),
        r"maxpool_1: MaxPool reads 'mul_1_out' after float steps \(mul\) that no quantiser follows: put a Quant "
        "node in front of MaxPool",
    ),
    # Quantisers.
    (
        "no weight quantiser",
        image(lambda b, x: b.node("Conv", x, b.constant(np.ones((3, 2, 3, 3))))),
        r"conv_1: weight 'c\d+' is float and has no quantiser: quantise it \(a Quant node on the constant",
    ),
    (
        "no activation quantiser",
        image(lambda b, x: b.node("Conv", b.node("Relu", conv(b, x)), weight(b, 1, 3, 1, 1))),
        r"conv_2: Conv reads 'relu_1_out' after float steps \(relu\) that no "
        r"quantiser follows: put a Quant node in front of Conv",
    ),
    (
        "factors that differ",
        vector(lambda b, x: b.node("MatMul", b.node("Mul", x, b.constant([1, 1e-7, 3, 4])), weight(b, 4, 4))),
        r"matmul_1: MatMul reads 'mul_1_out' after float steps \(mul\) that no quantiser follows: put a Quant node in "
        "front of MatMul",
    ),
    (
        "factors that differ before a convolution",
        image(lambda b, x: conv(b, b.node("Mul", x, b.constant(np.reshape([1, 1e-7], (2, 1, 1)))))),
        r"conv_1: Conv reads 'mul_1_out' after factors or offsets that cannot move behind Conv: put a Quant node in "
        "front of Conv",
    ),
    (
        "offset before padding",
        image(lambda b, x: conv(b, b.node("Add", x, b.constant(0.3)), pads=[1, 1, 1, 1])),
        r"conv_1: Conv reads 'add_1_out' after factors or offsets that cannot move behind Conv: put a Quant node in ",
    ),
    (
        "accumulators of one scale a channel",
        vector(
            lambda b, x: b.node("MatMul", b.node("MatMul", x, weight(b, 4, 4, scale=[1, 2, 3, 4])), weight(b, 4, 4))
        ),
        r"matmul_2: MatMul reads 'matmul_1_out' with one scale per channel, which no quantiser of one scale "
        "follows: put a Quant node in front of MatMul",
    ),
    ("zero scale", image(quantise(scale=0.0)), r"quant_3: scale \[0.0\] must be positive and finite"),
    ("negative scale", image(quantise(scale=-1.0)), r"quant_3: scale \[-1.0\] must be positive and finite"),
    ("NaN scale", image(quantise(scale=np.nan)), r"quant_3: scale \[nan\] must be positive and finite"),
    ("infinite scale", image(quantise(scale=np.inf)), r"quant_3: scale \[inf\] must be positive and finite"),
    (
        "scale within a channel",
        image(quantise(scale=np.arange(1, 17).reshape(1, 1, 4, 4))),
        r"quant_3: a scale of shape \(1, 1, 4, 4\) varies within a channel of frames \(3, 4, 4\): use one scale, or",
    ),
    (
        "fractional zero point",
        image(quantise(zero=3.5)),
        r"quant_3: zero point \[3.5\] is no whole number of up to 24 bits: round it, or use a symmetric quantiser",
    ),
    ("huge zero point", image(quantise(zero=2.0**25)), r"quant_3: zero point \[33554432.0\] is no whole number of up"),
    ("NaN zero point", image(quantise(zero=np.nan)), r"quant_3: zero point \[nan\] is no whole number of up"),
    (
        "zero points of channels",
        image(quantise(zero=np.array([0, 1, 2]).reshape(1, 3, 1, 1))),
        r"quant_3: zero points \[0.0, 1.0, 2.0\] of an activation's channels differ: use one for all channels",
    ),
    (
        "rounding",
        image(quantise(mode="STOCHASTIC")),
        r"quant_3: rounding_mode='STOCHASTIC' is not known: use one of ROUND, HALF_EVEN, CEIL, FLOOR, UP, DOWN",
    ),
    (
        "no range",
        image(lambda b, x: b.node("Quant", x, *(b.constant(v) for v in (1.0, 0.0, 4.0)), domain=DOMAIN, signed=1)),
        r"quant_2: attribute narrow=None of Quant: set it to 0 or 1",
    ),
    (
        "sign of another type",
        image(
            lambda b, x: b.node(
                "Quant", x, *(b.constant(v) for v in (1.0, 0.0, 4.0)), domain=DOMAIN, signed=1.0, narrow=0
            )
        ),
        r"quant_2: attribute signed=1.0 of Quant: set it to 0 or 1",
    ),
    ("half a bit", image(quantise(bits=2.5)), r"quant_3: bit width \[2.5\]: use whole numbers from 1 to 32"),
    ("no bits", image(quantise(bits=0)), r"quant_3: bit width \[0.0\]: use whole numbers"),
    ("NaN bits", image(quantise(bits=np.nan)), r"quant_3: bit width \[nan\]: use whole numbers"),
    ("33 bits", image(quantise(bits=33)), r"quant_3: bit width \[33.0\]: use whole numbers from 1 to 32"),
    (
        "bits within a channel",
        image(quantise(bits=np.arange(2, 18).reshape(1, 1, 4, 4))),
        r"quant_3: a bit width of shape \(1, 1, 4, 4\) varies within a channel of frames \(3, 4, 4\): use one bit",
    ),
    (
        "bipolar with a zero point",
        image(quantise(bits=1, zero=1.0)),
        r"quant_3: one signed bit with zero point \[1.0\]: use zero point 0, or two bits",
    ),
    (
        "one signed bit here and there",
        image(quantise(bits=np.array([1, 2, 3]).reshape(1, 3, 1, 1))),
        "quant_3: one signed bit for some elements is -1 and 0 to some readers and -1 and .1 to others: use two bits",
    ),
    (
        "one signed bit of some weights",
        vector(lambda b, x: b.node("MatMul", x, b.quant(b.constant(np.ones((4, 3))), 1.0, [1, 2, 3]))),
        "quant_2: one signed bit for some elements is -1 and 0 to some readers",
    ),
    (
        "computed scale",
        vector(lambda b, x: b.node("Quant", x, x, b.constant(0.0), b.constant(4.0), domain="qonnx.custom_op.general")),
        r"quant_2: Quant needs a constant as input 1 \('quant_1_out'\); fold constants before export",
    ),
    (
        "NaN weight",
        vector(lambda b, x: b.node("MatMul", x, b.quant(b.constant(np.full((4, 4), np.nan)), 1.0, 4))),
        r"quant_2: the constant \(float32\) is not made of finite floats: export it again",
    ),
    (
        "weight scale along the inputs",
        vector(lambda b, x: b.node("MatMul", x, weight(b, 4, 3, scale=np.float32([0.1, 0.2, 0.3, 0.4])[:, None]))),
        "matmul_1: the weight's scale varies within output channel 0, from 0.1.* to 0.4.*, and not by whole numbers up "
        "to 65536: use one scale per output channel, or powers of two",
    ),
    (
        "weight scale within a filter",
        image(lambda b, x: b.node("Conv", x, weight(b, 3, 2, 3, 3, scale=np.array([1, 1.1]).reshape(1, 2, 1, 1)))),
        "conv_1: the weight's scale varies within output channel 0, from 1.0 to 1.1.*, and not by whole numbers up",
    ),
    (
        "ratio of weight scales",
        vector(lambda b, x: b.node("MatMul", x, weight(b, 4, 1, scale=np.float32([1, 1, 1, 1 << 17])[:, None]))),
        "matmul_1: the weight's scale varies within output channel 0, from 1.0 to 131072.0, and not by whole",
    ),
    (
        "weight scale of another shape",
        vector(lambda b, x: b.node("MatMul", x, b.quant(b.constant(np.ones((4, 3))), np.ones(7), 4))),
        "quant_2: Quant has an input or attribute that its definition rules out .*: the file is damaged",
    ),
    # Constants.
    (
        "constant within a channel",
        image(lambda b, x: b.node("MaxPool", within(b, conv(b, x)), kernel_shape=[2, 2])),
        r"mul_1: constant of shape \(4, 4\) varies within a channel: use one value, or one per channel",
    ),
    (
        "division by 0",
        vector(lambda b, x: b.node("Div", x, b.constant([1, 0, 1, 1]))),
        "div_1: div by constants that are not finite or 0",
    ),
    (
        "complex constant",
        vector(lambda b, x: b.node("Add", x, b.constant(1j, np.complex64))),
        r"constant 'c\d+' is complex, which has no hardware: export real numbers",
    ),
    (
        "text as a shape",
        vector(lambda b, x: b.node("Reshape", x, b.constant(["a"], np.str_))),
        r"reshape_1: Reshape reads the constant 'c\d+' of type .*: numbers are needed",
    ),
    (
        "NaN offset",
        vector(lambda b, x: b.node("Add", x, b.constant(np.nan))),
        "add_1: add by constants that are not finite or 0",
    ),
    (
        "negative variance",
        image(lambda b, x: b.batch_norm(conv(b, x), [1, 1, 1], [0, 0, 0], [0, 0, 0], [1, -2, 1])),
        "batchnormalization_1: variance -1.99.* is not positive: train the model again",
    ),
    (
        "short batch norm",
        image(lambda b, x: b.batch_norm(conv(b, x), [1, 1], [0, 0], [0, 0], [1, 1])),
        r"batchnormalization_1: 2 batch norm channels on frames of shape \(3, 4, 4\) are not those of the layer before",
    ),
    (
        "long bias",
        image(lambda b, x: b.node("Conv", x, weight(b, 3, 2, 3, 3), b.constant(np.ones(5)))),
        "conv_1: 5 constants for 3 channels: give one, or one per channel",
    ),
    (
        "bias of another shape",
        vector(lambda b, x: b.node("Gemm", x, weight(b, 4, 3), b.constant(np.ones(2)))),
        r"gemm_1: bias of shape \(2,\) does not fit 3 outputs",
    ),
    (
        "sums beyond 63 bits",
        vector(
            lambda b, x: b.node(
                "MatMul",
                b.quant(b.node("Mul", x, b.constant(1e9)), 1e-9, 32),
                b.quant(b.constant(np.full((4, 1), 3e9)), 1.0, 32),
            )
        ),
        "matmul_1: dense: sums of 65 bits; at most 63 are possible",
    ),
]


@pytest.mark.parametrize(("model", "message"), [pytest.param(m, t, id=i) for i, m, t in CASES])
def test_unsupported(model: onnx.ModelProto, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        from_onnx(model)
    if isinstance(caught.value, UnsupportedError):
        # Whoever shows it in a user interface has the node and the reason apart.
        assert caught.value.node in {n.name for n in model.graph.node}
        assert str(caught.value) == f"{caught.value.node}: {caught.value.reason}"


def test_float_model() -> None:
    b = Builder((4,))
    y = b.node("MatMul", "x", b.constant(np.eye(4)))
    with pytest.raises(
        UnsupportedError,
        match=r"matmul_1: 2 quantisers are missing where layers need integers, on weight 'c1' of matmul_1 \(MatMul\), "
        r"input 'x' of matmul_1 \(MatMul\): put a Quant node on each, by training .* or let `gatewright quantize`",
    ):
        from_onnx(b.model(y))
    b = Builder((4,))
    y = b.node("MatMul", "x", b.weight(np.eye(4), 1.0))
    with pytest.raises(
        UnsupportedError, match="matmul_1: MatMul reads the float input 'x': put a quantiser on the model's input"
    ):
        from_onnx(b.model(y))
    b = Builder((4,))
    with pytest.raises(
        ModelError, match="output 'relu_1_out' depends on the inputs without any quantiser between: it is a float model"
    ):
        from_onnx(b.model(b.node("Relu", "x")))


def test_no_outputs() -> None:
    b, _ = two_layers()
    with pytest.raises(ModelError, match="the model has no outputs: the file is damaged; export it again"):
        from_onnx(b.model())


def test_nothing_but_quantisers() -> None:
    b = Builder((4,))
    with pytest.raises(ModelError, match="nothing but quantisers of its inputs: there is no layer"):
        from_onnx(b.model(b.quant("x", 1.0, 4)))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_dynamic_shape(axis: int) -> None:
    shape: list[int | str] = [2, 6, 6]
    shape[axis - 1] = "size"
    b = Builder((2, 6, 6))
    b.inputs[:] = []
    b.input("x", shape)
    y = conv(b, b.quant("x", 1.0, 4))
    with pytest.raises(
        ModelError, match=rf"input 'x' is dynamic in axis {axis} \(size\): only the batch may be dynamic; export with"
    ):
        from_onnx(b.model(y))


def test_shapes_no_frame_has() -> None:
    for shape, message in (
        ((), "input 'x' has 1 axes: need a batch axis and at least one more"),
        ((0, 3), r"input 'x' is dynamic in axis 1 \(\?\)"),
        ((1 << 13, 1 << 14), r"input 'x' of shape \(8192, 16384\) has more than 67108864 elements"),
    ):
        b = Builder(shape)
        with pytest.raises(ModelError, match=message):
            from_onnx(b.model(b.quant("x", 1.0, 4)))


def test_output_that_does_not_depend_on_the_input() -> None:
    b, y = two_layers()
    with pytest.raises(ModelError, match="output 'c1' does not depend on the model's inputs, or nothing writes it"):
        from_onnx(b.model(y, "c1"))
    with pytest.raises(
        ModelError, match="output 'nowhere' does not depend on the model's inputs, or nothing writes it"
    ):
        from_onnx(b.model("nowhere"))


def test_nodes_out_of_order() -> None:
    b, y = two_layers()
    model = b.model(y)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[0], nodes[2], nodes[1], *nodes[3:]])
    with pytest.raises(
        ModelError, match="matmul_1: MatMul reads 'quant_2_out', which nothing in the model writes: .*out of order"
    ):
        from_onnx(model)


@pytest.mark.parametrize(
    ("op_type", "domain"),
    [("Quant", "qonnx.custom_op.general"), ("MaxPool", ""), ("BatchNormalization", ""), ("Reshape", ""), ("Gemm", "")],
)
def test_missing_operands_and_attributes(op_type: str, domain: str) -> None:
    b = Builder((2, 6, 6))
    y = b.node(op_type, b.quant("x", 1.0, 4), domain=domain)
    with pytest.raises(
        ModelError, match=rf"{op_type.lower()}_\d: {op_type} lacks an input or attribute that its definition requires"
    ):
        from_onnx(b.model(y))


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.onnx: no such file"):
        import_model(tmp_path / "nothing.onnx")
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path}: no such file")):
        import_model(tmp_path)
    path = tmp_path / "m.onnx"
    for content, message in (
        (b"", r"m.onnx: not a readable ONNX model \(ValidationError"),
        (b"hello world\n" * 9, "m.onnx: not a readable ONNX model"),
    ):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=message):
            import_model(path)
    b = Builder((4,), expand=True)
    model = b.model(b.node("Relu", "x", "x", "x"))
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"m.onnx: not a readable ONNX model \(ValidationError: .*\); export it again"):
        import_model(path)


def test_weights_in_a_file_that_is_gone(tmp_path: Path) -> None:
    b, y = small_network()
    model = b.model(y)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert import_model(tmp_path / "m.onnx").nodes
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(
        ModelError,
        match="m.onnx: the weights of .* lie in .weights.bin., which is not there: put that file beside the model",
    ):
        import_model(tmp_path / "m.onnx")


def test_damaged_constant() -> None:
    b, y = two_layers()
    model = b.model(y)
    model.graph.initializer[3].raw_data = b"123"
    with pytest.raises(ModelError, match=f"constant '{model.graph.initializer[3].name}' is damaged"):
        from_onnx(model)


def test_attribute_without_a_value() -> None:
    b, y = two_layers()
    model = b.model(y)
    model.graph.node[0].attribute.append(helper.make_attribute("kernel", 3))
    model.graph.node[0].attribute[-1].ref_attr_name = "outside"
    with pytest.raises(ModelError, match="quant_1: an attribute of Quant is damaged"):
        from_onnx(model)
