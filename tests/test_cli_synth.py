# SPDX-License-Identifier: Apache-2.0
"""`gatewright synth`: what it prints, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from click.testing import Result
from tests.models import two_layers
from typer.testing import CliRunner

from gatewright.build import Build, compile_model
from gatewright.cli import app
from gatewright.cli.synth import _pair


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["synth", *arguments])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("synth")
    b, y = two_layers()
    onnx.save(b.model(y), folder / "two.onnx")
    return compile_model(folder / "two.onnx", "pynq-z2", fps=10_000, output=folder / "build")


def test_the_table_has_the_unit_its_sum_and_the_board(build: Build) -> None:
    fifo = next(link.name for link in build.structure.links if link.depth)
    result = run(str(build.directory), "--unit", fifo)
    assert result.exit_code == 0
    for text in (fifo, "sum of the units", "53,200", "measured (predicted)"):
        assert text in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tool", "ise"), "--tool 'ise' is unknown: use yosys or vitis-hls"),
        (("--family", "xc6s"), "--family 'xc6s' is unknown: use xc7 or xcup"),
        (("--unit", "nothing"), "no unit 'nothing' in the design"),
    ],
)
def test_what_is_not_there_is_refused(build: Build, arguments: tuple[str, ...], message: str) -> None:
    result = run(str(build.directory), *arguments)
    assert result.exit_code == 1 and message in result.stderr


def test_a_folder_that_is_no_build_is_refused(tmp_path: Path) -> None:
    result = run(str(tmp_path))
    assert result.exit_code == 1 and "is no build folder" in result.stderr


def test_counts_are_printed_with_their_predictions() -> None:
    assert _pair(1234.0, 1200.26) == "1,234 (1,200.3)"
    assert _pair(0.5, 0.0) == "0.5 (0)"
