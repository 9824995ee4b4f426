# SPDX-License-Identifier: Apache-2.0
"""Programs that run for long: their lines as they come, and nothing left of them when the wait for them ends."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

_GUARDED = """\
exec 3<&0
{ read -r _ <&3; kill -KILL -$$; } >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"""
"""The leader of the group becomes the program. Beside it a reader waits for the end of a pipe that this process alone
holds: when this process dies, however that comes, all of the group dies with it."""
_LOOK_SECONDS = 0.2
"""Between two looks at the clock, and at whether the program ended while something that it left holds its output."""
_DRAIN_SECONDS = 1.0


class Running:
    """A program in a process group of its own, from the beginning until `end`; leaving it as a context ends it.

    Its stdin is empty; stdout and stderr are one stream of lines.

    Args:
        command: program and arguments.
        folder: where it runs.
        environment: all its variables; None for those of this process.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARDED, "sh", *command], cwd=folder, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def lines(self, seconds: float | None = None) -> Iterator[str]:
        """Its lines, without their ends, until it has ended.

        Args:
            seconds: how long it may take.

        Raises:
            TimeoutError: it takes longer; it is ended then.
        """
        rest = b""
        for piece in self._pieces(seconds):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (_text(line) for line in whole)
        if rest:
            yield _text(rest)

    def wait(self) -> int:
        """Its exit status as a shell tells it: 128 and the number of the signal that ended it."""
        status = self._process.wait()
        return 128 - status if status < 0 else status

    def kill(self) -> None:
        """Kill it with all that it started, also from another thread than the one that reads its lines."""
        # The guard keeps the group alive, so the number cannot be that of others.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Leave nothing of it."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def _ended(self, until: float | None) -> None:
        """Wait for a program that has closed its output."""
        try:
            self._process.wait(None if until is None else max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.end()
            raise TimeoutError from None

    def _pieces(self, seconds: float | None) -> Iterator[bytes]:
        until = None if seconds is None else time.monotonic() + seconds
        drained: float | None = None
        output: BinaryIO = self._process.stdout  # type: ignore[assignment]  # given by PIPE
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while drained is None or time.monotonic() < drained:
                if selector.select(_LOOK_SECONDS):
                    piece = os.read(output.fileno(), 1 << 16)
                    if not piece:
                        self._ended(until)
                        return
                    yield piece
                if drained is None and self._process.poll() is not None:
                    drained = time.monotonic() + _DRAIN_SECONDS
                if until is not None and time.monotonic() > until:
                    self.end()
                    raise TimeoutError


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, seconds: float | None = None
) -> tuple[int, list[str]]:
    """A program's exit status and lines; see `Running`.

    Raises:
        TimeoutError: it takes longer than `seconds`.
    """
    with Running(command, folder, environment) as running:
        lines = list(running.lines(seconds))
        return running.wait(), lines
