# SPDX-License-Identifier: Apache-2.0
"""`gatewright report`."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest
from click.testing import Result
from tests.models import two_layers
from typer.testing import CliRunner

from gatewright.build import compile_model
from gatewright.cli import app
from gatewright.report import render


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    b, y = two_layers()
    folder = tmp_path_factory.mktemp("verb")
    return compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e5, output=folder / "build").directory


def test_it_writes_into_the_build(build: Path) -> None:
    result = run(str(build))
    assert result.exit_code == 0, result.output
    assert str(build / "report.html") in result.stdout
    assert (build / "report.html").read_text(encoding="utf-8") == render(build)


def test_output_and_json(build: Path, tmp_path: Path) -> None:
    result = run(str(build), "-o", str(tmp_path / "page.html"), "--frames", "3", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["report"] == str(tmp_path / "page.html") and record["frames"] == 3
    prediction = json.loads((build / "prediction.json").read_text())
    assert all(record[k] == prediction[k] for k in ("interval_cycles", "latency_cycles", "bottleneck", "digest"))
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == render(build, frames=3)


def test_open(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert run(str(build), "-o", str(tmp_path / "page.html"), "--open").exit_code == 0
    assert opened == [(tmp_path / "page.html").as_uri()]


def test_no_build_folder(tmp_path: Path) -> None:
    result = run(str(tmp_path))
    assert result.exit_code == 1
    assert "is no build folder" in result.stderr
    assert list(tmp_path.iterdir()) == []
