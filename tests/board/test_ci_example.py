# SPDX-License-Identifier: Apache-2.0
"""docs/ci.md and examples/ci: the workflow parses, and its commands work in a project with the installed package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.models import two_layers

from gatewright.frontend.importer import import_model

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ci"


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    return dict(yaml.safe_load((EXAMPLE / "accelerator.yml").read_text()))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True)
    return next(folder.glob("gatewright-*.whl"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What somebody checks out: a model, images, their labels, and the example's test."""
    (tmp_path / "project").mkdir()
    b, y = two_layers()
    model = b.save(tmp_path / "project" / "model.onnx", y)
    x = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    np.save(model.with_name("images.npy"), x)
    np.save(model.with_name("labels.npy"), import_model(model).predict(x)[0].argmax(axis=1))
    shutil.copy(EXAMPLE / "test_accelerator.py", model.parent)
    return model.parent


def commands(workflow: dict[str, Any]) -> list[str]:
    """What the one job runs, in order."""
    (job,) = workflow["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def shell(command: str, project: Path, programs: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """As a runner does it: bash in the checkout, with a Python of its own in front."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env = inherited | {"PATH": f"{programs}:{os.environ['PATH']}", **variables}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command], cwd=project, env=env, capture_output=True, text=True, check=False
    )


def test_the_workflow_is_one_that_github_takes(workflow: dict[str, Any]) -> None:
    # YAML 1.1 reads the key `on` as true.
    assert set(workflow) == {"name", True, "jobs"} and workflow[True] == ["push", "pull_request"]
    (job,) = workflow["jobs"].values()
    assert job["runs-on"].startswith("ubuntu-")
    for step in job["steps"]:
        assert len({"run", "uses"} & set(step)) == 1 and set(step) <= {"run", "uses", "with", "env"}
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", s["uses"]) for s in job["steps"] if "uses" in s)


def test_the_page_shows_the_example_as_it_is() -> None:
    page = (ROOT / "docs" / "ci.md").read_text()
    shown = dict(re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL))
    test = (EXAMPLE / "test_accelerator.py").read_text()
    assert test.partition('"""\n\n')[2] == shown["python"]
    assert (EXAMPLE / "accelerator.yml").read_text().partition("\n")[2] == shown["yaml"]
    assert len(shown["yaml"].splitlines()) <= 13


def test_the_test_command_works_where_the_package_is_installed(
    workflow: dict[str, Any], wheel: Path, project: Path, tmp_path: Path
) -> None:
    """The wheel itself in an environment of its own; what it depends on is that of this environment."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    (site / "others.pth").write_text(f"{Path(np.__file__).parents[1]}\n")
    program = python.with_name("pytest")
    program.write_text(f"#!{python}\nfrom pytest import console_main\n\nraise SystemExit(console_main())\n")
    program.chmod(0o755)
    done = shell(commands(workflow)[-1], project, python.parent)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_all_commands_work_in_an_empty_environment(
    workflow: dict[str, Any], wheel: Path, project: Path, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    for command in commands(workflow):
        done = shell(command, project, tmp_path / "env" / "bin", GATEWRIGHT=wheel.as_uri())
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    listed = shell("python -m pip list", project, tmp_path / "env" / "bin").stdout
    assert "torch" not in listed
    assert "1 passed" in done.stdout
