# SPDX-License-Identifier: Apache-2.0
"""A machine that is reached with the system's own `ssh`, which knows the user's keys, hosts and settings."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from gatewright.errors import ConfigError, ToolError
from gatewright.progress import Progress, silent
from gatewright.sim.tools import find_tool

CONNECT_SECONDS = 15
CHUNK = 1 << 18
SSH_FAILED = 255
"""Exit status of ssh itself; any other is that of the command at the other end."""

_CAUSES = (
    ("connection refused", "nothing answers ssh there: is the board up? --port names another port than {port}"),
    (
        "permission denied (",
        "it takes none of your keys: ssh-copy-id {host} installs one, --identity names another",
    ),
    ("too many authentication failures", "name the right key with --identity"),
    (
        "host key verification failed",
        "its key is not known, or another than it was: connect once with ssh {host}",
    ),
    ("could not resolve hostname", "no such host: check the name, or give an address"),
    ("timed out", "no answer: is the board up and on this network?"),
    ("no route to host", "no way there: is the board up and on this network?"),
    ("network is unreachable", "no way there: is this computer on the board's network?"),
)


@dataclass(frozen=True)
class Remote:
    """Whom to talk to, and how.

    Attributes:
        host: `user@board`, as ssh takes it.
        port: None for ssh's own choice.
        identity: private key; None for ssh's own choice.
        config: configuration file of ssh instead of the user's own.

    Raises:
        ConfigError: what is no host, or a file that is not there.
    """

    host: str
    port: int | None = None
    identity: Path | None = None
    config: Path | None = None

    def __post_init__(self) -> None:
        # A host that begins with a hyphen would be an option of ssh, which may run programs.
        if not re.fullmatch(r"[A-Za-z0-9_.][^\s@]*(@[A-Za-z0-9_.\[:][^\s@]*)?", self.host):
            raise ConfigError(f"host {self.host!r} is none: give user@board, as ssh takes it")
        if self.port is not None and not 0 < self.port < 65536:
            raise ConfigError(f"port={self.port!r}: use 1 to 65535")
        for name in ("identity", "config"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ConfigError(f"{name}={str(path)!r} is no file")

    def command(self, script: str, *, terminal: bool = False) -> list[str]:
        """The local command that runs a line of shell there; ssh never asks anything.

        Raises:
            MissingToolError: there is no ssh.
        """
        options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}", "-o", "ServerAliveInterval=15"]
        options += ["-F", str(self.config)] if self.config else []
        options += ["-p", str(self.port)] if self.port else []
        options += ["-i", str(self.identity), "-o", "IdentitiesOnly=yes"] if self.identity else []
        options += ["-t"] if terminal else ["-T"]
        return [str(find_tool("ssh").path), *options, "--", self.host, script]

    def run(self, script: str, data: bytes = b"", what: str = "", progress: Progress = silent) -> tuple[int, str, str]:
        """Run a line of shell there, with `data` on its stdin; its exit status, stdout and stderr.

        Args:
            what: name of the step for `progress`, which hears how many bytes have gone.

        Raises:
            ToolError: ssh itself failed: says why, and what to do.
        """
        status, out, err = self._talk(script, data, what, progress)
        return status, out.decode(errors="replace"), err

    def fetch(self, script: str) -> tuple[int, bytes, str]:
        """Run a line of shell there; its exit status, the bytes of its stdout, and its stderr.

        Raises:
            ToolError: ssh itself failed: says why, and what to do.
        """
        return self._talk(script, b"", "", silent)

    def _talk(self, script: str, data: bytes, what: str, progress: Progress) -> tuple[int, bytes, str]:
        with subprocess.Popen(
            self.command(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            feeder = threading.Thread(target=_feed, args=(process, data, what, progress))
            read: dict[str, bytes] = {}
            reader = threading.Thread(target=lambda: read.update(err=process.stderr.read()))  # type: ignore[union-attr]
            feeder.start()
            reader.start()
            read["out"] = process.stdout.read()  # type: ignore[union-attr]
            feeder.join()
            reader.join()
        err = read["err"].decode(errors="replace")
        if process.returncode == SSH_FAILED:
            raise ToolError(self.failure(err))
        return process.returncode, read["out"], err

    def failure(self, stderr: str) -> str:
        """Why ssh itself failed, and the remedy."""
        said = [line.strip() for line in stderr.splitlines() if line.strip()]
        for sign, remedy in _CAUSES:
            hit = next((line for line in said if sign in line.lower()), None)
            if hit is not None:
                return f"{self.host}: {hit}: {remedy.format(host=self.host, port=self.port or 22)}"
        last = said[-1] if said else "the connection ended"
        return f"{self.host}: {last}: try ssh {self.host} by hand"


def login(script: str) -> str:
    """A line of shell in a login shell, which on many machines alone knows where programs are."""
    return f"bash -lc {shlex.quote(script)}"


def _feed(process: subprocess.Popen[bytes], data: bytes, what: str, progress: Progress) -> None:
    """Write all data to a process; one that ends before has said why on its stderr."""
    stdin = process.stdin
    if stdin is None:
        return
    try:
        for start in range(0, len(data), CHUNK):
            stdin.write(data[start : start + CHUNK])
            if what:
                progress(what, min(start + CHUNK, len(data)), len(data))
        stdin.close()
    except BrokenPipeError:
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
