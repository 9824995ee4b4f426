# SPDX-License-Identifier: Apache-2.0
"""`gatewright doctor MODEL.onnx`: a verdict for every node, and what would make all of the model compile."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.models import Builder, random_network, small_network
from typer.testing import CliRunner, Result

import gatewright.frontend.doctor
from gatewright.cli import app
from gatewright.errors import ProofError
from gatewright.frontend.doctor import Diagnosis, diagnose
from gatewright.frontend.importer import import_model
from gatewright.passes.lower import lower


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


def plain(text: str) -> str:
    """Text without the lines and breaks of tables."""
    return re.sub(r"[\s│]+", " ", text)


def verdicts(found: Diagnosis) -> dict[str, tuple[str, str]]:
    return {n.node: (n.verdict, ", ".join(n.becomes) or n.reason) for n in found.nodes}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    b, y = small_network()
    return b.save(tmp_path / "good.onnx", b.node("Softmax", y))


def floats(layers: int, path: Path) -> Path:
    """Convolutions without any quantiser."""
    b, y = Builder((3, 8, 8)), "x"
    for _ in range(layers):
        y = b.node("Relu", b.node("Conv", y, b.constant(np.ones((3, 3, 3, 3))), pads=[1, 1, 1, 1]))
    model = b.model(y)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(y, onnx.TensorProto.FLOAT, ["batch", 3, 8, 8]))
    onnx.save(model, path)
    return path


def many(path: Path) -> Path:
    """A softmax in the middle, an operator without hardware twice, a pool, a float weight, and what stands behind."""
    b = Builder((3, 8, 8))
    y = b.node("Conv", b.quant("x", 0.5, 4), b.weight(np.ones((4, 3, 3, 3)), 0.5))
    y = b.quant(b.node("Softmax", y, axis=1), 0.125, 4)
    y = b.node("LRN", b.node("LRN", y, size=3), size=3)
    y = b.node("Conv", y, b.constant(np.ones((4, 4, 1, 1))))
    y = b.node("MaxPool", y, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_WRONG")
    z = b.node("Relu", b.node("Relu", b.node("NonZero", y)))
    return b.save(path, z, b.node("Softmax", b.node("Flatten", y)))


def test_a_model_that_compiles(good: Path) -> None:
    found = diagnose(good, "pynq-z2")
    assert found.compiles and not found.is_float and found.remedies == ()
    assert [n.name for n in found.nodes] == [n.name for n in onnx.load(good).graph.node]
    assert verdicts(found) == {
        "quant_1": ("host", "in front of the hardware, for input 'x'"),
        "quant_2": ("folded", "a constant"),
        "conv_1": ("hardware", "window, dense"),
        "batchnormalization_1": ("folded", "part of quant_3 (threshold)"),
        "relu_1": ("folded", "part of quant_3 (threshold)"),
        "quant_3": ("hardware", "threshold"),
        "quant_4": ("folded", "a constant"),
        "conv_2": ("hardware", "window, dense"),
        "quant_5": ("hardware", "threshold"),
        "add_1": ("hardware", "add"),
        "relu_2": ("folded", "part of quant_6 (threshold)"),
        "quant_6": ("hardware", "threshold"),
        "maxpool_1": ("hardware", "window, maxpool"),
        "flatten_1": ("folded", "part of gemm_1 (dense)"),
        "quant_7": ("folded", "a constant"),
        "gemm_1": ("hardware", "dense"),
        "softmax_1": ("host", "softmax over axis 1"),
    }
    lowered = lower(import_model(good))
    assert [(k.unit, k.out_bits) for k in found.layers] == [(n.name, n.op.outputs[0].bits) for n in lowered.nodes]
    assert {k.unit: k.accumulator_bits for k in found.layers if k.accumulator_bits} == {
        n.name: n.op.acc_bits for n in lowered.nodes if n.op.name() == "dense"
    }
    assert found.fit is not None and found.fit.fits
    assert found.fit.interval_cycles == max(n.op.cycles for n in lowered.nodes)


def test_its_text(good: Path) -> None:
    result = run(good, "--board", "pynq-z2")
    assert result.exit_code == 0
    text = plain(result.stdout)
    assert f"{good}: 17 nodes: 2 host, 8 hardware, 7 folded" in text
    assert "conv_1 Conv hardware window, dense" in text
    assert "output 'softmax_1_out': on the host: softmax over axis 1" in text
    assert "pynq-z2: the smallest design fits: LUT" in text
    assert f"It compiles: gatewright compile {good} --board BOARD" in text


@pytest.mark.parametrize("seed", range(40))
def test_every_node_of_a_random_network(seed: int, tmp_path: Path) -> None:
    """One verdict a node, none unexplained; hardware is said exactly of the nodes that units come from."""
    b = Builder((2, 6, 5))
    outputs, _ = random_network(b, seed, exact=True)
    path = b.save(tmp_path / "net.onnx", *outputs)
    found = diagnose(path)
    assert found.compiles
    assert [n.node for n in found.nodes] == [n.name for n in b.nodes]
    assert sum(found.counts.values()) == len(b.nodes)
    makers = {n.origin[-1] for n in lower(import_model(path)).nodes}
    assert {n.node for n in found.nodes if n.verdict == "hardware"} == makers
    assert all(n.becomes if n.verdict == "hardware" else n.reason for n in found.nodes)


def test_many_problems(tmp_path: Path) -> None:
    path = many(tmp_path / "many.onnx")
    found = diagnose(path)
    kinds = {n.node: n.verdict for n in found.nodes}
    assert len(kinds) == len(onnx.load(path).graph.node) == 14
    assert [k for k, v in kinds.items() if v == "refused"] == ["softmax_1", "lrn_1", "lrn_2", "maxpool_1", "nonzero_1"]
    assert [k for k, v in kinds.items() if v == "no quantiser"] == ["conv_2"]
    assert [k for k, v in kinds.items() if v == "not examined"] == ["relu_1", "relu_2"]
    assert (kinds["quant_3"], kinds["flatten_1"], kinds["softmax_2"]) == ("hardware", "folded", "host")
    said = [str(r) for r in found.remedies]
    assert len(said) == 4
    assert re.match(r"conv_2: weight 'c\d+' is float and has no quantiser: quantise it \(a Quant node on", said[0])
    assert said[1].startswith("softmax_1: Softmax in the middle of a model has no hardware, and lrn_1 (LRN) reads")
    assert said[2].startswith("lrn_1, lrn_2, nonzero_1: replace it, run it on the host after the last quantiser")
    assert said[3].startswith("maxpool_1: auto_pad='SAME_WRONG'")

    result = run(path)
    assert result.exit_code == 1
    text = plain(result.stdout)
    assert "14 nodes: 5 refused, 1 no quantiser, 2 not examined, 2 host, 2 hardware, 2 folded" in text
    assert text.index("lrn_2") < text.index("conv_2 Conv no quantiser") < text.index("quant_1 Quant")
    assert "It does not compile. What would make all of it compile: 1. conv_2: weight 'c11' is float" in text
    assert "Then ask again: 2 nodes behind these could not be examined." in text


def test_remedies_followed_make_it_compile(tmp_path: Path) -> None:
    """What it asks for is enough: one problem at a time is taken out, and the last version compiles."""
    for softmax, weight, pads in ((True, False, "SAME_WRONG"), (False, False, "SAME_WRONG"), (False, True, "VALID")):
        b = Builder((3, 8, 8))
        y = b.node("Conv", b.quant("x", 0.5, 4), b.weight(np.ones((4, 3, 3, 3)), 0.5))
        y = b.quant(b.node("Softmax", y, axis=1) if softmax else y, 0.125, 4)
        y = b.node("Conv", y, b.weight(np.ones((4, 4, 1, 1)), 1) if weight else b.constant(np.ones((4, 4, 1, 1))))
        y = b.node("MaxPool", b.quant(y, 1.0, 4), kernel_shape=[3, 3], auto_pad=pads)
        found = diagnose(b.save(tmp_path / "net.onnx", b.node("Softmax", y, axis=1)))
        assert len(found.remedies) == 3 - weight * 3 - (not softmax and not weight)
    assert found.compiles


def test_a_float_model(tmp_path: Path) -> None:
    path = floats(3, tmp_path / "float.onnx")
    found = diagnose(path)
    assert found.is_float and len(found.remedies) == 1
    assert str(found.remedies[0]).startswith(
        f"quantise the float model: without training by `gatewright quantize {path} --data X.npy`, or train it"
    )
    lines = run(path).stdout.splitlines()
    assert lines[1] == "It is a float model: no quantiser is in it. Two ways out:"
    assert lines[2].startswith(f"  gatewright quantize {path} --data X.npy")
    assert "gatewright.nn, Brevitas" in lines[3]


def test_missing_quantisers_are_one_remedy(tmp_path: Path) -> None:
    b = Builder((8,))
    y = b.quant("x", 0.5, 4)
    for _ in range(9):
        y = b.node("Relu", b.node("MatMul", y, b.constant(np.eye(8))))
    found = diagnose(b.save(tmp_path / "net.onnx", y))
    (remedy,) = found.remedies
    assert re.match(r"put Quant nodes on 17 operands: weight 'c4' of matmul_1 \(MatMul\), .* and 11 more;", str(remedy))


def test_large_models_stay_readable(tmp_path: Path) -> None:
    path = floats(100, tmp_path / "large.onnx")
    short, whole = run(path), run(path, "--all")
    assert short.exit_code == whole.exit_code == 1
    assert len(short.stdout.splitlines()) < 60
    text = plain(short.stdout)
    assert " Conv 100 Relu " in text and "88 more no quantiser; --all lists every node" in text
    assert "conv_100 " not in text and "conv_100 " in plain(whole.stdout)
    assert len(json.loads(run(path, "--json").stdout)["nodes"]) == 200


def test_json_is_the_diagnosis(good: Path, tmp_path: Path) -> None:
    result = run(good, "--json", "--board", "zcu104")
    assert result.exit_code == 0
    content: dict[str, Any] = json.loads(result.stdout)
    assert content == json.loads(json.dumps(diagnose(good, "zcu104").to_json()))
    assert content["compiles"] is True and content["fit"]["board"] == "zcu104"
    broken = run(many(tmp_path / "many.onnx"), "--json")
    assert broken.exit_code == 1
    content = json.loads(broken.stdout)
    assert content["compiles"] is False and len(content["remedies"]) == 4


def test_a_proof_that_fails_is_named_per_layer(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prover itself is tested elsewhere; two layers are made to fail here."""
    real = gatewright.frontend.doctor.certify

    def failing(node, definition):
        if node.name in ("quant_3", "conv_2"):
            raise ProofError(f"{node.name}: channel 1, input 2: defined as 3, the hardware gives 4")
        return real(node, definition)

    monkeypatch.setattr(gatewright.frontend.doctor, "certify", failing)
    result = run(good, "--board", "pynq-z2")
    assert result.exit_code == 1
    text = plain(result.stdout)
    assert "1. quant_3: channel 1, input 2: defined as 3, the hardware gives 4" in text
    assert "2. conv_2: channel 1, input 2" in text
    assert "the smallest design" not in text


