# SPDX-License-Identifier: Apache-2.0
"""Export to QONNX: opens in qonnx, gives torch's numbers, keeps the integers, refuses float layers by name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.numpy_helper import to_array
from torch import nn

from gatewright.data import digits
from gatewright.errors import ConfigError, DataError, ModelError
from gatewright.frontend.export import export
from gatewright.frontend.origin import Origin, origins, shortened
from gatewright.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU, QuantWeightMixin, WeightQuant
from gatewright.train import calibrate, predict
from gatewright.train.digits import train_digits

QUANT = WeightQuant(bits=4, kind="a2q", accumulator_bits=12)


@pytest.fixture(scope="module")
def model():
    return train_digits(seed=1, float_epochs=3, quant_epochs=3).quant_model


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "digits.onnx"
    export(model, path, torch.zeros(1, 1, 8, 8))
    return path


def run_in_qonnx(path, x: np.ndarray) -> np.ndarray:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    # qonnx executes static shapes only.
    model = cleanup_model(ModelWrapper(str(path)), override_inpsize=x.shape)
    return execute_onnx(model, {model.graph.input[0].name: x})[model.graph.output[0].name]


@pytest.mark.filterwarnings("ignore")
def test_qonnx_gives_the_numbers_of_torch(model, path):
    x = digits.load().test.x
    theirs, ours = run_in_qonnx(path, x), predict(model, x)
    assert np.array_equal(theirs.argmax(1), ours.argmax(1))
    # A value within float32 error of a rounding boundary may fall to either side, in few images if at all.
    equal = np.isclose(theirs, ours, rtol=1e-5, atol=1e-5).all(axis=1)
    assert equal.mean() >= 0.99


def test_only_the_batch_is_dynamic(path):
    graph = onnx.load(path).graph
    onnx.checker.check_model(onnx.load(path))
    shapes = [
        [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    ]
    assert shapes == [["batch", 1, 8, 8], ["batch", 10]]


def test_every_reader_gets_the_same_integers(model, path):
    graph = onnx.load(path).graph
    constants = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    nodes = {node.name: node for node in graph.node}
    layers = {name: m for name, m in model.named_modules() if isinstance(m, QuantWeightMixin)}
    assert len(layers) == 4
    for name, layer in layers.items():
        node = nodes[f"{name}.weight_quantizer.Quant"]
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert attributes == {"signed": 1, "narrow": 1, "rounding_mode": b"ROUND"}
        grid, scale, zero, bits = (constants[name] for name in node.input)
        integers, expected_scale = layer.integer_weight()
        assert (zero, bits) == (0, 4)
        np.testing.assert_array_equal(scale.ravel().astype(np.float64), expected_scale)
        np.testing.assert_array_equal(np.clip(np.round(grid / scale), -7, 7), integers)
        assert not np.signbit(grid[grid == 0]).any()


def test_nodes_carry_the_names_of_their_modules_and_lines(path):
    nodes = {node.name: node for node in onnx.load(path).graph.node}
    assert [node.op_type for node in nodes.values() if node.domain == ""] == [
        *["Conv", "BatchNormalization", "Relu"],
        *["Conv", "BatchNormalization", "Add", "Relu", "MaxPool"],
        *["Conv", "BatchNormalization", "Relu", "GlobalAveragePool", "Reshape", "Gemm"],
    ]
    assert list(nodes["conv2.Conv"].input) == ["relu1.Quant", "conv2.weight_quantizer.Quant"]
    assert set(nodes["Add"].input) == {"addend.Quant", "addend.Quant_2"}
    assert nodes["addend.Quant"].input[1] == nodes["addend.Quant_2"].input[1] == "addend.scale"
    source = {entry.key: entry.value for entry in nodes["Add"].metadata_props}["gatewright.source"]
    assert re.fullmatch(r"(src/)?gatewright/train/digits\.py:\d+: .*self\.addend\(.*", source)


def test_export_is_repeatable_and_leaves_the_model_alone(model, path, tmp_path):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    export(model, tmp_path / "again.onnx", torch.rand(5, 1, 8, 8))
    assert model.training
    model.eval()
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [1, 8])
def test_other_widths_and_layers(bits, tmp_path):
    """A depthwise and a dilated convolution, signed or bipolar inputs, average pooling, 1-d batch norm."""
    torch.manual_seed(bits)
    options = {"weight_quant": QUANT, "input_bits": bits, "input_signed": True}
    model = nn.Sequential(
        QuantIdentity(bits, True, max_value=1.0),
        QuantConv2d(4, 4, 3, groups=4, **options),
        nn.BatchNorm2d(4),
        QuantIdentity(bits, True),
        QuantConv2d(4, 6, 3, dilation=2, **options),
        nn.AvgPool2d(2),
        QuantReLU(3),
        nn.Flatten(),
        QuantLinear(24, 5, weight_quant=WeightQuant(bits=2), input_bits=3),
        nn.BatchNorm1d(5),
        nn.Dropout(),
    )
    x = np.random.default_rng(0).normal(size=(64, 4, 10, 10)).astype(np.float32)
    calibrate(model, x)
    export(model, tmp_path / "model.onnx", torch.from_numpy(x))
    theirs, ours = run_in_qonnx(tmp_path / "model.onnx", x), predict(model, x)
    assert np.isclose(theirs, ours, rtol=1e-5, atol=1e-5).all(axis=1).mean() >= 0.95


@pytest.mark.filterwarnings("ignore")
def test_linear_layer_over_a_sequence(tmp_path):
    """(batch, tokens, features): torch writes a transposed weight and a MatMul instead of a Gemm."""
    torch.manual_seed(0)
    linear = QuantLinear(6, 5, weight_quant=QUANT, input_bits=4, input_signed=True)
    model = nn.Sequential(QuantIdentity(4, True, max_value=2.0), linear)
    x = np.random.default_rng(0).normal(size=(8, 3, 6)).astype(np.float32)
    export(model, tmp_path / "model.onnx", torch.from_numpy(x))
    assert "MatMul" in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    np.testing.assert_allclose(run_in_qonnx(tmp_path / "model.onnx", x), predict(model, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Linear(4, 4), "1: Linear has float weights: use gatewright.nn.QuantLinear"),
        (nn.Conv2d(4, 4, 1), "1: Conv2d has float weights: use gatewright.nn.QuantConv2d"),
        (nn.LayerNorm(4), "1: LayerNorm has float weights: quantised layers are gatewright.nn.QuantLinear, gate"),
        (QuantReLU(4), r"1: QuantReLU has no scale yet: run gatewright.train.calibrate\(model, inputs\) first"),
        (
            QuantLinear(4, 4, weight_quant=QUANT, input_bits=8),
            "1: input_bits=8, input_signed=False, but 0.Quant before it gives input_bits=4, input_signed=True",
        ),
    ],
)
def test_what_cannot_be_exported_is_named(layer, message, tmp_path):
    model = nn.Sequential(QuantIdentity(4, True, max_value=1.0), layer)
    with pytest.raises(ModelError, match=message):
        export(model, tmp_path / "model.onnx", torch.zeros(1, 4))
    assert not (tmp_path / "model.onnx").exists()


def test_a_layer_needs_a_quantised_input(tmp_path):
    model = nn.Sequential(QuantLinear(4, 4, weight_quant=QUANT, input_bits=8))
    with pytest.raises(ModelError, match="0: its input is not quantised: put a gatewright.nn.QuantIdentity before it"):
        export(model, tmp_path / "model.onnx", torch.zeros(1, 4))


def test_unfit_example_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"dtype torch.float64 and shape \(1, 4\): give a float32 tensor"):
        export(nn.Sequential(), tmp_path / "model.onnx", torch.zeros(1, 4, dtype=torch.float64))
    with pytest.raises(DataError, match=r"shape \(0, 4\): give a float32 tensor"):
        export(nn.Sequential(), tmp_path / "model.onnx", torch.zeros(0, 4))


def small_model() -> nn.Sequential:
    linear = QuantLinear(4, 3, weight_quant=QUANT, input_bits=4, input_signed=True)
    return nn.Sequential(QuantIdentity(4, True, max_value=1.0), linear)


def test_example_of_a_wrong_shape_is_refused_in_one_line(tmp_path, capfd):
    with pytest.raises(DataError) as caught:
        export(small_model(), tmp_path / "model.onnx", torch.zeros(2, 5))
    assert str(caught.value) == (
        "example_input of shape (2, 5) does not run in Sequential: mat1 and mat2 shapes cannot be multiplied "
        "(1x5 and 4x3): give a batch of the shape that the model takes as its only input"
    )
    assert capfd.readouterr() == ("", "")


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = small_model()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)  # the line that is named


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Nested())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x)


def test_the_line_is_the_innermost_of_the_users_program(tmp_path):
    """Neither a library's nor that of the whole network; the file is named from its project's folder."""
    export(Outer(), tmp_path / "model.onnx", torch.zeros(1, 4))
    found = origins(tmp_path / "model.onnx")
    line = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "the line that is" in text)
    want = f"tests/frontend/test_export.py:{line}: return self.inner(x)  # the line that is named"
    assert {o.source for o in found.values()} == {want}
    assert found["blocks_0_inner_1_Gemm"] == Origin("blocks.0.inner.1.Gemm", "Gemm", ("output",), want)


def test_a_model_of_library_modules_has_no_lines(tmp_path):
    export(small_model(), tmp_path / "model.onnx", torch.zeros(1, 4))
    sources = [o.source for o in origins(tmp_path / "model.onnx").values()]
    assert sources
    assert not any(sources)


@pytest.mark.parametrize(
    ("files", "path", "want"),
    [
        (["pyproject.toml", "net/a.py"], "net/a.py", "net/a.py"),
        (["net/__init__.py", "net/sub/__init__.py", "net/sub/a.py"], "net/sub/a.py", "net/sub/a.py"),
        (["a.py"], "a.py", "a.py"),
        (["pyproject.toml", "lib/site-packages/zoo/a.py"], "lib/site-packages/zoo/a.py", "zoo/a.py"),
    ],
)
def test_files_are_named_from_their_project(files, path, want, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert shortened(str(tmp_path / path)) == want


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = small_model()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        return y if y.sum() > 0 else -y


def test_what_torch_cannot_export_is_said_in_one_line(tmp_path):
    """In a process of its own: torch's loggers write to the stderr that they found when they were imported."""
    program = (
        "import sys, torch\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_export import Branch, export\n"
        "try:\n"
        "    export(Branch(), 'never.onnx', torch.zeros(2, 4))\n"
        "except Exception as error:\n"
        "    print(f'{type(error).__name__}: {error}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert re.fullmatch(
        r"ModelError: torch cannot export Branch: Could not guard on data-dependent .*: use layers .* values\n",
        done.stdout,
    )
    assert done.stderr == ""


def test_the_folder_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "model.onnx"
    export(small_model(), path, torch.zeros(1, 4))
    assert onnx.load(path).graph.output[0].name == "output"


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "model.onnx"):
        with pytest.raises(ConfigError, match=rf"cannot write '{path}': .*: give the path of a file that can be"):
            export(small_model(), path, torch.zeros(1, 4))
