# SPDX-License-Identifier: Apache-2.0
"""Bundles as designs that a virtual board can be programmed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gatewright.board.bitstream import VirtualBitstream, sources_digest, uploaded
from gatewright.board.fabric import Design
from gatewright.boards import Board, load_board
from gatewright.errors import ConfigError
from gatewright.runtime.bundle import Bundle
from gatewright.sim.kernel import MemoryModel, build_kernel
from gatewright.sim.verilator import Optimise


@dataclass(frozen=True)
class Source:
    """A bundle that was read.

    Attributes:
        bundle: the bundle.
        path: where it lies.
        board: its record, with the memory that the bundle tells.
        simulated: contents of what is simulated, by relative path.
        file: name under which PYNQ uploads its bitstream.
        bitstream: the bytes that it uploads then.
        real: whether an FPGA takes it.
    """

    bundle: Bundle
    path: Path
    board: Board
    simulated: Mapping[str, bytes]
    file: str
    bitstream: bytes
    real: bool

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a bundle, folder or archive, and check what it holds.

        Raises:
            BundleError: no bundle, or a damaged one.
            ConfigError: one without what a virtual board needs.
        """
        bundle = Bundle(path)
        told = bundle.record["bitstream"] or {}
        names = [name for name in bundle.record["files"] if name.startswith(("rtl/", "kernel/"))]
        simulated = {name: (bundle.folder / name).read_bytes() for name in names}
        if told.get("kind") == "bit":
            file, data = bundle.bitstream.with_suffix(".bin").name, _uploaded(bundle.bitstream)
        elif told.get("kind") == "virtual":
            file, data = bundle.bitstream.name, _virtual(path, bundle.bitstream, simulated)
        elif told.get("kind") == "ecp5":
            file, data = bundle.bitstream.name, bundle.bitstream.read_bytes()
        else:
            what = f"a bitstream of kind {told['kind']!r}" if told else "no bitstream"
            raise ConfigError(
                f"{path} holds {what}: a virtual board takes the bundle that gatewright bundle makes of a build for a "
                "Zynq board, or for one that is reached over a serial port"
            )
        return cls(bundle, path, _board(path, bundle.record), simulated, file, data, told["kind"] != "virtual")

    def write(self, folder: Path) -> None:
        """What is simulated, as a copy: the bundle may be made again while it runs."""
        for name, text in self.simulated.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text)

    def design(self, folder: Path, memory: MemoryModel, optimise: Optimise) -> Design:
        """Compile the kernel, or find it compiled.

        Args:
            folder: where the simulation's files go; kept as long as it runs.
            memory: behind the kernel.
            optimise: of the compiler.

        Raises:
            ToolError: Verilator or g++ is missing, or rejects the kernel.
        """
        self.write(folder)
        bundle, kernel, model = self.bundle, self.bundle.kernel, build_kernel(folder, optimise)
        return Design(
            name=bundle.name, file=self.file, bitstream=self.bitstream, base_address=bundle.base_address,
            control_bytes=kernel.control_bytes, frames_register=kernel.frames_register, status=kernel.status,
            mhz=bundle.mhz, interval=bundle.interval_cycles, latency=bundle.latency_cycles,
            start=lambda: model.start(memory),
        )  # fmt: skip


def _virtual(path: Path, file: Path, simulated: Mapping[str, bytes]) -> bytes:
    """A virtual bitstream, which is of what is simulated."""
    data = file.read_bytes()
    if VirtualBitstream.from_bytes(data).rtl_sha256 != sources_digest(simulated):
        raise ConfigError(f"{path}: {file.name} was not made of the RTL beside it: make the bundle again")
    return data


def _uploaded(file: Path) -> bytes:
    """What PYNQ uploads of a real bitstream; the RTL beside it is simulated in its place."""
    try:
        return uploaded(file.read_bytes())
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}: make the bundle again") from error


def _board(path: Path, record: Mapping[str, Any]) -> Board:
    """The board's record, with the memory of the bundle, which may be older or newer."""
    try:
        memory = {f"memory_{key}": value for key, value in record["memory"].items()}
        memory["memory_ports"] = tuple(memory["memory_ports"])
        if "uart" in record:
            memory["uart_baud"] = record["uart"]["baud"]
        return replace(load_board(record["board"]), **memory)
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: bundle.json tells no memory of a board ({error!r}): make the bundle again"
        ) from error


def read_sources(paths: Sequence[Path]) -> list[Source]:
    """Bundles that one board can be programmed with in turn.

    Raises:
        BundleError: no bundle, or a damaged one.
        ConfigError: none, or for several boards.
    """
    sources = [Source.read(path) for path in paths]
    if not sources:
        raise ConfigError("a virtual board needs at least one bundle: make one with gatewright bundle DIR")
    first = sources[0]
    for source in sources[1:]:
        if source.board != first.board:
            raise ConfigError(
                f"{first.path} is for {first.board.name}, and {source.path} is for {source.board.name} or another "
                "memory: serve them as two boards, on two ports"
            )
    return sources
