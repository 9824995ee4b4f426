# SPDX-License-Identifier: Apache-2.0
"""The driver on a device of its own machine: registers by address, buffers in the bank of each port."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.card import BANK_BYTES, Card
from tests.runtime.conftest import Made

from gatewright.board.archive import MANIFEST, write_folder
from gatewright.errors import DeviceError, DeviceMemoryError, HashError, RunTimeout
from gatewright.runtime import Accelerator
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.kernel import Fault, build_kernel

XCLBIN = b"xclbin2"


@pytest.fixture(scope="module")
def folder(mlp: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as Vitis would have linked it: a .xclbin in place of the bitstream."""
    record = json.loads(mlp.files[MANIFEST])
    del record["files"][record["bitstream"]["file"]]
    record["bitstream"] = {"file": "mlp.xclbin", "kind": "xclbin"}
    record["files"]["mlp.xclbin"] = hashlib.sha256(XCLBIN).hexdigest()
    home = tmp_path_factory.mktemp("card") / "bundle"
    write_folder({**mlp.files, MANIFEST: json.dumps(record).encode(), "mlp.xclbin": XCLBIN}, home)
    return home


@pytest.fixture
def card(mlp: Made) -> Iterator[Card]:
    kernel = KernelMap.load(mlp.build.directory / "kernel" / "kernel.json")
    card = Card(build_kernel(mlp.build.directory, "fast_build"), kernel)
    yield card
    card.process.close()


def works(accelerator: Accelerator, made: Made, frames: int = 300) -> None:
    want = made.build.model_graph.predict(made.x[:frames])[0]
    np.testing.assert_array_equal(accelerator.run(made.x[:frames]), want)


def test_it_runs(mlp: Made, folder: Path, card: Card) -> None:
    with Accelerator(folder, card) as accelerator:
        assert accelerator.verify().ok and card.downloads == 1
        works(accelerator, mlp)
        assert accelerator.state().frames_done == 300


def test_each_port_has_its_buffers_in_its_bank(mlp: Made, folder: Path, card: Card) -> None:
    with Accelerator(folder, card) as accelerator:
        works(accelerator, mlp)
    first, second = card.banks["DDR[0]"], card.banks["DDR[1]"]
    assert first.allocated == [1 << 33] and second.allocated == [(1 << 33) + BANK_BYTES]
    assert card.process.read(0x14) == 2  # the high word of an address beyond 4 GiB


def test_no_room_in_a_bank(mlp: Made, folder: Path, card: Card) -> None:
    with Accelerator(folder, card) as accelerator:
        with pytest.raises(DeviceMemoryError, match=r"the device has no room for [\d,]+ bytes .*BO allocation failed"):
            accelerator.run(np.repeat(mlp.x, 2000, axis=0))
        works(accelerator, mlp, 2)


def test_a_kernel_that_hangs_is_loaded_again(mlp: Made, folder: Path, card: Card) -> None:
    with Accelerator(folder, card, timeout=1e-3) as accelerator:
        works(accelerator, mlp)
        card.process.inject(Fault("silence", writes=False))
        with pytest.raises(RunTimeout, match="no more of input 'x'.*the next run loads the bitstream again"):
            accelerator.run(mlp.x)
        works(accelerator, mlp)
        assert card.downloads == 2


def test_a_kernel_that_hangs_and_must_not_be_loaded(mlp: Made, folder: Path, card: Card) -> None:
    with Accelerator(folder, card, download=False, timeout=1e-3) as accelerator:
        works(accelerator, mlp)
        card.process.inject(Fault("silence", writes=False))
        with pytest.raises(RunTimeout):
            accelerator.run(mlp.x)
        for _ in range(2):
            with pytest.raises(DeviceError, match="the kernel is busy and does not stop: load its bitstream"):
                accelerator.run(mlp.x)
        card.process.mend()
        works(accelerator, mlp)
        assert card.downloads == 0


def test_a_run_that_somebody_left_is_stopped(mlp: Made, folder: Path, card: Card) -> None:
    """Another program ended in mid-run: its run is aborted before ours begins."""
    with Accelerator(folder, card) as accelerator:
        works(accelerator, mlp)
    card.process.write(accelerator.bundle.kernel.frames_register, 300)
    card.process.write(0, 1)
    assert not card.process.read(0) & 4
    with Accelerator(folder, card, download=False) as accelerator:
        assert accelerator.state().faults == ("aborted",)
        works(accelerator, mlp)


def test_a_bitstream_without_our_kernel(mlp: Made, folder: Path, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    made = card.get_bitfile_metadata("")
    made.ip_dict = {"vadd_1": {"phys_addr": 0, "type": "xilinx.com:hls:vadd:1.0", "registers": {}}}
    monkeypatch.setattr(card, "get_bitfile_metadata", lambda name, partial=False: made)
    with pytest.raises(DeviceError, match=r"the bitstream has no kernel 'mlp_kernel'; it has \['vadd_1'\]"):
        Accelerator(folder, card)


def test_no_kernel_of_ours(mlp: Made, folder: Path, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "read_registers", lambda address, length: b"\xff" * 4)
    with pytest.raises(HashError, match="no kernel of Gatewright's at .* its magic word is 0xffffffff, not 0x314b5747"):
        Accelerator(folder, card)
