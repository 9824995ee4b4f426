# SPDX-License-Identifier: Apache-2.0
"""Virtual environments as boards have them, made once and kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gatewright.sim.cache import cache_folder, cached, digest

ROOT = Path(__file__).parents[2]
OLDEST = ("3.8", "3.9")
"""The oldest versions of Python that the driver runs with."""
WITH_PYNQ = ("3.10",)
"""The oldest version that pynq 4 works with: it needs a pynqmetadata that older ones do not get."""
_OFFLINE = ("NewConnectionError", "Name or service not known", "Temporary failure in name resolution")


def python_of(versions: Sequence[str]) -> str | None:
    """An interpreter of one of these versions, the first that there is."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in versions:
        found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python3")))]
        for candidate in filter(None, found):
            if (
                subprocess.run([candidate, "-c", "import venv, ensurepip"], check=False, capture_output=True).returncode
                == 0
            ):
                return candidate
    return None


def environment(base: str, *packages: str) -> Path:
    """The Python of an environment with these packages, and what they need, and nothing else."""
    version = _output([base, "--version"])
    same = version == f"Python {sys.version.split()[0]}"  # another version may have no release of what is pinned
    pins = (ROOT / "constraints.txt").read_text() if same else ""
    options = ["--constraint", str(ROOT / "constraints.txt")] if same else []

    def make(root: Path, folder: Path) -> None:
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *options, *packages], check=False, capture_output=True, text=True)
        if done.returncode and any(sign in done.stderr for sign in _OFFLINE):
            pytest.skip(f"no package index can be reached, from which an environment with {packages!r} would come")
        assert done.returncode == 0, done.stderr

    return cached(cache_folder() / "environments", digest(packages, base, version, pins), make) / "bin" / "python"


def installed(python: Path) -> dict[str, str]:
    """Every package of an environment with its version."""
    text = _output([str(python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"])
    return {row["name"].lower(): row["version"] for row in json.loads(text)}


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
