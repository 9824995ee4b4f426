# SPDX-License-Identifier: Apache-2.0
"""Bundles with the bitstream of a stand-in for Vivado: what PYNQ uploads of it, and the virtual board that takes it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tests.runtime.conftest import rebundled
from tests.synth import stand_in
from tests.synth.test_bitstream import build, install, made, run

from gatewright.board.archive import read_files, write_folder
from gatewright.board.bitstream import uploaded
from gatewright.board.designs import read_sources
from gatewright.board.server import VirtualBoard
from gatewright.board.serving import bundle_of
from gatewright.errors import ConfigError
from gatewright.runtime import Accelerator, Bundle

__all__ = ["build", "install", "made"]


@pytest.fixture
def bundle(build: Path, install: object) -> Path:
    install()  # type: ignore[operator]
    assert run(build, "--mhz", "125").exit_code == 0
    return build / "bundle"


BIT = stand_in.bit("some data")


def test_the_upload_is_what_pynq_makes_of_the_file() -> None:
    from gatewright.runtime.device import import_pynq

    import_pynq()  # with its warnings off
    from pynq.pl_server.embedded_device import bit2bin

    assert uploaded(BIT) == bit2bin(BIT) != BIT


@pytest.mark.parametrize("size", [0, 1, 2, 12, 13, 40, 80, 200, -4, -1])
def test_a_cut_file_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=r"no \.bit file: its|a \.bit file that is cut: it has"):
        uploaded(BIT[:size])


def test_what_is_no_such_file_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no \.bit file: its header has no field b'\\xff'"):
        uploaded(struct.pack(">H", 9) + b"\xff" * 100)
    with pytest.raises(ConfigError, match="a .bit file that is cut: it has 3 bytes of data, and its header says 3"):
        uploaded(struct.pack(">H", 0) + b"\0\1e" + struct.pack(">I", 3) + b"abc")


def test_the_driver_runs_with_it_on_the_virtual_board(bundle: Path, tmp_path: Path) -> None:
    """The real pynq library uploads the .bit in its own way; in its place the RTL of the bundle is simulated."""
    log: list[str] = []
    with VirtualBoard([bundle], port=0, log=log.append) as board, Accelerator(bundle, device=board.address) as device:
        report = device.verify()
    assert report.ok and report.frames == 8
    assert any("(a real bitstream, in whose place the RTL beside it is simulated)" in line for line in log)
    assert any(line.startswith("programmed with net, net_") and ".bin; clock 0" in line for line in log)
    assert any("at 125 MHz" in line for line in log)
    for virtual in (True, False):
        kind = Bundle(bundle_of(bundle.parent, None, {}, tmp_path / str(virtual), virtual=virtual)).record["bitstream"]
        assert kind["kind"] == ("virtual" if virtual else "bit")
    files, name = read_files(bundle), Bundle(bundle).bitstream.name
    write_folder(rebundled(files, {name: files[name][:-8]}, bitstream=False), tmp_path / "cut")
    with pytest.raises(ConfigError, match=rf"{name}: a \.bit file that is cut: .*: make the bundle again"):
        read_sources([tmp_path / "cut"])
