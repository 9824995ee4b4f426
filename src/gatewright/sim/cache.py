# SPDX-License-Identifier: Apache-2.0
"""Builds kept by content, shared by all processes of a user."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def cache_folder() -> Path:
    """Where compiled simulations are kept: `$GATEWRIGHT_CACHE`, else `gatewright` in the user's cache folder."""
    own = os.environ.get("GATEWRIGHT_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatewright"


def cached(root: Path, key: str, make: Callable[[Path, Path], None]) -> Path:
    """The folder `root/key`, made by `make(root, folder)` if it is not there; safe among processes."""
    final = root / key
    if final.is_dir():
        return final
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="making-") as name:
        made = Path(name) / "made"
        made.mkdir()
        make(root, made)
        try:
            made.rename(final)
        except OSError:  # another process was quicker, and what it made is the same
            if not final.is_dir():
                raise
    return final


def digest(*parts: object) -> str:
    """A key for what JSON can write."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def file_digests(paths: Iterable[Path]) -> list[str]:
    """What stands for the contents of files, in order, in a `digest`."""
    return [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths]
