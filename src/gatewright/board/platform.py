# SPDX-License-Identifier: Apache-2.0
"""What of a bundle is for one board alone: a bitstream that was made of the build, or else a virtual one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatewright.board import hwh
from gatewright.board.bitstream import VirtualBitstream, sources_digest
from gatewright.boards import Board, load_board
from gatewright.build import Build
from gatewright.emit.project import FOLDER
from gatewright.runtime.kernel_map import KernelMap
from gatewright.synth.bitstream import current

KINDS = {"vivado": "bit", "vitis": "xclbin", "nextpnr": "ecp5"}
"""What bundle.json calls a real bitstream, by the flow that makes it."""


@dataclass(frozen=True, eq=False)
class Platform:
    """The files of a board, and what bundle.json says of them.

    Attributes:
        files: contents by name.
        mhz: the clock that the kernel has with this bitstream.
        bitstream: `file` and `kind`, and for a real one `tool` and `version`; None where there is none.
        hwh: name of the hardware handoff.
    """

    files: Mapping[str, bytes]
    mhz: float
    bitstream: Mapping[str, Any] | None
    hwh: str | None


def platform(build: Build, simulated: Mapping[str, bytes], virtual: bool) -> Platform:
    """The files of a build's board.

    Args:
        simulated: what a virtual board simulates.
        virtual: whether a real bitstream is left out.

    Raises:
        ConfigError: the result of `gatewright bitstream` in the build is damaged.
    """
    found = None if virtual else current(build)
    return _virtual(build, simulated) if found is None else _real(build, found)


def _real(build: Build, found: Mapping[str, Any]) -> Platform:
    paths = {kind: build.directory / FOLDER / name for kind, name in found["outcome"]["files"].items()}
    files = {path.name: path.read_bytes() for path in paths.values()}
    bitstream = {"file": paths["bitstream"].name, "kind": KINDS[load_board(found["board"]).flow]}
    bitstream |= {"tool": found["title"], "version": found["version"]}
    handoff = paths.get("hwh")
    return Platform(files, found["outcome"]["timing"]["mhz"], bitstream, None if handoff is None else handoff.name)


def _virtual(build: Build, simulated: Mapping[str, bytes]) -> Platform:
    """Nothing for a card, whose .xclbin only Vitis makes."""
    board, kernel, mhz = load_board(build.summary()["board"]), build.kernel, build.summary()["mhz"]
    if board.flow == "vitis":
        return Platform({}, mhz, None, None)
    stem = f"{kernel.name}_{kernel.hash[:8]}"
    file = f"{stem}.bit" if board.flow == "nextpnr" else f"{stem}.bin"
    files = {file: VirtualBitstream(kernel.name, kernel.hash, board.name, sources_digest(simulated)).to_bytes()}
    if board.flow == "vivado":
        files[f"{stem}.hwh"] = _handoff(kernel, board, mhz)
    return Platform(files, mhz, {"file": file, "kind": "virtual"}, f"{stem}.hwh" if board.flow == "vivado" else None)


def _handoff(kernel: KernelMap, board: Board, mhz: float) -> bytes:
    return hwh.emit(kernel, board, board.control_base, mhz).encode()
