# SPDX-License-Identifier: Apache-2.0
"""The idx files of MNIST and of sets in its form: images and labels of two splits, packed (.gz) or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewright.data.dataset import DataSet, Split
from gatewright.errors import DataError

IMAGES_MAGIC, LABELS_MAGIC = 0x803, 0x801  # unsigned bytes with 3 axes, with 1 axis


def holds_files(folder: Path) -> bool:
    """Whether all four files are there."""
    return all(_file(folder, split, kind) for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


def read_folder(folder: Path) -> DataSet:
    """Images as uint8 (N, 1, rows, columns), and their classes.

    Raises:
        DataError: a file has gone, is damaged, or does not fit its neighbour.
    """
    return DataSet(_split(folder, "train"), _split(folder, "t10k"))


def _file(folder: Path, split: str, kind: str) -> Path | None:
    names = (f"{split}-{kind}-ubyte.gz", f"{split}-{kind}-ubyte")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _split(folder: Path, split: str) -> Split:
    images, labels = (
        _read(_file(folder, split, kind) or folder / f"{split}-{kind}-ubyte", magic)
        for kind, magic in (("images-idx3", IMAGES_MAGIC), ("labels-idx1", LABELS_MAGIC))
    )
    if len(images) != len(labels):
        raise DataError(f"{folder}: {len(images)} {split} images, but {len(labels)} labels: get the files again")
    return Split(images[:, None], labels.astype(np.int64))


def _read(path: Path, magic: int) -> NDArray[np.uint8]:
    """An idx file: big-endian magic number and sizes, then the bytes."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found = int.from_bytes(content[:4], "big")
        if found != magic:
            raise ValueError(f"its magic number is {found:#x}, not {magic:#x}")
        axes = magic & 0xFF
        sizes = np.frombuffer(content, ">u4", axes, offset=4).astype(np.int64)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(sizes).copy()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: not a readable idx file ({error}): get it again") from error
