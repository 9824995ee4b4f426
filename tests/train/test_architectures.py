# SPDX-License-Identifier: Apache-2.0
"""Named networks: shapes, settings, and the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gatewright.errors import ConfigError, ModelError
from gatewright.nn.convert import convert
from gatewright.nn.quantize_config import QuantizeConfig
from gatewright.train.architectures import ARCHITECTURES, make_model

SIZES = {"cnv": 32}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_runs_and_can_be_quantised(name: str) -> None:
    shape = (3, SIZES.get(name, 16), SIZES.get(name, 16))
    settings = {"width": 4} if name == "cnv" else {}
    model = make_model(name, settings, shape, 7)
    assert model(torch.rand(2, *shape)).shape == (2, 7)
    made = convert(model, QuantizeConfig(weight_bits=2, activation_bits=2, input_max=255.0))
    assert len(made.layers) >= 3
    assert not made.leading


def test_cnv_is_the_published_one() -> None:
    model = make_model("cnv", {}, (3, 32, 32), 10)
    widths = [p.shape[0] for name, p in model.named_parameters() if p.dim() > 1]
    assert widths == [64, 64, 128, 128, 256, 256, 512, 512, 10]
    assert model.get_submodule("dense1").in_features == 256


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("vggg", {}, "architecture 'vggg' is unknown: did you mean 'vgg'?"),
        ("mlp", {"densse": [3]}, r"\[model\] setting 'densse' is unknown: did you mean 'dense'\?"),
        ("tfc", {"x": 1}, r"\[model\] setting 'x' is unknown"),
        ("vgg", {"stages": 3}, r"\[model\] vgg does not take {'stages': 3}"),
        ("vgg", {"stages": [[4]] * 5}, "leave nothing of an image of"),
        ("mobilenet", {"strides": [1]}, "must be as many as channels"),
        ("nowhere:net", {}, r"\[model\] name='nowhere:net' cannot be imported"),
        ("math:tau", {}, r"\[model\] name='math:tau' is no function"),
    ],
)
def test_what_is_wrong_is_named(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_model(name, settings, (1, 8, 8), 10)


def test_a_function_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\n"
        "def small(shape, classes, *, width=4):\n"
        "    hidden = nn.Linear(shape[1] * shape[2], width)\n"
        "    return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(width, classes))\n"
        "def nothing(shape, classes):\n"
        "    return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    model = make_model("own_networks:small", {"width": 6}, (1, 8, 8), 10)
    assert [p.shape[0] for p in model.parameters()] == [6, 6, 10, 10]
    with pytest.raises(ConfigError, match="setting 'widht' is unknown: did you mean 'width'"):
        make_model("own_networks:small", {"widht": 6}, (1, 8, 8), 10)
    with pytest.raises(ModelError, match="own_networks:nothing gives a int"):
        make_model("own_networks:nothing", {}, (1, 8, 8), 10)
