# SPDX-License-Identifier: Apache-2.0
"""The virtual board with a real kernel, and the real pynq library as its client."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.board.parts import ULTRASCALE, ZYNQ, Client, refused, until
from tests.models import two_layers

from gatewright.board.bundle import bundle
from gatewright.board.server import VirtualBoard
from gatewright.boards import load_board
from gatewright.build import compile_model
from gatewright.errors import BundleError, ConfigError
from gatewright.runtime import kernel_map as registers
from gatewright.sim.kernel import Fault

ROOT = Path(__file__).parents[2]


def command(path: Path, board: VirtualBoard, *actions: str) -> list[str]:
    return [sys.executable, "-m", "tests.board.pynq_client", str(path), str(board.port), *actions]


def user(path: Path, board: VirtualBoard, *actions: str) -> Any:
    """What a program with the real pynq library found."""
    done = subprocess.run(command(path, board, *actions), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ZYNQ + ULTRASCALE)
def test_overlay_allocate_and_mmio_of_the_real_library(name: str, bundles: dict[str, Path]) -> None:
    with VirtualBoard([bundles[name]], port=0) as board:
        seen = user(bundles[name], board, "inspect")["inspect"]
    zynq = name in ZYNQ
    assert (seen["name"], seen["arch"]) == (name, "armv7l" if zynq else "aarch64")
    assert seen["ips"] == ["net_kernel_1", "processing_system7_0" if zynq else "zynq_ultra_ps_e_0"]
    assert seen["address"] == (0x43C0_0000 if zynq else 0xA000_0000)
    assert seen["loaded"]
    # No divider makes 200 MHz of a PLL at 1,500 MHz.
    assert seen["mhz"] == pytest.approx(100 if load_board(name).mhz == 100 else 187.5, rel=1e-4)
    assert seen["others"] == pytest.approx([100, 100], rel=1e-4)
    assert seen["cpu_mhz"] == pytest.approx(650 if zynq else 1200, rel=1e-3)
    assert {"CTRL", "GIER", "x_1", "x_2", "frames"} < set(seen["registers"])
    assert seen["idle"] == 1
    assert seen["exact"] == seen["frames"] > 0


@pytest.fixture(scope="module", params=["pynq-z2", "zcu104"])
def session(request: pytest.FixtureRequest, bundles: dict[str, Path]) -> Any:
    """One program that does all of this in a row."""
    actions = ["flushes", "clocks", "again", "exhaust", "truncated", "register_map"]
    actions += ["widths"] if request.param == "zcu104" else []
    log: list[str] = []
    with VirtualBoard([bundles[request.param]], port=0, log=log.append) as board:
        seen = user(bundles[request.param], board, *actions)
    return {**seen, "log": log, "board": request.param}


def test_a_forgotten_flush_shows(session: Any) -> None:
    assert session["flushes"]["flushed"] == 8
    assert session["flushes"]["forgotten"] == session["flushes"]["zeros"] < 8


def test_clocks_read_back_and_follow_the_handoff(session: Any) -> None:
    seen = session["clocks"]
    assert seen["set"] == pytest.approx([50, 25], rel=1e-4)
    assert seen["before"] == seen["after"] == pytest.approx(100, rel=1e-4)
    assert any(line.startswith("clock 0 of the programmable logic: 50") or "49.9995" in line for line in session["log"])


def test_programming_again_resets_the_kernel_and_keeps_buffers(session: Any) -> None:
    assert session["again"]["exact"] == 8


def test_out_of_memory_and_the_next_run_works(session: Any) -> None:
    assert session["exhaust"]["code"] == "RESOURCE_EXHAUSTED"
    assert "out of memory" in session["exhaust"]["text"]
    assert session["exhaust"]["exact"] == 8


def test_a_cut_bitstream_and_the_next_run_works(session: Any) -> None:
    assert session["truncated"]["code"] == "FAILED_PRECONDITION"
    assert "are no bitstream of a bundle that is served" in session["truncated"]["text"]
    assert session["truncated"]["state"] == "write error"
    assert session["truncated"]["exact"] == 8


def test_the_register_map_starts_the_kernel(session: Any) -> None:
    assert session["register_map"]["done"] == 1
    assert session["register_map"]["exact"] == 8


def test_widths_of_ports(session: Any) -> None:
    if session["board"] == "zcu104":
        assert session["widths"]["registers"] == [1, 1, 2 << 8]


def test_the_log_tells_runs_in_the_boards_time(session: Any) -> None:
    assert any("net: 8 frames in" in line and "at 100 MHz" in line for line in session["log"])
    assert any(line.startswith("programmed with net, net_") for line in session["log"])


def test_the_board_that_an_environment_variable_names(bundles: dict[str, Path]) -> None:
    """Without a word about devices in the program; PYNQ's port is fixed, so that the address is this process' own."""
    host = f"127.{os.getpid() >> 14 & 127}.{os.getpid() >> 7 & 127}.{(os.getpid() & 127) + 1}"
    with VirtualBoard([bundles["zcu104"]], host=host) as board:
        done = subprocess.run(
            command(bundles["zcu104"], board, "inspect", "widths"), cwd=ROOT, capture_output=True, text=True,
            env={**os.environ, "PYNQ_REMOTE_DEVICES": host},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["inspect"]["exact"] == 8


def test_pynqs_own_self_test(bundles: dict[str, Path]) -> None:
    """All steps but the one that wants an AXI GPIO in the design, which a bundle has not."""
    with VirtualBoard([bundles["pynq-z2"]], port=0) as board:
        done = subprocess.run(command(bundles["pynq-z2"], board, "selftest"), cwd=ROOT, capture_output=True, text=True)
    failed = [line.strip() for line in done.stdout.splitlines() if "[FAIL]" in line]
    assert failed == ["[FAIL] no AXI GPIO in the overlay to MMIO-test"], done.stdout + done.stderr[-2000:]
    assert "10 passed, 1 failed" in done.stdout


# --- a raw connection: what needs no second process -------------------------------------------------------------------


@dataclass
class Rig:
    """A raw client that programs the board and runs golden frames."""

    board: VirtualBoard
    client: Client
    path: Path

    def __post_init__(self) -> None:
        self.record = json.loads((self.path / "bundle.json").read_text())
        self.kernel = registers.KernelMap.from_json(self.record["kernel"])
        self.x, self.y = (self._golden(n) for n in ("in", "out"))

    def _golden(self, which: str) -> np.ndarray:
        from tests.board.pack import packed

        (port,) = self.kernel.inputs if which == "in" else self.kernel.outputs
        with np.load(self.path / f"golden/integers_{which}.npz") as arrays:
            (values,) = arrays.values()
        return packed(values, port.bits, port.frame_bytes)

    def program(self) -> None:
        """Upload, program, open the registers, send the frames."""
        c, file = self.client, self.record["bitstream"]["file"]
        c.write_file(f"/lib/firmware/{file}", (self.path / file).read_bytes())
        c.write_file("/sys/class/fpga_manager/fpga0/firmware", file.encode())
        self.window = c.mmio.get_mmio(base_addr=self.record["base_address"], length=self.kernel.control_bytes).mmio_id
        self.sent, self.got = (c.buffer.allocate(size=a.size).buffer_id for a in (self.x, self.y))
        c.buffer.write([{"buffer_id": self.sent, "data": self.x.tobytes()}])
        c.buffer.flush(buffer_id=self.sent)

    def read(self, offset: int) -> int:
        return int(self.client.mmio.read(mmio_id=self.window, offset=offset, length=4).data)

    def write(self, offset: int, value: int) -> None:
        self.client.mmio.write(mmio_id=self.window, offset=offset, data=value.to_bytes(4, "little"))

    def start(self, frames: int | None = None) -> None:
        for port, name in ((self.kernel.inputs[0], self.sent), (self.kernel.outputs[0], self.got)):
            self.write(port.register, self.client.buffer.physical_address(buffer_id=name).address)
            self.write(port.register + 4, 0)
        self.write(self.kernel.frames_register, len(self.x) if frames is None else frames)
        self.write(registers.CONTROL, registers.START)

    def result(self) -> bool:
        """Whether what arrived is golden's."""
        self.client.buffer.invalidate(buffer_id=self.got)
        return b"".join(a.data for a in self.client.buffer.read(buffer_id=self.got)) == self.y.tobytes()

    def run(self) -> bool:
        self.start()
        assert self.read(registers.CONTROL) & registers.DONE
        return self.result()


