# SPDX-License-Identifier: Apache-2.0
"""Bundles as designs that a virtual board can be programmed with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gatewright.board.archive import MANIFEST, read_files
from gatewright.board.bitstream import VirtualBitstream, sources_digest
from gatewright.board.fabric import Design
from gatewright.boards import Board, load_board
from gatewright.errors import ConfigError
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.kernel import MemoryModel, build_kernel
from gatewright.sim.verilator import Optimise

_SIMULATED = ("rtl/", "kernel/")


@dataclass(frozen=True)
class Source:
    """A bundle that was read.

    Attributes:
        path: where it lies.
        record: its `bundle.json`.
        files: contents by relative path.
        board: its record, with the memory that the bundle tells.
    """

    path: Path
    record: Mapping[str, Any]
    files: Mapping[str, bytes]
    board: Board

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read a bundle, folder or archive, and check what it holds.

        Raises:
            ConfigError: no bundle, a damaged one, or one without what a virtual board needs.
        """
        files = read_files(path)
        record = json.loads(files[MANIFEST])
        memory = {f"memory_{key}": value for key, value in record["memory"].items()}
        memory["memory_ports"] = tuple(memory["memory_ports"])
        return cls(path, record, files, replace(load_board(record["board"]), **memory))

    def bitstream(self) -> tuple[str, bytes]:
        """Name and contents of the bitstream.

        Raises:
            ConfigError: it is none of a virtual board, or of other files than the bundle's.
        """
        told = self.record["bitstream"] or {"kind": None}
        if told["kind"] != "virtual":
            raise ConfigError(
                f"{self.path} holds {'no bitstream' if told['kind'] is None else 'a real bitstream'}: a virtual board "
                "takes the bundle that gatewright bundle makes of a build for a Zynq board"
            )
        data = self.files[told["file"]]
        simulated = {name: text for name, text in self.files.items() if name.startswith(_SIMULATED)}
        if VirtualBitstream.from_bytes(data).rtl_sha256 != sources_digest(simulated):
            raise ConfigError(f"{self.path}: {told['file']} was not made of the RTL beside it: make the bundle again")
        return told["file"], data

    def design(self, folder: Path, memory: MemoryModel, optimise: Optimise) -> Design:
        """Compile the kernel, or find it compiled.

        Args:
            folder: where the simulation's files go; kept as long as it runs.
            memory: behind the kernel.
            optimise: of the compiler.

        Raises:
            ConfigError: as `bitstream`.
            ToolError: Verilator or g++ is missing, or rejects the kernel.
        """
        file, data = self.bitstream()
        for name, text in self.files.items():
            if name.startswith(_SIMULATED):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(text)
        kernel = KernelMap.from_json(self.record["kernel"])
        model = build_kernel(folder, optimise)
        predicted = self.record["predicted"]
        return Design(
            name=self.record["name"], file=file, bitstream=data, base_address=self.record["base_address"],
            control_bytes=kernel.control_bytes, frames_register=kernel.frames_register, mhz=self.record["mhz"],
            interval=predicted["interval_cycles"], latency=predicted["latency_cycles"],
            start=lambda: model.start(memory),
        )  # fmt: skip


def read_sources(paths: Sequence[Path]) -> list[Source]:
    """Bundles that one board can be programmed with in turn.

    Raises:
        ConfigError: none, or for several boards, or two with the same name of a bitstream.
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
