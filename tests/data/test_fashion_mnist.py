# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST: the idx format, what is said of missing and damaged files, and (where it can be got) the real set."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from gatewright.data import data_sets, fashion_mnist, fetch_data, load_data
from gatewright.errors import ConfigError, DataError, MissingToolError, ToolError


def idx(array: np.ndarray) -> bytes:
    """The idx format: two zeros, type 8 (unsigned byte), number of axes, sizes, contents."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("t10k", 7)):
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(idx(rng.integers(0, 256, (count, 28, 28))))
        (tmp_path / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(count) % 10)))
    return tmp_path


def test_packed_and_unpacked_files_are_read(folder: Path) -> None:
    data = load_data("fashion-mnist", folder)
    assert (data.train.x.shape, data.test.x.shape) == ((20, 1, 28, 28), (7, 1, 28, 28))
    assert data.train.x.dtype == np.uint8
    assert data.train.x.flags.writeable  # torch warns of arrays that are not
    expected = np.random.default_rng(0).integers(0, 256, (20, 28, 28))
    np.testing.assert_array_equal(data.train.x[:, 0], expected)
    assert data.test.y.tolist() == list(range(7))
    assert (data.step, data.full, data.classes) == (1.0, 255.0, 10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable idx file"),
        (idx(np.zeros(3)), "its magic number is 0x801, not 0x803"),
        (idx(np.zeros((20, 28, 28)))[:-5], "not a readable idx file"),
        (idx(np.zeros((3, 28, 28))), "3 train images, but 20 labels"),
    ],
)
def test_damaged_files_are_named(folder: Path, content: bytes, message: str) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_data("fashion_mnist", folder)


def test_a_damaged_archive_is_named(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz: not a readable idx file"):
        load_data("fashion_mnist", folder)


def test_missing_files_come_with_the_ways_to_get_them(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(
        DataError, match=r"no Fashion-MNIST files in .*: run gatewright data fashion-mnist, install the"
    ):
        load_data("fashion_mnist", folder)


def test_without_apt_the_ways_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GATEWRIGHT_DATA", str(tmp_path / "cache"))
    with pytest.raises(MissingToolError, match="apt-get is not there: run"):
        fetch_data("fashion_mnist")


def test_a_download_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        (tmp_path / tool).write_text("#!/bin/sh\necho first >&2\necho no network >&2\nexit 100\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("GATEWRIGHT_DATA", str(tmp_path / "cache"))
    with pytest.raises(ToolError, match=r"apt-get download dataset-fashion-mnist failed \(no network\)"):
        fetch_data("fashion_mnist")
    assert list((tmp_path / "cache").iterdir()) == []


def test_names() -> None:
    assert {"digits", "fashion_mnist"} <= set(data_sets())
    assert fetch_data("digits") is None
    with pytest.raises(
        ConfigError, match=r"data set 'fashion_minst' is unknown: did you mean 'fashion_mnist'\? There are"
    ):
        load_data("fashion_minst")


def test_the_real_set() -> None:
    try:
        fashion_mnist.fetch()
    except ToolError as error:
        pytest.skip(str(error))
    data = load_data("fashion_mnist")
    assert data.train.x.shape == (60000, 1, 28, 28)
    assert np.bincount(data.train.y).tolist() == [6000] * 10
    assert np.bincount(data.test.y).tolist() == [1000] * 10
    assert data.train.x.mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    assert data.train.x.std() / 255 == pytest.approx(0.3530, abs=1e-4)
    assert data.train.y[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
