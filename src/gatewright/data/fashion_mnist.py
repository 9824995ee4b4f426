# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST (Xiao et al., 2017; MIT): 70,000 grey images of clothes, 28x28 pixels, 10 classes.

The files are those of the Debian package `dataset-fashion-mnist`, or of the authors.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from gatewright.data.cache import data_cache
from gatewright.data.dataset import DataSet
from gatewright.data.idx import holds_files, read_folder
from gatewright.errors import DataError, MissingToolError, ToolError

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")


def load(folder: Path | None = None) -> DataSet:
    """60,000 training and 10,000 test images, uint8 (N, 1, 28, 28), as the authors split them.

    Args:
        folder: holds the four idx files, packed (.gz) or not; else the installed package, else what `fetch` unpacked.

    Raises:
        DataError: a file that is not there, with the ways to get it, or that is damaged.
    """
    home = _find(folder)
    return read_folder(home)


def fetch() -> Path:
    """Download the Debian package with apt-get and unpack it into the cache, without root; the folder of its files.

    Raises:
        MissingToolError: no apt-get or dpkg-deb.
        ToolError: the download or the unpacking failed.
    """
    home = _unpacked()
    if holds_files(home):
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
        if not holds_files(work / "files" / INSTALLED.relative_to("/")):
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
    home = next((place for place in places if holds_files(place)), None)
    if home is None:
        looked = " or ".join(map(str, places))
        raise DataError(f"no Fashion-MNIST files in {looked}: {_remedy()}")
    return home


def _remedy() -> str:
    return (
        f"run gatewright data fashion-mnist, install the Debian package {PACKAGE}, or give the folder of the authors' "
        "four idx files (train-images-idx3-ubyte.gz, ...)"
    )
