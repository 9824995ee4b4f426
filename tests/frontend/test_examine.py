# SPDX-License-Identifier: Apache-2.0
"""A model is examined to its end: missing quantisers are named together, and every node has a verdict."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from tests.models import Builder, small_network

from gatewright.errors import UnsupportedError
from gatewright.frontend.importer import examine, from_onnx
from gatewright.ir.findings import Finding, split_remedy


def verdicts(b: Builder, *outputs: str) -> dict[str, Finding]:
    return {f.node: f for f in examine(b.model(*outputs)).findings}


def test_a_model_that_compiles() -> None:
    b, y = small_network()
    examination = examine(b.model(y))
    assert examination.graph is not None
    assert examination.errors == ()
    assert [f.node for f in examination.findings] == [n.name for n in b.nodes]
    assert all(f.works and not f.remedy for f in examination.findings)
    by_name = {f.node: (f.verdict, f.reason) for f in examination.findings}
    assert by_name["conv_1"] == ("hardware", "conv2d")
    assert by_name["maxpool_1"] == ("hardware", "window, maxpool")
    assert by_name["flatten_1"] == by_name["relu_1"] == ("folded", "")


def float_network() -> tuple[Builder, str]:
    """Everything quantised but the second convolution's operands and the sum's left one."""
    b = Builder((2, 6, 6))
    x = b.quant("x", 0.3, 4)
    y = b.node("Relu", b.node("Conv", x, b.weight(np.ones((3, 2, 3, 3)), 0.5)))
    y = b.node("Conv", y, b.constant(np.ones((2, 3, 3, 3))), pads=[2, 2, 2, 2])
    z = b.quant(b.node("MaxPool", x, kernel_shape=[1, 1]), 0.7, 4)
    y = b.node("Relu", y)
    return b, b.node("Gemm", b.node("Flatten", b.quant(b.node("Add", y, z), 1.0, 4)), b.weight(np.ones((72, 3)), 0.5))


def test_all_missing_quantisers_are_one_error() -> None:
    b, y = float_network()
    with pytest.raises(UnsupportedError) as caught:
        from_onnx(b.model(y))
    assert str(caught.value) == (
        "conv_2: 3 quantisers are missing where layers need integers, on weight 'c8' of conv_2 (Conv), "
        "input 'relu_1_out' of conv_2 (Conv), input 'relu_2_out' of add_1 (Add): put a Quant node on each, by training "
        "with gatewright.nn or Brevitas, or let `gatewright quantize` put them into a float model"
    )
    assert caught.value.node == "conv_2"


def test_missing_quantisers_as_findings() -> None:
    b, y = float_network()
    found = verdicts(b, y)
    assert found["conv_2"] == Finding(
        "conv_2",
        "Conv",
        "no quantiser",
        "weight 'c8' is float and has no quantiser; Conv reads 'relu_1_out' after float steps (relu) that no quantiser "
        "follows",
        "quantise it (a Quant node on the constant; train with gatewright.nn or Brevitas); put a Quant node in front "
        "of Conv",
    )
    assert [f.node for f in found.values() if not f.works] == ["conv_2", "add_1"]
    assert found["gemm_1"].verdict == "hardware"
    assert len(examine(b.model(y)).errors) == 1


def test_what_follows_a_refused_node_is_examined() -> None:
    """ONNX knows the shape that a pool gives, and nothing of an operator of another domain."""
    b = Builder((2, 6, 6))
    x = b.quant("x", 0.5, 4)
    x = b.node("LpPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.node("Conv", x, b.weight(np.ones((3, 2, 3, 3)), 0.5))
    x = b.quant(x, 1.0, 4)
    y = b.node("Fancy", x, domain="my.ops")
    y = b.node("Sum", b.node("Relu", y), x)
    z = b.node("Gemm", b.node("Flatten", x), b.weight(np.ones((3, 5)), 0.5))
    examination = examine(b.model(y, z))
    found = {f.node: f for f in examination.findings}
    assert {k: f.verdict for k, f in found.items() if not f.works} == {
        "lppool_1": "refused",
        "fancy_1": "refused",
        "relu_1": "not examined",
        "sum_1": "not examined",
    }
    assert found["sum_1"].reason == found["relu_1"].reason == "reads the output of fancy_1"
    assert found["lppool_1"].reason == "operator LpPool on frames of shape (2, 6, 6) has no hardware"
    assert found["lppool_1"].remedy.startswith("replace it, run it on the host after the last quantiser")
    assert found["conv_1"] == Finding("conv_1", "Conv", "hardware", "conv2d")
    assert [type(e) for e in examination.errors] == [UnsupportedError] * 2
    assert examination.graph is None
    with pytest.raises(UnsupportedError, match="lppool_1: operator LpPool"):
        from_onnx(b.model(y, z))


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("Mul", "products and quotients of two activations are not taken, only those by constants; of x * sigmoid(x) "),
        ("LayerNormalization", "use BatchNormalization, whose statistics are constants"),
        ("GRU", "use convolutions over time, which keep no state"),
    ],
)
def test_what_to_take_instead(kind: str, remedy: str) -> None:
    b = Builder((2, 6))
    x = b.quant("x", 1.0, 4)
    y = b.node(
        kind,
        x,
        b.quant(b.node("MatMul", x, b.weight(np.eye(6), 1.0)), 0.5, 3) if kind == "Mul" else b.constant(np.ones(6)),
    )
    found = examine(b.model(y)).findings[-1]
    assert found.verdict == "refused" and found.remedy.startswith(remedy)


def test_missing_quantisers_before_a_refused_node_come_first() -> None:
    """A stand-in may be what was refused, so its node is no reason to give."""
    b = Builder((4,))
    x = b.node("MatMul", b.quant("x", 0.5, 4), b.constant(np.ones((4, 4))))
    x = b.node("Softsign", x)
    x = b.node("MatMul", x, b.constant(np.ones((4, 4))))
    with pytest.raises(UnsupportedError, match=r"weight 'c\d+' of matmul_1 .*, weight 'c\d+' of matmul_2"):
        from_onnx(b.model(x))
    assert verdicts(b, x)["softsign_1"].verdict == "refused"


def test_a_stand_in_takes_the_scale_of_the_other_operand() -> None:
    b = Builder((4,))
    x = b.quant("x", 0.123456789, 4)
    y = b.node("Add", b.node("Relu", x), b.quant(b.node("Tanh", x), 0.3, 4))
    with pytest.raises(UnsupportedError, match="add_1: Add reads 'relu_1_out' after float steps"):
        from_onnx(b.model(y))


def test_what_the_host_computes() -> None:
    b = Builder((4,))
    y = b.node("Exp", b.node("MatMul", b.quant("x", 0.5, 4), b.weight(np.ones((4, 4)), 0.5)))
    found = verdicts(b, y, b.node("Softmax", y))
    assert [found[n].verdict for n in ("matmul_1", "exp_1", "softmax_1")] == ["hardware", "host", "host"]
    assert found["exp_1"].reason == "behind the last layer, in output 'exp_1_out'"
    assert found["softmax_1"].reason == "softmax over axis 1"


def test_a_host_function_in_the_middle_is_refused_and_what_follows_examined() -> None:
    b = Builder((4,))
    p = b.node("Softmax", b.node("MatMul", b.quant("x", 0.5, 4), b.weight(np.ones((4, 4)), 0.5)))
    y = b.node("MatMul", b.quant(p, 0.25, 4, signed=False), b.weight(np.ones((4, 4)), 0.5))
    found = verdicts(b, b.node("LogSoftmax", y))
    assert [found[n].verdict for n in ("softmax_1", "quant_3", "matmul_2", "logsoftmax_1")] == [
        "refused", "hardware", "hardware", "host",
    ]  # fmt: skip
    assert found["softmax_1"].reason == (
        "Softmax in the middle of a model has no hardware, and matmul_2 (MatMul) reads its result, which the host "
        "cannot compute"
    )
    assert found["softmax_1"].remedy.startswith("remove one of them")


def test_shapes_of_refused_nodes_are_bounded() -> None:
    b = Builder((4,))
    x = b.node("Tile", b.quant("x", 0.5, 4), b.constant([1, 1 << 40], np.int64))
    assert verdicts(b, b.node("Relu", x))["relu_1"].verdict == "not examined"
    b = Builder((4,))
    model = b.model(b.node("Relu", b.node("Softsign", b.quant("x", 0.5, 4))))
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 17))
    assert {f.node: f.verdict for f in examine(model).findings}["relu_1"] == "host"


def test_remedies() -> None:
    assert split_remedy("a: b: do c") == ("a: b", "do c")
    assert split_remedy("a (b); do c") == ("a (b)", "do c")
    assert split_remedy("a") == ("a", "")