@pytest.fixture
def rig(bundles: dict[str, Path]) -> Iterator[Rig]:
    with VirtualBoard([bundles["pynq-z2"]], port=0) as board, Client(board.port) as client:
        it = Rig(board, client, bundles["pynq-z2"])
        it.program()
        yield it


def test_one_read_of_the_control_register_is_a_whole_run(rig: Rig) -> None:
    assert rig.run()
    assert rig.run()
    cycles = rig.read(rig.kernel.status + registers.CYCLES)
    assert cycles < 4 * (rig.record["predicted"]["latency_cycles"] + 8 * rig.record["predicted"]["interval_cycles"])


def test_a_run_and_a_poll_that_is_shorter(bundles: dict[str, Path]) -> None:
    log: list[str] = []
    path = bundles["pynq-z2"]
    with VirtualBoard([path], port=0, poll_ms=0.001, log=log.append) as board, Client(board.port) as client:
        rig = Rig(board, client, bundles["pynq-z2"])
        rig.program()
        rig.start()
        polls = 1
        while not rig.read(registers.CONTROL) & registers.DONE:
            polls += 1
        assert polls > 4
        assert rig.result()
        assert f" in {rig.read(rig.kernel.status + registers.CYCLES):,} cycles, " in log[-1]


def test_slower_memory_takes_longer(bundles: dict[str, Path]) -> None:
    cycles = []
    for latency in (0, 20_000):
        with VirtualBoard([bundles["pynq-z2"]], port=0, latency_ns=latency) as board, Client(board.port) as client:
            rig = Rig(board, client, bundles["pynq-z2"])
            rig.program()
            assert rig.run()
            cycles.append(rig.read(rig.kernel.status + registers.CYCLES))
    assert cycles[1] > cycles[0] + 2 * 1_900


