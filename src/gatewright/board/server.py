# SPDX-License-Identifier: Apache-2.0
"""The virtual board: the real `pynq` library takes it for a board with PYNQ.remote, and its kernel is simulated.

with VirtualBoard(["build/digits_bundle"], port=0) as board:
    Accelerator("build/digits_bundle", device=board.address)
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gatewright.board.designs import Source, read_sources
from gatewright.errors import ConfigError, MissingToolError
from gatewright.progress import Progress, silent
from gatewright.runtime.device import PORT
from gatewright.runtime.transport import PYNQ
from gatewright.sim.kernel import Fault, MemoryModel
from gatewright.sim.verilator import Optimise

if TYPE_CHECKING:
    from gatewright.board.fabric import Design
    from gatewright.board.machine import Machine
    from gatewright.board.network import Server

Log = Callable[[str], None]


def unheard(text: str) -> None:
    """A log that nobody reads."""


class VirtualBoard:
    """A board that can be programmed with the designs of bundles; serves from `start` to `close`, or as a context.

    Args:
        bundles: folders or archives, all for the same board.
        host: where to listen. The protocol has no authentication: whoever reaches the port has the board.
        port: likewise; 0 takes a free one.
        poll_ms: of the board's time, for which reading the control register of a running kernel goes on at most; by
            default four times the predicted length of the run, and 100,000 cycles.
        latency_ns, gbytes_per_s: of memory, instead of those of the board.
        faults: of memory, from programming on.
        seed: of the registers' contents at power-up.
        optimise: "fast_run" for long simulations, "fast_build" for short ones.
        wait_seconds: how long a client waits while another one has the board.
        log: told of programming, runs, clocks and clients.
        trace: told of every call, with what it asks.

    Attributes:
        host: the address that it listens on.
        port: the port, also where 0 was asked for; both after `start`.

    Raises:
        BundleError: no bundle, or a damaged one.
        ConfigError: bundles for several boards, or an option out of range.
    """

    def __init__(
        self,
        bundles: Sequence[str | Path],
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        poll_ms: float | None = None,
        latency_ns: float | None = None,
        gbytes_per_s: float | None = None,
        faults: Sequence[Fault] = (),
        seed: int = 0,
        optimise: Optimise = "fast_build",
        wait_seconds: float = 10.0,
        log: Log = unheard,
        trace: Log | None = None,
    ) -> None:
        if not 0 <= port < 1 << 16:
            raise ConfigError(f"port={port!r}: use 1 to 65535, or 0 for a free one")
        for name, value in (("poll_ms", poll_ms), ("gbytes_per_s", gbytes_per_s)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name}={value!r} must be above 0")
        if latency_ns is not None and not 0 <= latency_ns < math.inf:
            raise ConfigError(f"latency_ns={latency_ns!r} must be 0 or more")
        self.host, self.port = host, port
        self.sources: list[Source] = read_sources([Path(b) for b in bundles])
        if self.sources[0].bundle.transport != PYNQ:
            raise ConfigError(
                f"{self.sources[0].path} is for {self.sources[0].board.title}, which is reached over a serial port and "
                "holds one design: serve one bundle, without options of the network"
            )
        ports = max(len(source.bundle.kernel.ports) for source in self.sources)
        for fault in faults:
            if fault.port is not None and fault.port >= ports:
                raise ConfigError(f"fault of port={fault.port!r}, which no kernel has: use 0 to {ports - 1}")
        board = self.sources[0].board
        self.board = replace(
            board,
            memory_latency_ns=board.memory_latency_ns if latency_ns is None else latency_ns,
            memory_gbytes_per_s=board.memory_gbytes_per_s if gbytes_per_s is None else gbytes_per_s,
        )
        self._poll_ms, self._faults, self._seed = poll_ms, tuple(faults), seed
        self._optimise, self._wait_seconds, self._log, self._trace = optimise, wait_seconds, log, trace
        self._stack = ExitStack()
        self._machine: Machine | None = None
        self._server: Server | None = None

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def files(self) -> list[str]:
        """Names of the bitstreams that it can be programmed with."""
        return [source.file for source in self.sources]

    @property
    def client(self) -> str | None:
        """The peer that has the board, if any."""
        return None if self._server is None else self._server.holder

    def start(self, progress: Progress = silent) -> None:
        """Compile the kernels, or find them compiled, and serve in threads of its own.

        Raises:
            ConfigError: the port is taken, the host no address, or it serves already.
            MissingToolError: pynq or grpcio is not installed.
            ToolError: Verilator or g++ is missing, or rejects a kernel.
        """
        try:
            import grpc as grpc
        except ImportError as error:
            raise MissingToolError(f"grpcio is missing ({error}): pip install 'gatewright[board]'") from error
        from gatewright.board.machine import Machine
        from gatewright.board.network import Server, checked_host

        checked_host(self.host)
        if self._server is not None:
            raise ConfigError(f"the virtual board already serves on {self.address}: close it first")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatewright-board-")))
            designs = [self._design(i, source, folder, progress) for i, source in enumerate(self.sources)]
            self._machine = Machine(self.board, designs, self._log, self._poll_ms)
            server = Server(self._machine, self.host, self.port, self._log, self._trace, self._wait_seconds)
            self.host, self.port = server.host, server.port
            server.start()
            stack.callback(server.stop)
            self._server, self._stack = server, stack.pop_all()

    def close(self) -> None:
        """Stop serving: calls that are running end with an error, and the simulation ends."""
        self._server = None
        self._stack.close()

    def inject(self, fault: Fault) -> None:
        """Let bursts of the kernel go wrong from now on, until it is programmed or `mend` is called.

        Raises:
            ConfigError: the board is not programmed.
        """
        self._running().inject(fault)

    def mend(self) -> None:
        """No more faults."""
        self._running().mend()

    def __enter__(self) -> VirtualBoard:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _running(self) -> Server:
        if self._server is None:
            raise ConfigError("the virtual board is not serving: start it first")
        return self._server

    def _design(self, index: int, source: Source, folder: Path, progress: Progress) -> Design:
        progress(f"simulation of {source.bundle.name}")
        began = time.monotonic()
        memory = MemoryModel.of_board(self.board, source.bundle.mhz, self._seed)
        home = folder / str(index)
        home.mkdir()
        design = source.design(home, replace(memory, faults=self._faults), self._optimise)
        real = " (a real bitstream, in whose place the RTL beside it is simulated)" if source.real else ""
        self._log(
            f"{source.path}: {design.name} for {self.board.title} at {design.mhz:g} MHz, {design.file}{real}; "
            f"simulation ready in {time.monotonic() - began:.1f} s"
        )
        return design
