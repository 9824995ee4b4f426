# SPDX-License-Identifier: Apache-2.0
"""Streams inside a simulated design that are only watched: every handshake with its cycle, also of a run that fails."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatewright.errors import SimulationError
from gatewright.ir.packing import Bytes, unpack_stream
from gatewright.ir.types import IntArray
from gatewright.sim.model import Array, Model, Port, Progress, Traffic


@dataclass(frozen=True, eq=False)
class MonitorTrace:
    """What passed a monitor, whole frames or not.

    Attributes:
        port: the monitor.
        words: uint8 of shape (beats, bytes of a word), little-endian.
        cycles: int64 of shape (beats,): the cycle of each handshake, counted from the end of the reset.
        offered: int64 of shape (beats,): the cycle from which each beat was offered until it was taken.
        last: bool of shape (beats,): tlast.
        valid, ready: of the last cycle.
        since: from which cycle on the last beat that was offered was so.
        breach: cycle and kind of the first breach of the protocol.
    """

    port: Port
    words: Bytes
    cycles: IntArray
    offered: IntArray
    last: npt.NDArray[np.bool_]
    valid: bool
    ready: bool
    since: int
    breach: tuple[int, str] | None = None

    def elements(self) -> IntArray:
        """The integers that passed: int64 of shape (beats, lanes)."""
        stream = replace(self.port.stream, beats=1)
        return unpack_stream(self.words, stream).reshape(len(self.cycles), stream.lanes)


@dataclass(frozen=True, eq=False)
class Watched:
    """A run that was watched.

    Attributes:
        monitors: what passed each monitor, by prefix.
        error: why the run ended early; empty where it did not.
    """

    monitors: Mapping[str, MonitorTrace]
    error: str = ""


def watch(
    model: Model,
    inputs: Sequence[Array],
    traffic: Traffic | None = None,
    *,
    progress: Progress | None = None,
    wave: tuple[Path, int, int] | None = None,
) -> Watched:
    """Stream frames through a model with one group and monitors; arguments are those of `Model.run`.

    Raises:
        DataError: the arrays do not match the ports.
        SimulationError: the run broke off and left nothing; an error of the design itself is in the result instead.
    """
    with tempfile.TemporaryDirectory(prefix="gatewright-") as name:
        folder, error = Path(name), ""
        try:
            model.run_in(folder, [inputs], traffic, progress=progress, wave=wave)
        except SimulationError as failure:
            if not (folder / "monitors.txt").is_file():
                raise
            error = str(failure)
        states = {}
        for line in (folder / "monitors.txt").read_text().splitlines():
            prefix, valid, ready, since, *breach = line.split(maxsplit=5)
            states[prefix] = (valid == "1", ready == "1", int(since), (int(breach[0]), breach[1]) if breach else None)
        return Watched({p.prefix: _read(folder, p, *states[p.prefix]) for p in model.monitors}, error)


def _read(
    folder: Path, port: Port, valid: bool, ready: bool, since: int, breach: tuple[int, str] | None
) -> MonitorTrace:
    words = np.fromfile(folder / f"{port.prefix}.words", np.uint8).reshape(-1, port.stream.padded_width // 8)
    beats = np.fromfile(folder / f"{port.prefix}.beats", "<i8").astype(np.int64).reshape(-1, 3)
    return MonitorTrace(port, words, beats[:, 0], beats[:, 1], beats[:, 2] != 0, valid, ready, since, breach)