def test_faults_of_memory_are_told_by_the_kernel_and_the_next_run_works(rig: Rig) -> None:
    rig.board.inject(Fault("slverr", writes=False, count=1))
    rig.start()
    assert rig.read(registers.CONTROL) & registers.DONE
    assert rig.read(rig.kernel.status + registers.FAULTS) == registers.READ_SLVERR
    rig.board.mend()
    assert rig.run()
    assert rig.read(rig.kernel.status + registers.FAULTS) == 0


def test_memory_that_never_answers_is_no_endless_poll(rig: Rig) -> None:
    rig.board.inject(Fault("silence"))
    rig.start()
    for _ in range(3):
        assert not rig.read(registers.CONTROL) & registers.DONE
    rig.program()
    assert rig.run()


def test_faults_from_the_start(bundles: dict[str, Path]) -> None:
    faults = [Fault("decerr", reads=False)]
    with VirtualBoard([bundles["pynq-z2"]], port=0, faults=faults) as board, Client(board.port) as client:
        rig = Rig(board, client, bundles["pynq-z2"])
        rig.program()
        rig.start()
        assert rig.read(registers.CONTROL) & registers.DONE
        assert rig.read(rig.kernel.status + registers.FAULTS) == registers.WRITE_DECERR


def test_a_client_that_dies_in_a_run_leaves_an_idle_board(bundles: dict[str, Path]) -> None:
    log: list[str] = []
    calls: list[str] = []
    with VirtualBoard([bundles["pynq-z2"]], port=0, log=log.append, trace=calls.append) as board:
        dying = subprocess.Popen(
            command(bundles["pynq-z2"], board, "hold"), cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert dying.stdout is not None
        assert dying.stdout.readline() == "running\n"
        until(lambda: "MmioService.read" in calls[-1])  # the poll, in which a frame takes 96 cycles
        dying.send_signal(signal.SIGKILL)
        dying.wait()
        dying.stdout.close()
        until(lambda: board.client is None)
        assert "4 buffers freed that the client left behind" in log
        assert "net: the run that was going on is dropped" in log
        with Client(board.port) as client:
            rig = Rig(board, client, bundles["pynq-z2"])
            client.buffer.freebuffer(buffer_id=client.buffer.allocate(size=rig.record["memory"]["bytes"]).buffer_id)
            rig.program()
            assert rig.run()


def test_two_users_in_turn(bundles: dict[str, Path]) -> None:
    path = bundles["zcu104"]
    with VirtualBoard([path], port=0, wait_seconds=300) as board:
        both = [subprocess.Popen(command(path, board, "inspect"), cwd=ROOT, stdout=subprocess.PIPE, text=True)
                for _ in range(2)]  # fmt: skip
        said = [json.loads(p.communicate()[0].splitlines()[-1])["inspect"] for p in both]
    assert [s["exact"] for s in said] == [8, 8]


def test_a_client_without_download_finds_what_the_last_one_left_but_idle(rig: Rig) -> None:
    rig.start(frames=1000)
    assert rig.read(registers.FIRST_ARGUMENT) != 0
    rig.client.remote_device.shutdown()
    other = Rig(rig.board, rig.client, rig.path)
    other.window = rig.client.mmio.get_mmio(base_addr=rig.record["base_address"], length=4096).mmio_id
    assert other.read(registers.CONTROL) == registers.IDLE
    assert other.read(registers.FIRST_ARGUMENT) == 0
    assert other.read(rig.kernel.status) == registers.MAGIC_WORD


def test_the_end_of_the_server_in_a_run_is_an_error(rig: Rig) -> None:
    rig.start(frames=1 << 20)
    ended: list[str] = []

    def poll() -> None:
        try:
            rig.read(registers.CONTROL)
        except grpc.RpcError as error:
            ended.append(error.code().name)

    thread = threading.Thread(target=poll)
    thread.start()
    rig.board.close()
    thread.join()
    assert ended and ended[0] in ("UNAVAILABLE", "CANCELLED")


def test_a_simulation_that_breaks_off_is_told_and_the_next_download_works(rig: Rig) -> None:
    machine = rig.board._machine
    assert machine is not None
    process = machine.fabric._process
    assert process is not None
    process._process.kill()
    assert "download its bitstream again" in refused("INTERNAL", rig.read, registers.CONTROL)
    refused("INTERNAL", rig.read, registers.CONTROL)
    rig.program()
    assert rig.run()


@pytest.mark.parametrize("seed", range(4))
def test_nonsense_in_the_registers_harms_nobody(rig: Rig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    offsets = [0, 4, 8, 12, 0x0C + rig.kernel.status, *range(0x10, rig.kernel.frames_register, 4)]
    for _ in range(150):
        action = rng.integers(10)
        try:
            if action == 0:
                rig.write(registers.CONTROL, int(rng.choice([1, 0x81, 0])))
            elif action == 1:
                rig.write(rig.kernel.frames_register, int(rng.integers(0, 5)))
            elif action < 6:
                rig.write(int(rng.choice(offsets[1:])), int(rng.integers(0, 1 << 32)))
            else:
                rig.read(4 * int(rng.integers(rig.kernel.control_bytes // 4)))
        except grpc.RpcError as error:
            assert error.code().name == "INTERNAL"  # an error response of the kernel
    rig.program()
    assert rig.run()


def test_a_server_on_another_address(bundles: dict[str, Path]) -> None:
    with VirtualBoard([bundles["pynq-z2"]], host="127.0.0.9", port=0) as board:
        assert board.address == f"127.0.0.9:{board.port}"
        with Client(board.port, "127.0.0.9") as client:
            rig = Rig(board, client, bundles["pynq-z2"])
            rig.program()
            assert rig.run()
        with pytest.raises(ConfigError, match=f"already serves on 127.0.0.9:{board.port}: close it first"):
            board.start()
        until(lambda: board.client is None)
    board.close()
    with board, Client(board.port, "127.0.0.9") as client:
        Rig(board, client, bundles["pynq-z2"]).program()


def test_one_board_with_several_designs(bundles: dict[str, Path], tmp_path: Path) -> None:
    model, y = two_layers(hidden=6)
    compile_model(model.save(tmp_path / "other.onnx", y), "pynq-z2", fps=1e6, targets=["rtl", "kernel"],
                  output=tmp_path / "build")  # fmt: skip
    bundle(tmp_path / "build").archive(tmp_path / "other.tar.gz")
    bundle(tmp_path / "build").write(tmp_path / "other")
    log: list[str] = []
    with (
        VirtualBoard([bundles["pynq-z2"], tmp_path / "other.tar.gz"], port=0, log=log.append) as board,
        Client(board.port) as client,
    ):
        first, second = Rig(board, client, bundles["pynq-z2"]), Rig(board, client, tmp_path / "other")
        for rig in (first, second, first):
            rig.program()
            assert rig.run()
            hash_ = [rig.read(rig.kernel.status + registers.HASH + 4 * i) for i in range(4)]
            assert b"".join(w.to_bytes(4, "little") for w in hash_).hex() == rig.kernel.hash


def test_bundles_for_two_boards_are_two_servers(bundles: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="is for pynq-z2, and .* is for zcu104.*serve them as two boards"):
        VirtualBoard([bundles["pynq-z2"], bundles["zcu104"]])
    with pytest.raises(ConfigError, match="needs at least one bundle"):
        VirtualBoard([])


def test_rtl_that_is_not_the_bitstreams_is_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(bundles["pynq-z2"], tmp_path / "copy")
    changed = tmp_path / "copy" / "rtl" / "net.sv"
    changed.write_text(changed.read_text() + "// changed\n")
    with pytest.raises(BundleError, match="rtl/net.sv is damaged"):
        VirtualBoard([tmp_path / "copy"])
    record = json.loads((tmp_path / "copy" / "bundle.json").read_text())
    record["files"]["rtl/net.sv"] = hashlib.sha256(changed.read_bytes()).hexdigest()
    (tmp_path / "copy" / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="was not made of the RTL beside it: make the bundle again"):
        VirtualBoard([tmp_path / "copy"])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"memory": {}}, "tells no memory of a board"),
        ({"memory": 3}, "tells no memory of a board"),
        ({"bitstream": None}, "holds no bitstream"),
        ({"bitstream": {"file": "x.bit", "kind": "bit"}}, "bundle.json has no digest of its bitstream 'x.bit'; copy"),
        ({"board": "no-board"}, "board 'no-board' is unknown"),
    ],
)
def test_records_of_no_virtual_board(
    bundles: dict[str, Path], tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    shutil.copytree(bundles["pynq-z2"], tmp_path / "copy")
    file = tmp_path / "copy" / "bundle.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises((BundleError, ConfigError), match=text):
        VirtualBoard([tmp_path / "copy"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"port": -1}, "port=-1: use 1 to 65535, or 0 for a free one"),
        ({"port": 70_000}, "port=70000: use 1 to 65535, or 0 for a free one"),
        ({"poll_ms": 0}, "poll_ms=0 must be above 0"),
        ({"gbytes_per_s": -1.0}, "gbytes_per_s=-1.0 must be above 0"),
        ({"latency_ns": float("nan")}, "latency_ns=nan must be 0 or more"),
        ({"faults": [Fault("slverr", port=2)]}, "fault of port=2, which no kernel has: use 0 to 1"),
    ],
)
def test_options_out_of_range(bundles: dict[str, Path], options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        VirtualBoard([bundles["pynq-z2"]], **options)