def test_layers_that_cannot_be_lowered(tmp_path: Path) -> None:
    """A sigmoid of an accumulator too wide to compare every value of, twice."""
    b = Builder((64,))
    x = b.quant("x", 2.0**-10, 16)
    y = [b.quant(b.node("Sigmoid", b.node("MatMul", x, b.weight(np.full((64, 40), 7), 2.0**-8))), 0.01, 8)
         for _ in range(2)]  # fmt: skip
    found = diagnose(b.save(tmp_path / "net.onnx", *y))
    errors = {k.unit: k.error for k in found.layers if k.error}
    assert set(errors) == {"quant_3", "quant_5"}
    assert all("cannot be compared for every input" in e for e in errors.values())
    assert [r.nodes for r in found.remedies] == [(k,) for k in errors]


def test_what_does_not_fit_the_board(tmp_path: Path) -> None:
    """Depthwise weights cannot come from memory."""
    b = Builder((8192, 8, 8))
    weight = b.weight(np.arange(8192 * 49).reshape(8192, 1, 7, 7) % 255 - 127, 1.0, 8)
    y = b.node("Conv", b.quant("x", 1.0, 8), weight, group=8192)
    path = b.save(tmp_path / "net.onnx", y)
    result = run(path, "--board", "pynq-z2")
    assert result.exit_code == 1
    assert re.search(
        r"1\. the smallest design is too large for pynq-z2: BRAM36 needs \d+ of 140 \(\+\d+%\): use a larger board",
        plain(result.stdout),
    )


