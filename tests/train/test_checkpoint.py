# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: read back as written, never half a file, and nothing but tensors and plain values."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest
import torch

from gatewright.errors import ConfigError
from gatewright.train.checkpoint import load_checkpoint, save_checkpoint, write_atomically


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {"x": torch.arange(3), "deep": {"history": [{"loss": 0.5}]}})
    state = load_checkpoint(tmp_path / "a.pt")
    assert torch.equal(state["x"], torch.arange(3))
    assert state["deep"] == {"history": [{"loss": 0.5}]}
    torch.load(tmp_path / "a.pt", weights_only=True)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    with pytest.raises(ConfigError, match="cannot be written"):
        write_atomically(tmp_path / "no" / "folder", lambda file: file.write(b""))


class Arbitrary:
    """What unpickling would run the code of."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a readable checkpoint"),
        (b"junk", "is not a readable checkpoint"),
        (Arbitrary(), "is not a readable checkpoint"),
        ({"format": 99}, "is no checkpoint of this version"),
        ([1], "is no checkpoint of this version"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "a.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ConfigError, match=message):
        load_checkpoint(path)
    with pytest.raises(ConfigError, match="is not a readable checkpoint"):
        load_checkpoint(tmp_path / "none.pt")
