# SPDX-License-Identifier: Apache-2.0
"""The virtual board of a design that is reached over a serial port: a pseudo-terminal with the simulated board behind.

with SerialBoard("build/digits_bundle") as board:
    Accelerator("build/digits_bundle", device=board.address)
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gatewright.board.designs import Source
from gatewright.board.server import Log, unheard
from gatewright.errors import ConfigError
from gatewright.progress import Progress, silent
from gatewright.runtime.transport import UART
from gatewright.sim.uart_board import UartBoard, build_uart_board
from gatewright.sim.verilator import Optimise

TERMINALS = Path("/dev/pts")


class SerialBoard:
    """A board that holds the design of a bundle; there from `start` to `close`, or as a context.

    Args:
        bundle: folder or archive.
        link: a name that stays the same: a symbolic link to the terminal, as long as the board is there.
        optimise: "fast_run" for long simulations, "fast_build" for short ones.
        log: told what is simulated.

    Raises:
        BundleError: no bundle, or a damaged one.
        ConfigError: a bundle for a board that is reached otherwise, or something else where the link is to be.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        link: str | Path | None = None,
        optimise: Optimise = "fast_build",
        log: Log = unheard,
    ) -> None:
        self.source = Source.read(Path(bundle))
        self.board = self.source.board
        if self.source.bundle.transport != UART:
            raise ConfigError(f"{bundle} is for {self.board.title}, which is reached by pynq and not by a serial port")
        self._link = None if link is None else Path(link).absolute()
        if self._link is not None:
            _check_link(self._link)
        self._optimise, self._log = optimise, log
        self._stack = ExitStack()
        self._running: UartBoard | None = None

    @property
    def address(self) -> str:
        """The path of the serial port: the link where there is one.

        Raises:
            ConfigError: it is not there.
        """
        return self.running.path if self._link is None else str(self._link)

    @property
    def files(self) -> list[str]:
        """Name of the bitstream that it holds."""
        return [self.source.file]

    @property
    def running(self) -> UartBoard:
        """The simulation.

        Raises:
            ConfigError: it is not there.
        """
        if self._running is None:
            raise ConfigError("the virtual board is not there: start it first")
        return self._running

    def start(self, progress: Progress = silent) -> None:
        """Compile the board, or find it compiled, and switch it on.

        Raises:
            ConfigError: it is on already, or the link cannot be made.
            ToolError: Verilator or g++ is missing, or rejects the design.
        """
        if self._running is not None:
            raise ConfigError(f"the virtual board is already there at {self.address}: close it first")
        progress(f"simulation of {self.source.bundle.name}")
        began, bundle = time.monotonic(), self.source.bundle
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatewright-board-")))
            self.source.write(folder)
            board = stack.enter_context(build_uart_board(folder, self.board, bundle.mhz, self._optimise).start())
            if self._link is not None:
                stack.enter_context(_linked(self._link, board.path))
            self._running, self._stack = board, stack.pop_all()
        real = " (a real bitstream, in whose place the RTL beside it is simulated)" if self.source.real else ""
        self._log(
            f"{self.source.path}: {bundle.name} for {self.board.title} at {bundle.mhz:g} MHz and "
            f"{self.board.uart_baud:,} baud, {self.source.file}{real}; "
            f"simulation ready in {time.monotonic() - began:.1f} s"
        )

    def close(self) -> None:
        """Switch it off: whoever has the port open finds it gone."""
        self._running = None
        self._stack.close()

    def __enter__(self) -> SerialBoard:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _check_link(link: Path) -> None:
    """Refuse to write over anything but a link of this kind, which a board that was killed leaves behind.

    Raises:
        ConfigError: there is something else.
    """
    if link.is_symlink() and link.readlink().parent == TERMINALS:
        return
    if link.is_symlink() or link.exists():
        raise ConfigError(f"{link} is there already and no link to a terminal: choose another with --link")


@contextmanager
def _linked(link: Path, path: str) -> Iterator[None]:
    """A link to a terminal, which goes with it unless it is another's by then.

    Raises:
        ConfigError: it cannot be made.
    """
    _check_link(link)
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    except OSError as error:
        raise ConfigError(f"{link} cannot be made ({error}): choose another with --link") from error
    try:
        yield
    finally:
        if link.is_symlink() and str(link.readlink()) == path:
            link.unlink()
