# SPDX-License-Identifier: Apache-2.0
"""Virtual environments as a board has them: NumPy and pynq alone, made once and kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gatewright.sim.cache import cache_folder, cached, digest

ROOT = Path(__file__).parents[2]
OLD = ("3.8", "3.9")
"""Versions of Python that PYNQ images had, oldest first; the driver is written for the first."""
_OFFLINE = ("NewConnectionError", "Name or service not known", "Temporary failure in name resolution")


def old_python() -> str | None:
    """An interpreter as old as those of PYNQ images, where there is one."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in OLD:
        found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python3")))]
        for candidate in filter(None, found):
            if (
                subprocess.run([candidate, "-c", "import venv, ensurepip"], check=False, capture_output=True).returncode
                == 0
            ):
                return candidate
    return None


def pynq_only(base: str) -> Path:
    """The Python of an environment with NumPy, pynq and what they need, and nothing else."""
    version = _output([base, "--version"])
    pinned = (ROOT / "constraints.txt").read_text() if version == f"Python {sys.version.split()[0]}" else ""
    folder = cached(cache_folder() / "environments", digest("pynq", base, version, pinned), _maker(base, bool(pinned)))
    return folder / "bin" / "python"


def _maker(base: str, pinned: bool):  # type: ignore[no-untyped-def]
    """What makes it; only an environment as old as this one can have what this one has."""

    def make(root: Path, folder: Path) -> None:
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--constraint", str(ROOT / "constraints.txt")] if pinned else []
        done = subprocess.run(
            [*pip, "numpy<2", "pynq>=4", "setuptools<81"], check=False, capture_output=True, text=True
        )
        if done.returncode and any(sign in done.stderr for sign in _OFFLINE):
            pytest.skip("no package index can be reached, from which an environment with pynq alone would come")
        assert done.returncode == 0, done.stderr

    return make


def installed(python: Path) -> dict[str, str]:
    """Every package of an environment with its version."""
    text = _output([str(python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"])
    return {row["name"].lower(): row["version"] for row in json.loads(text)}


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
