# SPDX-License-Identifier: Apache-2.0
"""The clock of a kernel out of a real bitstream, which was timed for it; what lies beside it is simulated."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.conftest import Made

from gatewright.board.archive import MANIFEST, write_folder
from gatewright.board.server import VirtualBoard
from gatewright.errors import DeviceError
from gatewright.runtime import Accelerator


def bit(data: bytes) -> bytes:
    """A .bit file: its header's fields, then data."""
    magic = bytes.fromhex("0ff00ff00ff00ff000")
    fields = [(b"a", b"net;UserID=0XFFFFFFFF;Version=2023.2\0"), (b"b", b"7z020clg400\0"), (b"c", b"2026/11/26\0"),
              (b"d", b"06:30:00\0")]  # fmt: skip
    header = struct.pack(">H", len(magic)) + magic + struct.pack(">H", 1)
    return (
        header
        + b"".join(letter + struct.pack(">H", len(text)) + text for letter, text in fields)
        + b"e"
        + struct.pack(">I", len(data))
        + data
    )


def timed_for(mhz: float, made: Made, folder: Path, kind: str = "bit") -> Path:
    """The bundle with a bitstream that says it is real; the handoff asks for 100 MHz as before."""
    record: dict[str, Any] = json.loads(made.files[MANIFEST])
    old = record["bitstream"]["file"]
    name = f"{Path(old).stem}.{'bit' if kind == 'bit' else 'bin'}"
    content = bit(bytes(range(256)) * 16) if kind == "bit" else made.files[old]
    files = {k: v for k, v in made.files.items() if k != old} | {name: content}
    record |= {"mhz": mhz, "bitstream": {"file": name, "kind": kind}}
    del record["files"][old]
    record["files"][name] = hashlib.sha256(content).hexdigest()
    write_folder({**files, MANIFEST: json.dumps(record).encode()}, folder)
    return folder


@pytest.mark.parametrize("mhz", [100.0, 99.6, 125.0])
def test_a_clock_that_is_not_faster_than_timing_allows(mhz: float, mlp: Made, tmp_path: Path) -> None:
    folder = timed_for(mhz, mlp, tmp_path / "b")
    with VirtualBoard([folder], port=0) as board, Accelerator(folder, board.address) as accelerator:
        want = mlp.build.model_graph.predict(mlp.x[:30])[0]
        np.testing.assert_array_equal(accelerator.run(mlp.x[:30]), want)


def test_a_clock_that_is_too_fast(mlp: Made, tmp_path: Path) -> None:
    folder = timed_for(95.0, mlp, tmp_path / "b")
    message = (
        r"gives the kernel a clock of 100\.0 MHz, and its bitstream was timed for 95\.0 MHz, so that results could"
    )
    with VirtualBoard([folder], port=0) as board, pytest.raises(DeviceError, match=message):
        Accelerator(folder, board.address)


def test_a_virtual_bitstream_takes_any(mlp: Made, tmp_path: Path) -> None:
    folder = timed_for(95.0, mlp, tmp_path / "b", kind="virtual")
    with VirtualBoard([folder], port=0) as board, Accelerator(folder, board.address) as accelerator:
        assert accelerator.run(mlp.x[:3]).shape[0] == 3