def test_what_fits_with_weights_in_memory(tmp_path: Path) -> None:
    b = Builder((4096,))
    y = b.node("MatMul", b.quant("x", 1.0, 8), b.weight(np.ones((4096, 2048), np.int64), 1.0, 8))
    path = b.save(tmp_path / "net.onnx", y)
    result = run(path, "--board", "pynq-z2")
    assert result.exit_code == 0
    assert "the smallest design fits with weights of matmul_1 in memory: " in plain(result.stdout)


def test_labels_from_the_hardware(tmp_path: Path) -> None:
    b, y = small_network()
    path = b.save(tmp_path / "net.onnx", b.node("ArgMax", y, axis=1))
    assert verdicts(diagnose(path))["argmax_1"] == ("host", "argmax over axis 1")
    assert verdicts(diagnose(path, argmax=True))["argmax_1"][0] == "hardware"
    assert run(path, "--argmax").exit_code == 0


def test_several_outputs_of_which_one_is_refused(tmp_path: Path) -> None:
    b, y = small_network()
    found = diagnose(b.save(tmp_path / "net.onnx", y, b.node("Sigmoid", "x")))
    assert [(o.output, bool(o.reason)) for o in found.outputs] == [("sigmoid_1_out", True)]
    assert [r.nodes for r in found.remedies] == [("sigmoid_1_out",)]


@pytest.mark.parametrize("content", [b"", b"no model", bytes(range(256))])
def test_unreadable_files_give_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    result = run(tmp_path / "bad.onnx")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {tmp_path / 'bad.onnx'}: ")
    assert len(result.stderr.splitlines()) == 1


def test_options_need_a_model() -> None:
    result = run("--board", "pynq-z2")
    assert result.exit_code == 1
    assert "--board, --argmax and --all are about a model: name its file" in result.stderr


def test_unknown_board(good: Path) -> None:
    assert "board 'pynq-z9' is unknown: did you mean 'pynq-z2'?" in run(good, "--board", "pynq-z9").stderr


def test_commands_can_be_pasted(tmp_path: Path) -> None:
    b, y = small_network()
    done = run(b.save(tmp_path / "my net.onnx", y))
    assert f"gatewright compile '{tmp_path}/my net.onnx' --board BOARD" in done.output
    done = run(floats(1, tmp_path / "my floats.onnx"))
    assert done.output.count(f"gatewright quantize '{tmp_path}/my floats.onnx' --data X.npy") == 2
