# SPDX-License-Identifier: Apache-2.0
"""A board without a processor, simulated: the emitted top level, its UART wired to a pseudo-terminal.

Whoever opens the terminal has what a serial port with the board behind it would be, byte for byte; only time is that of
the simulation. The program runs while bytes are under way or the design works, and sleeps otherwise.
"""

from __future__ import annotations

import os
import re
import tempfile
import tty
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gatewright.boards import Board
from gatewright.emit import ecp5
from gatewright.emit.project import FOLDER, Project
from gatewright.errors import ToolError
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.cache import cache_folder, cached
from gatewright.sim.interactive import Interactive
from gatewright.sim.tools import find_tool, find_verilator
from gatewright.sim.verilator import Build, Optimise, Pin, compare_pins

_HERE = Path(__file__).parent
_SHARED = ("kernel_dut.hpp", "kernel_model.cpp")
"""What a kernel's program and this one have in common."""
# Where the design says whether it does anything: the module, the net, and the path of its instance in the top level.
_BUSY = (
    ("uart_bridge", "busy", "i_bridge"),
    ("uart_request", "under_way", "i_bridge.u_request"),
    ("uart_rx", "busy_q", "i_bridge.u_rx"),
)
_IDLE = (("uart_tx", "s_tready", "i_bridge.u_tx"),)
_KERNEL_IDLE = ("{name}_core", "idle", "i_kernel.i_core")


@dataclass(frozen=True)
class UartModel:
    """A compiled board.

    Attributes:
        program: the binary.
        project: what was compiled.
        folder: where it runs: relative paths of `$readmemh` start here.
    """

    program: Path
    project: Project
    folder: Path

    def start(self) -> UartBoard:
        """A board that has been switched on.

        Raises:
            SimulationError: it breaks off at once.
        """
        return UartBoard(self)


def build_uart_board(folder: Path, board: Board, mhz: float, optimise: Optimise = "fast_run") -> UartModel:
    """Compile the top level around a build's or a bundle's kernel, or find it compiled.

    Args:
        folder: with `kernel/kernel.json`, and in `rtl/` what the design reads at the start.
        board: one without a processor; its baud is that of the terminal's other end.
        mhz: clock of the kernel, which says how many clocks a bit takes.
        optimise: "fast_build" for tests, "fast_run" for long simulations.

    Raises:
        ConfigError: there is no kernel, or the board does not take it.
        ToolError: Verilator or g++ is missing, or rejects the design.
    """
    folder = folder.resolve()
    project = Project(KernelMap.load(folder / "kernel" / "kernel.json"), board, mhz, (), ())
    files = ecp5.emit(project)
    with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
        files.write(Path(name) / FOLDER)
        sources = [folder / path for path in project.sources]
        sources += [Path(name) / FOLDER / path for path in ecp5.sources(project)[len(sources) :]]
        build = _UartBuild(
            find_verilator(), find_tool("g++"), sources, f"{project.name}_top", {"SIMULATION": 1}, optimise, False,
            project,
        )  # fmt: skip
        program = cached(cache_folder() / "verilator", build.key(), build.run)
    return UartModel(program / "sim", project, folder / "rtl")


@dataclass(frozen=True)
class _UartBuild(Build):
    FILES = "uart_*.cpp"
    DRIVER = "uart_board.cpp"
    SHIM = "kernel_model.cpp"

    project: Project

    def pins(self) -> str:
        return "".join(f"{module} {net} {path}\n" for module, net, path in self._watched())

    def _watched(self) -> list[tuple[str, str, str]]:
        module, net, path = _KERNEL_IDLE
        return [*_BUSY, *_IDLE, (module.format(name=self.project.name), net, path)]

    def _tools(self) -> list[str]:
        return [*super()._tools(), *((_HERE / name).read_text() for name in _SHARED)]

    def _verilate(self, work: Path) -> None:
        """With a file that keeps a few nets visible, so that the design needs no pins for the simulation's sake."""
        lines = [f'public_flat_rd -module "{module}" -var "{net}"' for module, net, _ in self._watched()]
        (work / "visible.vlt").write_text("\n".join(["`verilator_config", *lines, ""]))
        Build._verilate(replace(self, sources=[work / "visible.vlt", *self.sources]), work)
        found = (work / "Vdut___024root.h").read_text()
        nets = []
        for kind, watched in (("busy", _BUSY), ("idle", tuple(self._watched()[len(_BUSY) :]))):
            for i, (_, net, path) in enumerate(watched):
                name = "__DOT__".join([self.top, *path.split("."), net])
                if not re.search(rf"\b{name};", found):
                    raise ToolError(f"Verilator's model of {self.top!r} does not show {path}.{net}")
                nets.append(f"PIN({kind}_{i}, rootp->{name}, false, 1)\n")
        (work / "nets.inc").write_text("".join(nets))

    def check_pins(self, found: Mapping[str, Pin]) -> str:
        expected: dict[str, Pin] = {
            name: ("OUT" if out else "IN", bits) for name, bits, out in ecp5.pins(self.project)
        }  # fmt: skip
        compare_pins(self.top, expected, found)
        rows = [f"PIN({n}, {n}, {str(kind == 'IN').lower()}, {bits})\n" for n, (kind, bits) in found.items()]
        return "".join([*rows, '#include "Vdut___024root.h"\n', '#include "nets.inc"\n'])


class UartBoard(Interactive):
    """A running board; for one thread at a time. Leaving it as a context, or `close`, ends it: the terminal hangs up.

    Attributes:
        path: of the terminal that stands for the serial port, in raw mode; whoever opens it may close it and open it
            again.
    """

    def __init__(self, model: UartModel) -> None:
        self.model = model
        project = model.project
        master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        clocks = ecp5.clocks_a_bit(project)
        button = f"btn:{ecp5.RESET_BUTTON}"
        pins = [ecp5.clock_pin(project), "ftdi_txd", "ftdi_rxd", button, "led", str(clocks), str(master)]
        try:
            # The slave stays open: with nobody at the terminal it would be hung up, where a serial port just has no
            # listener.
            super().__init__(project.name, [str(model.program), *pins], model.folder, master, [slave])
        finally:
            os.close(master)
        self._begin(["look"])

    @property
    def cycles(self) -> int:
        """Clocks since it was switched on; they stand still while nothing is to do."""
        self._command("look")
        return self._cycle

    @property
    def lights(self) -> int:
        """The LEDs, led[0] lowest; docs/uart.md says what they mean."""
        return int(self._command("look")[0])

    def reset(self) -> None:
        """Press the reset button and let go of it."""
        self._command("reset")
