# SPDX-License-Identifier: Apache-2.0
"""Data parallelism: shares that partition, and two processes that train one model under torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gatewright.data import load_data
from gatewright.errors import ConfigError
from gatewright.train import evaluate
from gatewright.train.checkpoint import load_checkpoint
from gatewright.train.parallel import ALONE, Ranks, choose_device
from gatewright.train.run import make_models, make_splits

from .recipes import TABLES, as_toml, small_recipe


@pytest.mark.parametrize(("count", "world", "batch"), [(12, 2, 4), (13, 2, 4), (10, 3, 6), (1, 4, 4), (7, 1, 3)])
def test_shares_are_equal_and_cover_everything(count: int, world: int, batch: int) -> None:
    order = torch.randperm(count)
    shares = [Ranks(rank, world).share(order, batch) for rank in range(world)]
    assert len({tuple(len(part) for part in share) for share in shares}) == 1
    taken = torch.cat([part for share in shares for part in share])
    assert len(taken) == -(-count // world) * world
    assert set(taken.tolist()) == set(range(count))
    whole = [torch.cat(parts) for parts in zip(*shares, strict=True)]
    assert all(set(part.tolist()) <= set(order.repeat(4)[: (i + 1) * batch].tolist()) for i, part in enumerate(whole))


def test_alone_nothing_is_exchanged() -> None:
    assert ALONE.sum([1.0, 2.5], torch.device("cpu")) == [1.0, 2.5]
    assert ALONE.gather("x") == ["x"]
    assert ALONE.writes
    assert not Ranks(1, 2).writes


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_devices_without_a_gpu() -> None:
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="device='cuda': torch sees no GPU here"):
        choose_device("cuda")
    with pytest.raises(ConfigError, match="device='gpu' is unknown: use one of auto, cpu, cuda"):
        choose_device("gpu")


def torchrun(recipe: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "gatewright",
    ]
    return subprocess.run(
        [*command, "train", str(recipe), "-o", str(output), "--device", "cpu", "--json", *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def recipe_file(folder: Path, **train: object) -> Path:
    path = folder / "r.toml"
    path.write_text(as_toml({**TABLES, "train": {"lr": 0.02, "batch": 50, "schedule": "constant", **train}}))
    return path


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    done = torchrun(recipe_file(tmp_path, epochs=1), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    result = json.loads(done.stdout)  # one process speaks
    assert (result["epochs"], result["test_images"]) == (1, 60)
    state = load_checkpoint(tmp_path / "out" / "last.pt")["quant"]
    assert [len(state["generators"]), len(state["history"])] == [2, 1]
    assert not torch.equal(*(generators["cpu"] for generators in state["generators"]))
    # Each process saw 135 of the 270 training images and 15 of the 30 held out: the accuracies are those of all.
    for name, images in (("train_accuracy", 270), ("test_accuracy", 30)):
        right = state["history"][-1][name] * images
        assert right == pytest.approx(round(right))
    recipe = small_recipe()
    data = load_data("digits")
    _, model = make_models(recipe, data)
    model.load_state_dict(state["model"])
    assert evaluate(model, make_splits(data, recipe).validation) == state["history"][-1]["test_accuracy"]


@pytest.mark.slow
def test_two_processes_resume(tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path, float_epochs=1, epochs=3)
    assert torchrun(recipe, tmp_path / "whole").returncode == 0
    assert torchrun(recipe, tmp_path / "parts", "--epochs", "1").returncode == 0
    assert torchrun(recipe, tmp_path / "parts", "--resume").returncode == 0
    one, other = (load_checkpoint(tmp_path / name / "last.pt")["quant"] for name in ("whole", "parts"))
    assert one["history"] == other["history"]
    assert all(torch.equal(value, other["model"][key]) for key, value in one["model"].items())
    alone = subprocess.run(
        [sys.executable, "-m", "gatewright", "train", str(recipe), "-o", str(tmp_path / "parts"), "--resume"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert alone.returncode == 1
    assert "saved by 2 processes and there are 1 now" in alone.stderr


@pytest.mark.slow
def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    done = torchrun(recipe_file(tmp_path, epochs=1, batch=51), tmp_path / "out")
    assert done.returncode != 0
    assert "batch=51 does not divide among 2 processes: make it a multiple" in done.stderr
