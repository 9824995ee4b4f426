# SPDX-License-Identifier: Apache-2.0
"""A bundle: one folder or archive with all that a design needs at the board, or at the virtual one.

bundle.json               which design, for which board; the kernel's registers; a SHA-256 of every other file
NAME_HASH.bit, .hwh       the bitstream and PYNQ's description of it; .bin where it is a virtual one, .xclbin for a card
host.json, host.npz       quantisers, scales and host functions of the network's inputs and outputs
design.json, design.npz   the folded graph
prediction.json           its interval and latency
golden/                   inputs, integers that go in and come out, and the model's outputs, of the same frames
rtl/, kernel/             what the virtual board simulates
gatewright_runtime/       a copy of the driver
run.py, README.md         how to start it

The same build and frames give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import gatewright.runtime
from gatewright.board.archive import MANIFEST, npz, write_archive, write_folder
from gatewright.board.platform import Platform, platform
from gatewright.board.readme import readme
from gatewright.boards import Board, load_board
from gatewright.build import Array, Build, load_inputs
from gatewright.errors import ConfigError, DataError
from gatewright.ir.serial import host_to_files
from gatewright.ir.types import IntArray
from gatewright.progress import Progress, silent
from gatewright.runtime.bundle import FORMAT
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.kernel_memory import MemoryModel

FRAMES = 1000
"""Golden frames of a bundle, unless another number is asked for and where so many are stored."""
MEMORY = ("bits", "ports", "base", "bytes", "banked", "latency_ns", "gbytes_per_s")
RUNTIME = "gatewright_runtime"
RUN = '''#!/usr/bin/env python3
"""Run the accelerator of this folder: `python3 run.py verify` or `python3 run.py benchmark`; see README.md."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from gatewright_runtime.__main__ import main  # noqa: E402

