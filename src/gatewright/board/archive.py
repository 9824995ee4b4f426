# SPDX-License-Identifier: Apache-2.0
"""Files as bytes, and how they come to a disk: the same bytes give the same folder and the same archive."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatewright.emit.files import mode, packed
from gatewright.errors import ConfigError
from gatewright.runtime.bundle import MANIFEST as MANIFEST
from gatewright.runtime.bundle import Bundle


def npz(arrays: Mapping[str, npt.NDArray[np.generic]]) -> bytes:
    """A `.npz` of these arrays. `numpy.savez` has no place for arrays called `file`, as inputs of models may be."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def write_archive(files: Mapping[str, bytes], top: str, path: Path) -> None:
    """Write a `.tar.gz` that unpacks into one folder `top`; it is never half written.

    Raises:
        ConfigError: it cannot be written.
    """
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as part:
            part.write(packed(files, top))
        Path(part.name).chmod(0o644)
        Path(part.name).replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error}): choose another with -o") from error


def write_folder(files: Mapping[str, bytes], folder: Path) -> None:
    """Write all files into a folder, in place of an earlier bundle there; it is never half written.

    Raises:
        ConfigError: the folder holds what is no bundle's, or cannot be written.
    """
    folder = folder.resolve()
    check_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as name:
            made, old = Path(name) / "new", Path(name) / "old"
            for path in sorted(files):
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_bytes(files[path])
                (made / path).chmod(mode(path))
            if folder.exists():
                folder.rename(old)
            made.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error}): choose another with -o") from error


def check_target(path: Path, tar: bool) -> None:
    """Refuse a place where no bundle can be written, before the work that goes before it.

    Raises:
        ConfigError: says why.
    """
    path = path.resolve()
    if not tar:
        check_folder(path)
    elif path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file with -o, or leave out --tar")
    parent = next(p for p in path.parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigError(f"{path} cannot be written: {parent} is no folder that you may write to")


def check_folder(folder: Path) -> None:
    """Refuse a place for a bundle with anything in it that no bundle wrote.

    Raises:
        ConfigError: names the first such file.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: name a folder with -o, or add --tar for an archive")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    there = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or p.is_symlink())
    manifest = folder / MANIFEST
    foreign = foreign_files(there, manifest.read_bytes() if manifest.is_file() else b"")
    if foreign:
        raise ConfigError(
            f"{folder} holds {foreign[0]}, which is of no earlier bundle: "
            "move it away, or choose another folder with -o"
        )


def foreign_files(there: Iterable[str], manifest: str | bytes) -> list[str]:
    """The files in a folder that neither the bundle there wrote, nor Python when it ran.

    Args:
        there: all files, by relative path.
        manifest: what lies there as `bundle.json`; empty where nothing does.
    """
    try:
        own = {MANIFEST, *json.loads(manifest)["files"]}
    except (ValueError, TypeError, KeyError):
        own = set()
    return sorted(name for name in there if name not in own and "__pycache__" not in name.split("/"))


def read_files(path: Path) -> dict[str, bytes]:
    """A bundle's files by relative path, from its folder or archive, checked as the driver checks them.

    Raises:
        BundleError: no bundle, or a file that is missing or damaged, named.
    """
    with closing(Bundle(path)) as bundle:
        return {name: (bundle.folder / name).read_bytes() for name in (MANIFEST, *bundle.record["files"])}
