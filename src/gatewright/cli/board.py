# SPDX-License-Identifier: Apache-2.0
"""`gatewright board serve`: a virtual board on the network."""

from __future__ import annotations

import ipaddress
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gatewright.cli.app import app, error_console, output_console
from gatewright.errors import ConfigError
from gatewright.progress import bars

if TYPE_CHECKING:
    from gatewright.board.server import VirtualBoard
    from gatewright.board.uart import SerialBoard
    from gatewright.sim.kernel import Fault
    from gatewright.sim.verilator import Optimise

board_app = typer.Typer(no_args_is_help=True, help="Boards that are simulated.")
app.add_typer(board_app, name="board")
_SWITCHES = {"0": False, "1": True}


@board_app.command()
def serve(
    context: typer.Context,
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE...", help="Folders or archives, all for one board.")],
    host: Annotated[str, typer.Option(help="Address to listen on; there is no authentication.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one; PYNQ asks 7967.")] = 7967,
    poll_ms: Annotated[
        float | None,
        typer.Option(help="Board time that one read of a running kernel's control register takes at most."),
    ] = None,
    latency_ns: Annotated[float | None, typer.Option(help="Latency of memory; the board's by default.")] = None,
    gbytes_per_s: Annotated[
        float | None, typer.Option(help="Bandwidth of a memory port; the board's by default.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ANSWER[,KEY=N...]",
            help="Bursts that memory answers with slverr, decerr or silence; keys: "
            "first, bytes, reads, writes, skip, count, port. May be given several times.",
        ),
    ] = None,
    fast: Annotated[bool, typer.Option(help="Compile longer, simulate faster: for many frames.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of what registers hold at power-up.")] = 0,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every call.")] = False,
    link: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A name for the serial port, which else is another each time.")
    ] = None,
) -> None:
    """Serve bundles as a board with PYNQ.remote, on which the real driver runs: Overlay, allocate and MMIO of pynq.

    A bundle for a board that is reached over a serial port is served as a serial port.
    """
    from gatewright.board.server import VirtualBoard
    from gatewright.board.serving import transport
    from gatewright.board.uart import SerialBoard
    from gatewright.runtime.transport import UART

    board: VirtualBoard | SerialBoard
    optimise: Optimise = "fast_run" if fast else "fast_build"
    if len(bundles) == 1 and transport(bundles[0]) == UART:
        _refuse_others(context, {"bundles", "fast", "link"}, f"{bundles[0]}, whose board is reached over a serial port")
        board = SerialBoard(bundles[0], link=link, optimise=optimise, log=_said)
    else:
        _refuse_others(context, set(context.params) - {"link"}, "boards that are reached over the network")
        board = VirtualBoard(
            bundles, host=host, port=port, poll_ms=poll_ms, latency_ns=latency_ns, gbytes_per_s=gbytes_per_s,
            faults=[parse_fault(text) for text in fault or ()], seed=seed, optimise=optimise,
            log=_said, trace=_said if verbose else None,
        )  # fmt: skip
    with bars(error_console()) as progress:
        board.start(progress)
    try:
        with _until_stopped() as stopped:
            _greet(board)
            stopped.wait()
    finally:
        board.close()
    _said("stopped")


def _refuse_others(context: typer.Context, known: set[str], what: str) -> None:
    """Refuse options that were given and mean nothing here.

    Raises:
        ConfigError: names the first.
    """
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in known and source is not None and source.name == "COMMANDLINE":
            raise ConfigError(f"--{name.replace('_', '-')} means nothing for {what}: leave it out")


def parse_fault(text: str) -> Fault:
    """A fault as the command line takes it, such as "slverr,writes=0,count=1".

    Raises:
        ConfigError: an unknown answer or key, or a value that is no number.
    """
    from gatewright.sim.kernel import Fault

    answer, *settings = text.split(",")
    kinds = {f.name: f.type for f in fields(Fault) if f.name != "answer"}
    values: dict[str, Any] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in kinds:
            raise ConfigError(f"--fault {text!r}: unknown key {key!r}: the keys are {', '.join(kinds)}")
        try:
            values[key] = _SWITCHES[value] if kinds[key] == "bool" else int(value, 0)
        except (KeyError, ValueError):
            what = "0 or 1" if kinds[key] == "bool" else "a number"
            raise ConfigError(f"--fault {text!r}: {key}={value!r}: give {what}") from None
    return Fault(answer, **values)  # type: ignore[arg-type]  # Fault says which answers there are


def _greet(board: VirtualBoard | SerialBoard) -> None:
    from gatewright.board.uart import SerialBoard

    console = output_console()
    console.print(Text(f"{board.board.title} on {board.address}: " + ", ".join(d for d in board.files)), soft_wrap=True)
    if isinstance(board, SerialBoard):
        console.print(Text(f"in the bundle: python3 run.py verify --device {board.address}"), soft_wrap=True)
    elif not ipaddress.ip_address(board.host).is_loopback:
        text = "warning: whoever reaches this address has the board: the protocol has no authentication"
        console.print(Text(text, style="yellow"), soft_wrap=True)
    else:
        console.print("the protocol has no authentication: every process of this machine has the board", soft_wrap=True)
    console.print("stop with Ctrl-C", soft_wrap=True)


def _said(text: str) -> None:
    error_console().print(Text(text), soft_wrap=True)


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of breaking off in mid-call."""
    stopped = threading.Event()
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda number, frame: stopped.set()) for kind in kinds]
    try:
        yield stopped
    finally:
        for kind, old in zip(kinds, before, strict=True):
            signal.signal(kind, old)
