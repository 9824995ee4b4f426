# SPDX-License-Identifier: Apache-2.0
"""A compiled simulation that goes on until it is told otherwise: a line of text asks, a line answers.

An answer is `ok CYCLE [WORD...]`, or `refused CYCLE TEXT` where what was asked for cannot be; anything else ends it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

from gatewright.errors import SimulationError

_Self = TypeVar("_Self", bound="Interactive")


class Interactive:
    """A running simulation; for one thread at a time. Leaving it as a context, or `close`, ends it.

    Args:
        top: name of what is simulated, for messages.
        command: program and arguments.
        folder: where it runs: relative paths of `$readmemh` start here.
        given: a file descriptor that it has too, under the same number.
        kept: file descriptors that are closed when it has ended.
    """

    def __init__(self, top: str, command: Sequence[str], folder: Path, given: int, kept: Sequence[int] = ()) -> None:
        self._top, self._folder, self._cycle = top, folder, 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        # A session of its own: the terminal's Ctrl-C is for this process, which then ends that one.
        self._process = subprocess.Popen(
            command, cwd=folder, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            pass_fds=[given], start_new_session=True,
        )  # fmt: skip
        self._finish = weakref.finalize(self, _end, self._process, self._log, kept)

    def close(self) -> None:
        """End the process."""
        self._finish()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _begin(self, lines: Sequence[str]) -> None:
        """The first commands.

        Raises:
            SimulationError: it breaks off, or warns, as of a memory file that is not there.
        """
        for line in lines:
            self._command(line)
        warnings = [m for m in self._messages() if m.startswith("%Warning")]
        if warnings:
            self.close()
            raise SimulationError(f"{self._top}, run in {self._folder}:\n  " + "\n  ".join(warnings[:10]))

    def _command(self, line: str) -> list[str]:
        """Send a line and give the words of the answer behind the cycle."""
        if not self._finish.alive:
            raise SimulationError(f"{self._top}: this simulation has ended; start another")
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101  # given by PIPE
        answer = ""
        try:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line + "\n")
                answer = self._process.stdout.readline()
        except BaseException:  # a KeyboardInterrupt: an answer is under way that nobody would read
            self.close()
            raise
        kind, _, rest = answer.rstrip("\n").partition(" ")
        if kind not in ("ok", "refused"):
            raise self._broken_off(rest)
        cycle, _, rest = rest.partition(" ")
        self._cycle = int(cycle)
        if kind == "refused":
            raise SimulationError(f"{self._top}: {rest}")
        return rest.split()

    def _broken_off(self, text: str) -> SimulationError:
        messages = "".join(f"\n  {m}" for m in self._messages()[-10:])
        self.close()
        what = text or f"the simulation broke off with exit status {self._process.returncode}"
        return SimulationError(f"{self._top}: {what}{messages}")

    def _messages(self) -> list[str]:
        """What the design printed so far."""
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - 10_000)
        return os.pread(self._log.fileno(), size - start, start).decode(errors="replace").splitlines()


def _end(process: subprocess.Popen[str], log: IO[bytes], kept: Sequence[int]) -> None:
    """End a process and take note of it, so that none is left behind."""
    process.kill()
    for file in (process.stdin, process.stdout, log):
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
    process.wait()
    for descriptor in kept:
        os.close(descriptor)
