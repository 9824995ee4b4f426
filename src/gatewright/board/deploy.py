# SPDX-License-Identifier: Apache-2.0
"""`gatewright deploy`: a bundle copied to a board over ssh, and verified there.

The board needs a POSIX shell and tar; to verify, bash and a Python with NumPy and pynq too, which the login shells of
PYNQ's images activate.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gatewright.board.archive import MANIFEST, foreign_files, read_files
from gatewright.emit.files import packed
from gatewright.errors import ConfigError, ToolError
from gatewright.progress import Progress, silent
from gatewright.runtime.transport import UART, load_command
from gatewright.ssh import SSH_FAILED, Remote, login

OLDEST_PYTHON = (3, 8)
MARK = "gatewright-probe"
_SLACK = 1 << 20
"""Bytes beyond those of the files that the file system of the board must have free."""


@dataclass(frozen=True)
class Place:
    """Where a bundle goes on a board, and how it is run there.

    Attributes:
        path: folder on the board, relative to the user's home unless it begins with a slash.
        python: the interpreter there.
        sudo: run it as root by way of sudo.
        device: what run.py is told to use; None for the board's own FPGA.
    """

    path: str
    python: str = "python3"
    sudo: bool = False
    device: str | None = None


@dataclass(frozen=True)
class Found:
    """What lies at the other end.

    Attributes:
        root: whether the user is root.
        free: bytes free where the bundle goes.
        files: what lies in the folder already, by relative path.
        manifest: `bundle.json` of the bundle that lies there; "" where there is none.
    """

    root: bool
    free: int
    files: tuple[str, ...]
    manifest: str


def install(
    bundle: str | Path,
    remote: Remote,
    *,
    path: str | None = None,
    python: str = "python3",
    sudo: bool = False,
    device: str | None = None,
    verify: bool = True,
    progress: Progress = silent,
) -> Place:
    """Copy a bundle to a board, where `run_verify` can run it.

    Args:
        bundle: a bundle's folder or archive.
        remote: the board.
        path: folder on the board; `gatewright/NAME` in the user's home by default.
        python: the interpreter on the board.
        sudo: run as root by way of sudo, which PYNQ needs for any other user.
        device: what the driver there is told to use instead of the board's FPGA, such as a virtual board's HOST:PORT.
        verify: whether it is to be run; if not, nothing is asked of the board's Python.
        progress: called with the name of each step, and with bytes as they go.

    Returns:
        Where it is.

    Raises:
        BundleError: no bundle, or a damaged one.
        ConfigError: a bundle that this board cannot run, or a folder on it that holds something else.
        ToolError: the board cannot be reached, lacks something, or has no room.
    """
    files = read_files(Path(bundle))
    record = json.loads(files[MANIFEST])
    place = Place(_remote_path(path or f"gatewright/{record['name']}"), python, sudo, device)
    if verify and record.get("transport") == UART:
        raise ConfigError(
            f"{record['title']} is no computer that ssh reaches: load the bitstream of {bundle} over USB "
            f"(`{load_command(record['board'], 'FILE')}`) and run `python3 run.py verify` in the bundle on the "
            "computer that it is plugged into; --no-verify copies the bundle to that computer"
        )
    if verify and device is None:
        _check_bitstream(bundle, record)
    progress(f"looking at {remote.host}")
    found = probe(remote, place)
    _check_place(remote, place, found, sum(map(len, files.values())))
    if verify:
        _check_python(remote, place)
        check_root(remote, place, found)
    copy(remote, place, files, progress)
    return place


def _remote_path(path: str) -> str:
    """A folder as shells of the board see it, which quoting keeps from meaning anything else."""
    plain = posixpath.normpath(path.removeprefix("~/") or ".")
    if plain in (".", "/", "~") or plain.split("/")[0] == ".." or "\n" in path:
        raise ConfigError(f"path {path!r}: name a folder of its own on the board, such as gatewright/digits")
    return plain if plain.startswith("/") else f"./{plain}"


def _check_bitstream(bundle: str | Path, record: Mapping[str, object]) -> None:
    bitstream = record["bitstream"]
    if not isinstance(bitstream, dict):
        raise ConfigError(f"{bundle} has no bitstream for {record['title']}: --no-verify copies it as it is")
    if bitstream["kind"] == "virtual":
        raise ConfigError(
            f"{bundle} has a virtual bitstream, which no FPGA takes: --no-verify copies it as it is, and --device "
            "HOST:PORT verifies there against a virtual board (gatewright board serve)"
        )


def probe(remote: Remote, place: Place) -> Found:
    """Look at the other end: user, room, and what lies where the bundle goes.

    Raises:
        ToolError: ssh failed, or the other end has no POSIX tools.
    """
    path = shlex.quote(place.path)
    script = (
        f"d={path}; echo {MARK}; id -u; "
        'p=$d; while [ ! -d "$p" ]; do p=$(dirname "$p"); done; df -Pk "$p" | tail -n 1; '
        f'echo {MARK}; if [ -d "$d" ]; then (cd "$d" && find . ! -type d); elif [ -e "$d" ]; then echo .; fi; '
        f'echo {MARK}; cat "$d/{MANIFEST}" 2>/dev/null; echo {MARK}'
    )
    status, out, err = remote.run(f"sh -c {shlex.quote(script)}")
    parts = out.split(f"{MARK}\n")
    try:
        user, room = parts[1].splitlines()
        files = tuple(line.removeprefix("./") for line in parts[2].splitlines())
        return Found(user == "0", free_bytes(room), files, parts[3])
    except (IndexError, ValueError) as error:
        said = (err or out).strip().splitlines()
        raise ToolError(
            f"{remote.host}: no POSIX shell with id, df, dirname and find there ({said[-1] if said else status!r})"
        ) from error


def free_bytes(line: str) -> int:
    """What a line of `df -Pk` says is available; names of file systems and folders may hold spaces.

    Raises:
        ValueError: it is none.
    """
    found = re.search(r"\s\d+\s+-?\d+\s+(-?\d+)\s+(?:\d+%|-)\s+/", line)
    if found is None:
        raise ValueError(line)
    return int(found.group(1)) * 1024


def _check_place(remote: Remote, place: Place, found: Found, size: int) -> None:
    """Refuse a folder that holds something else, and a file system without room.

    Raises:
        ConfigError, ToolError: say which.
    """
    foreign = foreign_files(found.files, found.manifest)
    if foreign:
        what = "is a file there" if foreign == ["."] else f"holds {foreign[0]}, which is of no earlier bundle"
        raise ConfigError(f"{remote.host}: {place.path} {what}: move it away, or choose another folder with --path")
    if found.free < size + _SLACK:
        raise ToolError(
            f"{remote.host}: {found.free >> 20} MiB are free at {place.path}, and the bundle takes "
            f"{size + _SLACK >> 20}: make room, name another place with --path, or make a bundle of fewer --frames"
        )


def _check_python(remote: Remote, place: Place) -> None:
    """Refuse a board whose Python cannot run the driver.

    Raises:
        ToolError: says what is missing.
    """
    code = (
        "import sys; from importlib.util import find_spec as f; "
        f"print('{MARK}', *sys.version_info[:2], *[m for m in ('numpy', 'pynq') if f(m) is None])"
    )
    status, out, err = remote.run(login(f"{shlex.quote(place.python)} -c {shlex.quote(code)}"))
    found = next((line.split()[1:] for line in out.splitlines() if line.startswith(MARK)), None)
    if found is None:
        said = err.strip().splitlines()
        raise ToolError(
            f"{remote.host}: {place.python!r} does not run there ({said[-1] if said else f'exit status {status}'}): "
            "name the Python of the board with --python"
        )
    version, missing = tuple(map(int, found[:2])), found[2:]
    if version < OLDEST_PYTHON:
        raise ToolError(
            f"{remote.host}: {place.python!r} is Python {found[0]}.{found[1]}, and the driver needs 3.8: "
            "name another with --python"
        )
    if missing:
        raise ToolError(
            f"{remote.host}: {place.python!r} has no {' and no '.join(missing)}: name the Python of PYNQ with --python "
            "(on its images /usr/local/share/pynq-venv/bin/python3), or install it there with pip"
        )


def check_root(remote: Remote, place: Place, found: Found) -> None:
    """PYNQ lets only root at the FPGA.

    Raises:
        ConfigError: the user is not, and sudo was not asked for.
    """
    if not found.root and not place.sudo and place.device is None:
        user = remote.host.rpartition("@")[0] or "the user"
        raise ConfigError(
            f"{remote.host}: {user} is not root, whom alone PYNQ lets at the FPGA: add --sudo, or log in as root"
        )


def copy(remote: Remote, place: Place, files: Mapping[str, bytes], progress: Progress = silent) -> None:
    """Copy files into the folder on the board, in place of an earlier bundle; it is never half there.

    Raises:
        ToolError: ssh failed, or the board could not write.
    """
    script = (
        f"set -e; d={shlex.quote(place.path)}; "
        """p=$d.part; trap 'rm -rf "$p"' EXIT; mkdir -p "$(dirname "$d")"; rm -rf "$p"; mkdir "$p"; """
        'tar xzf - -C "$p"; rm -rf "$d"; mv "$p" "$d"'
    )
    step = f"copying to {remote.host}"
    status, _, err = remote.run(f"sh -c {shlex.quote(script)}", packed(files, "."), step, progress)
    if status:
        said = [line.strip() for line in err.splitlines() if line.strip()] or [f"exit status {status}"]
        cause = next((line for line in said if "No space left" in line or "denied" in line), said[-1])
        raise ToolError(
            f"{remote.host}: {place.path} cannot be written ({cause}): "
            "make room there, or choose another folder with --path"
        )


def run_verify(remote: Remote, place: Place) -> bool:
    """Run the bundle's `verify` on the board, its report on this process' stdout; whether it agreed.

    Raises:
        ToolError: ssh failed.
    """
    asks = place.sudo and sys.stdin.isatty()
    command = remote.command(verify_command(place, asks), terminal=asks)
    sys.stdout.flush()
    status = subprocess.run(command, stdin=None if asks else subprocess.DEVNULL, check=False).returncode
    if status == SSH_FAILED:
        raise ToolError(f"{remote.host}: the connection ended while it verified: see above, and run it again")
    return status == 0


def verify_command(place: Place, asks: bool) -> str:
    """The line of shell that runs `verify`; without somebody to ask, sudo fails where it wants a password."""
    words = [place.python, "run.py", "verify", *(["--device", place.device] if place.device else [])]
    script = login(f"cd {shlex.quote(place.path)} && exec {shlex.join(words)}")
    return f"sudo {'' if asks else '-n '}{script}" if place.sudo else script