sys.exit(main(bundle=HERE))
'''


@dataclass(frozen=True, eq=False)
class BundleFiles:
    """A bundle before anything touches the disk.

    Attributes:
        files: contents by relative path, `bundle.json` among them.
        record: what `bundle.json` says.
        frames: golden frames in it.
    """

    files: Mapping[str, bytes]
    record: Mapping[str, Any]
    frames: int

    def write(self, folder: Path) -> None:
        """Write the folder; see `archive.write_folder`."""
        write_folder(self.files, folder)

    def archive(self, path: Path) -> None:
        """Write a `.tar.gz` that unpacks into one folder of the design's name; see `archive.write_archive`."""
        write_archive(self.files, self.record["name"], path)


@dataclass(frozen=True, eq=False)
class Golden:
    """Frames that a bundle carries to be replayed.

    Attributes:
        inputs: the model's own inputs, (frames, ...), one array an input.
        integers: the same, quantised as the host does it.
        outputs: golden integers of every output.
    """

    inputs: tuple[Array, ...]
    integers: tuple[IntArray, ...]
    outputs: tuple[IntArray, ...]

    @classmethod
    def of(cls, build: Build, inputs: tuple[Array, ...]) -> Golden:
        """Golden's integers for the model's own inputs.

        Raises:
            DataError: no frames, not equally many on every input, or of the wrong shape or type.
        """
        integers = build.model_graph.quantize(*inputs)
        counts = [len(x) for x in integers]
        if not counts[0] or len(set(counts)) > 1:
            raise DataError(f"inputs hold {counts!r} frames: need at least one, equally many on every input")
        return cls(inputs, integers, build.model_graph.reference(*integers))


def bundle(
    directory: str | Path,
    *,
    data: str | Path | Array | None = None,
    frames: int | None = None,
    virtual: bool = False,
    progress: Progress = silent,
) -> BundleFiles:
    """The bundle of a build folder.

    Args:
        directory: a build folder with the targets rtl and kernel.
        data: the golden frames, as for `check`; else those in the build.
        frames: how many of them; else all up to 1,000.
        virtual: leave out the bitstream that `gatewright bitstream` made of the build, and take a virtual one.
        progress: called with the name of each step.

    Raises:
        ConfigError: no build folder, a target that it lacks, or files in it that are no longer what `compile` wrote.
        DataError: inputs of the wrong shape, type or number.
    """
    build, golden = prepare(directory, data=data, frames=frames, progress=progress)
    progress("bundle")
    return make_bundle(build, golden, virtual=virtual)


def prepare(
    directory: str | Path,
    *,
    data: str | Path | Array | None = None,
    frames: int | None = None,
    progress: Progress = silent,
) -> tuple[Build, Golden]:
    """A build that can be bundled, and its golden frames; see `bundle`.

    Raises:
        ConfigError, DataError: see `bundle`.
    """
    if frames is not None and (type(frames) is not int or frames < 1):
        raise ConfigError(f"frames={frames!r} must be an integer of at least 1")
    build = Build.open(Path(directory))
    check_targets(build)
    changed = [name for name in build.changed() if not name.startswith(("hls/", "systemc/"))]
    if changed:
        raise ConfigError(
            f"{build.directory / changed[0]} is no longer what compile wrote: a bundle of it would carry the hash of "
            "another design; compile the model again"
        )
    inputs = tuple(np.atleast_1d(x)[: frames or FRAMES] for x in load_inputs(build, data))
    progress("golden")
    golden = Golden.of(build, inputs)
    if frames is not None and len(golden.integers[0]) < frames:
        raise DataError(f"frames={frames!r}: there are {len(golden.integers[0])}; give more with --data")
    return build, golden


def check_targets(build: Build) -> None:
    """Refuse a build without what a bundle is made of.

    Raises:
        MissingTargetError: names the target, and how to get it.
    """
    for target in ("rtl", "kernel"):
        build.emitted(target)


def make_bundle(build: Build, golden: Golden, *, virtual: bool = False) -> BundleFiles:
    """A bundle of what lies in the build folder, with these frames.

    Args:
        virtual: with a virtual bitstream, also where a real one was made.
    """
    check_targets(build)
    board, kernel = load_board(build.summary()["board"]), build.kernel
    simulated = _files(build.directory, "rtl") | _files(build.directory, "kernel")
    files = simulated | _graph_files(build) | _host_files(build) | _golden_files(build, golden) | _runtime_files()
    made = platform(build, simulated, virtual)
    record = _record(build, board, kernel, made)
    files |= made.files
    files |= {"run.py": RUN.encode(), "README.md": readme(record, build.model_graph, len(golden.integers[0])).encode()}
    record["files"] = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    files[MANIFEST] = (json.dumps(record, indent=1) + "\n").encode()
    return BundleFiles(files, record, len(golden.integers[0]))


def _record(build: Build, board: Board, kernel: KernelMap, made: Platform) -> dict[str, Any]:
    """What bundle.json says, but the digests."""
    return {
        "format": FORMAT,
        "name": kernel.name,
        "board": board.name,
        **{key: getattr(board, key) for key in ("title", "part", "family", "flow")},
        "mhz": made.mhz,
        "kernel": kernel.to_json(),
        "base_address": board.control_base,
        "bitstream": made.bitstream,
        "hwh": made.hwh,
        "predicted": _predicted(build, board, kernel, made.mhz),
        "memory": {key: getattr(board, f"memory_{key}") for key in MEMORY},
        **({} if board.uart_baud is None else {"transport": "uart", "uart": {"baud": board.uart_baud}}),
    }


def _predicted(build: Build, board: Board, kernel: KernelMap, mhz: float) -> dict[str, int]:
    """Cycles between frames on the board, where its memory may be slower than the design, and the design's latency."""
    summary = build.summary()
    pace = MemoryModel.of_board(board, mhz).pace(kernel, build.streamed_bytes())
    interval = max(summary["interval_cycles"], *map(math.ceil, pace))
    return {"interval_cycles": interval, "latency_cycles": summary["latency_cycles"]}


def _files(root: Path, folder: str) -> dict[str, bytes]:
    """All files below a folder, by path relative to `root`."""
    found = (p for p in sorted((root / folder).rglob("*")) if p.is_file())
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


def _graph_files(build: Build) -> dict[str, bytes]:
    return {name: (build.directory / name).read_bytes() for name in ("design.json", "design.npz", "prediction.json")}


def _host_files(build: Build) -> dict[str, bytes]:
    text, arrays = host_to_files(build.model_graph)
    return {"host.json": (json.dumps(text, indent=1) + "\n").encode(), "host.npz": npz(arrays)}


def _golden_files(build: Build, golden: Golden) -> dict[str, bytes]:
    graph = build.model_graph
    ins, outs = [i.name for i in graph.inputs], [o.name for o in graph.outputs]
    real = graph.dequantize(*golden.outputs)
    return {
        "golden/inputs.npz": npz(dict(zip(ins, golden.inputs, strict=True))),
        "golden/integers_in.npz": npz(dict(zip(ins, golden.integers, strict=True))),
        "golden/integers_out.npz": npz(dict(zip(outs, golden.outputs, strict=True))),
        "golden/float_out.npz": npz(dict(zip(outs, real, strict=True))),
    }


def _runtime_files() -> dict[str, bytes]:
    """The driver as it lies in this package."""
    home = Path(gatewright.runtime.__file__).parent
    return {f"{RUNTIME}/{p.relative_to(home).as_posix()}": p.read_bytes() for p in sorted(home.rglob("*.py"))}
