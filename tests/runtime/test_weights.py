# SPDX-License-Identifier: Apache-2.0
"""The driver on a virtual board whose kernel reads weights from memory: loaded once, checked, given back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.models import small_network
from tests.runtime.conftest import Made, rebundled
from tests.runtime.test_accelerator import calls, opened
from tests.runtime.test_serial import BANK, banked
from tests.runtime.uart_peer import Peer, Simulated

from gatewright.board.archive import write_folder
from gatewright.board.bundle import bundle
from gatewright.board.server import VirtualBoard
from gatewright.build import compile_model
from gatewright.errors import BundleError, BusError, DeviceMemoryError
from gatewright.runtime import Accelerator
from gatewright.runtime.bundle import Bundle
from gatewright.sim.kernel import Fault, MemoryModel, build_kernel
from gatewright.verify.check import check


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A residual network; weights of its second convolution and of its matrix product come from memory."""
    home = tmp_path_factory.mktemp("streamed")
    b, y = small_network()
    path = b.save(home / "streamed.onnx", y)
    build = compile_model(
        path, "pynq-z2", fps=1e5, targets=["rtl", "kernel"], stream_weights=["conv_2", "gemm_1"], output=home / "build"
    )
    x = np.float32(np.random.default_rng(0).integers(-40, 41, (60, 2, 6, 6)) / 16)
    files = bundle(build.directory, data=x[:20]).files
    write_folder(files, home / "streamed")
    return Made(build, files, home / "streamed", x)


def test_the_bundle_holds_the_weights(streamed: Made) -> None:
    kernel = Bundle(streamed.folder).kernel
    assert len(kernel.weights) == 2
    for weights in kernel.weights:
        assert len(streamed.files[weights.file]) == weights.image_bytes


def test_batches_are_golden_and_weights_are_written_once(streamed: Made) -> None:
    want = streamed.build.model_graph.predict(streamed.x)[0]
    with opened(streamed) as (accelerator, trace):
        assert accelerator.verify().ok
        before = calls(trace)
        for frames in (1, 17, 60):
            np.testing.assert_array_equal(accelerator.run(streamed.x[:frames]), want[:frames])
        again = calls(trace)
        accelerator.run(streamed.x[:60])
        last = calls(trace)
        assert before["BufferService.allocate"] >= 2 + 2
        assert last["BufferService.flush"] - again["BufferService.flush"] <= 4  # inputs of pieces alone
        accelerator.close()
        seen = calls(trace)
        assert seen["BufferService.allocate"] == seen["BufferService.freebuffer"]


def test_weights_that_were_changed_are_noticed(streamed: Made, tmp_path: Path) -> None:
    """By the digest; and by golden, where the digest is made to fit."""
    (first, *_) = Bundle(streamed.folder).kernel.weights
    damaged = bytes([streamed.files[first.file][0] ^ 1]) + streamed.files[first.file][1:]
    write_folder({**streamed.files, first.file: damaged}, tmp_path / "damaged")
    with pytest.raises(BundleError, match=rf"{first.file} is damaged"):
        Bundle(tmp_path / "damaged")
    write_folder(rebundled(streamed.files, {first.file: damaged}), tmp_path / "fits")
    with (
        VirtualBoard([tmp_path / "fits"], port=0) as board,
        Accelerator(tmp_path / "fits", board.address) as accelerator,
    ):
        assert not accelerator.verify().ok


def test_no_room_for_weights(streamed: Made, tmp_path: Path) -> None:
    record = json.loads(streamed.files["bundle.json"])
    record["memory"]["bytes"] = 4096
    files = {**streamed.files, "bundle.json": json.dumps(record).encode()}
    write_folder(files, tmp_path / "small")
    with VirtualBoard([tmp_path / "small"], port=0) as board, pytest.raises(DeviceMemoryError):
        Accelerator(tmp_path / "small", board.address)


def test_the_stages_kernel_and_board_are_exact(streamed: Made) -> None:
    results = check(streamed.build.directory, stages=["golden", "rtl", "kernel", "board"])
    assert [(r.name, r.status, r.exact) for r in results] == [
        (n, "ok", 8) for n in ("golden", "rtl", "kernel", "board")
    ], [r.reason for r in results]
    kernel = results[2]
    assert kernel.latency_cycles == kernel.predicted_latency_cycles


def test_over_a_serial_port_they_are_written_again_where_the_board_lost_them(streamed: Made, tmp_path: Path) -> None:
    """Each lies in the bank of its port. A board that was given its bitstream again has neither them nor its
    registers: the run that finds out fails, and the next one opens it anew."""
    folder, kernel = banked(streamed, tmp_path / "bundle"), streamed.build.kernel
    want = streamed.build.model_graph.predict(streamed.x)[0]
    others = [Fault("decerr", bytes=BANK, port=port) for port in range(1, len(kernel.ports))]  # than the first bank's
    memory = MemoryModel(base=0, bytes=len(kernel.ports) * BANK, faults=tuple(others))
    with (
        build_kernel(streamed.build.directory, "fast_build").start(memory) as process,
        Peer(Simulated(process), banks=len(kernel.ports)) as peer,
        Accelerator(folder, peer.path) as accelerator,
    ):
        np.testing.assert_array_equal(accelerator.run(streamed.x), want)
        for weights in kernel.weights:
            at = int(weights.port[len("gmem") :]) * BANK
            assert process.memory[at : at + weights.image_bytes].tobytes() == streamed.files[weights.file]
        process.reset()
        process.memory[:] = 0
        with pytest.raises(BusError, match=r"memory answered with an error \(.*DECERR\)"):
            accelerator.run(streamed.x[:7])
        np.testing.assert_array_equal(accelerator.run(streamed.x), want)
