# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST (Xiao et al., 2017; MIT): 70,000 grey images of clothes, 28x28 pixels, 10 classes.

The files are those of the Debian package `dataset-fashion-mnist`, or of the authors.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatewright.data.cache import data_cache
from gatewright.data.dataset import DataSet, Split
from gatewright.errors import DataError, MissingToolError, ToolError

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
IMAGES_MAGIC, LABELS_MAGIC = 0x803, 0x801  # unsigned bytes with 3 axes, with 1 axis


def load(folder: Path | None = None) -> DataSet:
    """60,000 training and 10,000 test images, uint8 (N, 1, 28, 28), as the authors split them.

    Args:
        folder: holds the four idx files, packed (.gz) or not; else the installed package, else what `fetch` unpacked.

    Raises:
        DataError: a file that is not there, with the ways to get it, or that is damaged.
    """
    home = _find(folder)
    return DataSet(_split(home, "train"), _split(home, "t10k"))


def fetch() -> Path:
    """Download the Debian package with apt-get and unpack it into the cache, without root; the folder of its files.

    Raises:
        MissingToolError: no apt-get or dpkg-deb.
        ToolError: the download or the unpacking failed.
    """
    home = _unpacked()
    if _holds_files(home):
        return home
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MissingToolError(f"{tool} is not there: {_remedy()}")
    root = data_cache("fashion_mnist")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as name:
        work = Path(name)
        _run(["apt-get", "download", PACKAGE], work)
        for package in work.glob("*.deb"):
            _run(["dpkg-deb", "-x", package.name, "files"], work)
        if not _holds_files(work / "files" / INSTALLED.relative_to("/")):
            raise ToolError(f"the package {PACKAGE} does not hold what it should: {_remedy()}")
        shutil.rmtree(root, ignore_errors=True)
        (work / "files").rename(root)
    return home


def _unpacked() -> Path:
    return data_cache("fashion_mnist") / INSTALLED.relative_to("/")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise ToolError(f"{' '.join(command)} failed ({reason}): run apt-get update as root, or {_remedy()}")


def _find(folder: Path | None) -> Path:
    places = (INSTALLED, _unpacked()) if folder is None else (folder,)
    home = next((place for place in places if _holds_files(place)), None)
    if home is None:
        looked = " or ".join(map(str, places))
        raise DataError(f"no Fashion-MNIST files in {looked}: {_remedy()}")
    return home


def _remedy() -> str:
    return (
        f"run gatewright data fashion-mnist, install the Debian package {PACKAGE}, or give the folder of the authors' "
        "four idx files (train-images-idx3-ubyte.gz, ...)"
    )


def _holds_files(folder: Path) -> bool:
    return all(_file(folder, split, kind) for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


def _file(folder: Path, split: str, kind: str) -> Path | None:
    names = (f"{split}-{kind}-ubyte.gz", f"{split}-{kind}-ubyte")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _split(folder: Path, split: str) -> Split:
    images = _read_idx(_file(folder, split, "images-idx3"), IMAGES_MAGIC)
    labels = _read_idx(_file(folder, split, "labels-idx1"), LABELS_MAGIC)
    if len(images) != len(labels):
        raise DataError(f"{folder}: {len(images)} {split} images, but {len(labels)} labels: get the files again")
    return Split(images[:, None], labels.astype(np.int64))


def _read_idx(path: Path | None, magic: int) -> NDArray[np.uint8]:
    """An idx file: big-endian magic number and sizes, then the bytes."""
    if path is None:  # removed since it was found
        raise DataError(f"a Fashion-MNIST file has gone: {_remedy()}")
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
