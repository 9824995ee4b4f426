# SPDX-License-Identifier: Apache-2.0
"""Kernels that read weights from memory: exact under stalls; every word is read as often as needed and no oftener."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.support import sample
from tests.rtl.kernel.designs import write_kernel

from gatewright.boards import load_board
from gatewright.design.feeds import feeds
from gatewright.design.plan import Design
from gatewright.emit.hls_axi import registers
from gatewright.ir.graph import Graph, chain
from gatewright.ir.op import as_int64
from gatewright.ir.packing import frame_images, read_images
from gatewright.ir.types import IntArray, Tensor
from gatewright.ops.dense import Dense
from gatewright.ops.window import Window
from gatewright.runtime import kernel_map as regs
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.kernel import Fault, KernelProcess, MemoryModel, build_kernel

FRAMES = 5
BASE = 0x7F_FFFF_F000
"""Where memory begins: frames lie on both sides of an address of 40 bits."""
STALLED = {"ar": 0.4, "r": 0.3, "aw": 0.3, "w": 0.3, "b": 0.4}


def layers() -> Graph:
    """A convolution whose weights are read at all 9 places, words of 36 bits, and a product, words of 40 bits."""
    rng = np.random.default_rng(4)
    window = Window(Tensor((5, 5, 2), -8, 7), 3, 3, 2, 2, 1, 1, 1, 1, simd=2)
    conv = Dense(window.outputs[0], as_int64(rng.integers(-3, 4, (8, 18))), pe=2, simd=6, streamed=("weight",))
    flat = Tensor((9 * 8,), conv.outputs[0].lo, conv.outputs[0].hi)
    last = Dense(flat, as_int64(rng.integers(-15, 16, (5, 72))), pe=1, simd=8, streamed=("weight",))
    return replace(chain([window, conv, last]), name="net")


def design() -> Design:
    return Design(layers(), load_board("pynq-z2"), 100.0)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KernelMap]:
    folder = tmp_path_factory.mktemp("kernel")
    return folder, write_kernel(design(), 64, folder)


class Host:
    """A host with memory laid out in pages: inputs, outputs, then weights."""

    def __init__(self, folder: Path, found: KernelMap, process: KernelProcess) -> None:
        self.map, self.process = found, process
        sizes = [a.frame_bytes * FRAMES for a in found.arguments] + [w.image_bytes for w in found.weights]
        self.at = [0]
        for size in sizes:
            self.at.append(-(-(self.at[-1] + size) // 4096) * 4096 + 64)  # not at the start of a page
        for place, weights in zip(self.at[len(found.arguments) :], found.weights, strict=False):
            content = (folder / weights.file).read_bytes()
            assert len(content) == weights.image_bytes
            process.memory[place : place + len(content)] = np.frombuffer(content, np.uint8)

    def write_address(self, register: int, place: int) -> None:
        self.process.write(register, BASE + place & 0xFFFFFFFF)
        self.process.write(register + 4, BASE + place >> 32)

    def start(self, x: IntArray) -> None:
        found = self.map
        image = frame_images(x.reshape(len(x), -1), found.inputs[0].stream, found.bus_bits)
        self.process.memory[self.at[0] : self.at[0] + image.size] = image.ravel()
        for place, port in zip(self.at, (*found.arguments, *found.weights), strict=False):
            self.write_address(port.register, place)
        self.process.write(found.frames_register, len(x))
        self.process.write(regs.CONTROL, regs.START)

    def result(self, frames: int) -> IntArray:
        (output,) = self.map.outputs
        start = self.at[len(self.map.inputs)]
        data = self.process.memory[start : start + output.frame_bytes * frames].tobytes()
        return read_images(data, frames, output.stream, self.map.bus_bits)

    def status(self, offset: int) -> int:
        return self.process.read(self.map.status + offset)


def golden(x: IntArray) -> IntArray:
    (y,) = layers().reference(x)
    return y.reshape(len(x), -1)


def frames(count: int = FRAMES) -> IntArray:
    return sample(layers().inputs[0].tensor, count, np.random.default_rng(2))


def test_the_record_of_the_kernel(built: tuple[Path, KernelMap]) -> None:
    folder, found = built
    offsets = registers(design().structure)
    assert found.frames_register == offsets["frames"] == 0x28
    assert [(w.name, w.port, w.register) for w in found.weights] == [
        ("u1_dense_weight", "gmem2", 0x30),
        ("u2_dense_weight", "gmem3", 0x3C),
    ]
    words = [f.stream.beats * f.stream.width for f in feeds(design().structure)]
    assert [w.image_bytes for w in found.weights] == [-(-bits // 64) * 8 for bits in words]
    assert found.ports == ("gmem0", "gmem1", "gmem2", "gmem3")
    assert KernelMap.from_json(found.to_json()) == found
    assert sorted(p.name for p in (folder / "kernel" / "weights").iterdir()) == [
        "u1_dense_weight.bin",
        "u2_dense_weight.bin",
    ]


def test_an_image_holds_the_bits_of_the_words_one_behind_the_other(built: tuple[Path, KernelMap]) -> None:
    folder, found = built
    for weights, feed in zip(found.weights, feeds(design().structure), strict=True):
        image = int.from_bytes((folder / weights.file).read_bytes(), "little")
        width = feed.stream.width
        words = [image >> width * i & (1 << width) - 1 for i in range(feed.stream.beats)]
        assert words == [int(line, 16) for line in feed.content.hex_lines()]
        assert image >> width * feed.stream.beats == 0


@pytest.mark.parametrize("bus_bits", [64, 128])
@pytest.mark.parametrize("stalls", [{}, STALLED], ids=["free", "stalled"])
def test_results_are_exact_and_weights_read_as_often_as_needed(
    bus_bits: int, stalls: dict[str, float], tmp_path: Path
) -> None:
    found = write_kernel(design(), bus_bits, tmp_path)
    memory = MemoryModel(base=BASE, bytes=1 << 16, latency_cycles=20, stalls=stalls, seed=3)  # type: ignore[arg-type]  # names of channels
    with build_kernel(tmp_path, "fast_build").start(memory) as process:
        host = Host(tmp_path, found, process)
        for run in range(2):
            x = frames()[run:]
            host.start(x)
            assert process.wait(200_000)
            np.testing.assert_array_equal(host.result(len(x)), golden(x))
            assert host.status(regs.FAULTS) == 0
        counts = process.counts()
    total = 2 * FRAMES - 1
    for weights, passes in zip(found.weights, (9, 1), strict=True):
        beats = weights.image_bytes // (bus_bits // 8) * passes * total
        assert counts[f"m_axi_{weights.port}"].beats == beats


def test_the_interval_is_that_of_weights_on_the_chip(built: tuple[Path, KernelMap]) -> None:
    """Without stalls, and memory that answers late: the next words are asked for while there are words."""
    folder, found = built
    with build_kernel(folder, "fast_build").start(MemoryModel(base=BASE, bytes=1 << 16, latency_cycles=20)) as process:
        host = Host(folder, found, process)
        host.start(frames())
        assert process.wait(100_000)
        first, newest = host.status(regs.FIRST_FRAME), host.status(regs.LAST_FRAME)
    interval = (newest - first) / (FRAMES - 1)
    assert interval == pytest.approx(design().timing.interval, rel=0.02)


def test_an_error_on_weights_is_latched_as_one_of_reads_and_the_next_run_works(built: tuple[Path, KernelMap]) -> None:
    folder, found = built
    with build_kernel(folder, "fast_build").start(MemoryModel(base=BASE, bytes=1 << 16)) as process:
        host = Host(folder, found, process)
        bad = BASE + host.at[3]
        process.inject(Fault("slverr", first=bad, bytes=8))
        host.start(frames())
        assert process.wait(100_000)
        assert host.status(regs.FAULTS) == regs.READ_SLVERR
        assert host.status(regs.READ_FAULTS) == FRAMES and host.status(regs.WRITE_FAULTS) == 0
        assert host.status(regs.FAULT_MASTER) == 3
        assert host.status(regs.FAULT_ADDRESS) | host.status(regs.FAULT_ADDRESS + 4) << 32 == bad
        process.mend()
        host.start(frames())
        assert process.wait(100_000) and host.status(regs.FAULTS) == 0
        np.testing.assert_array_equal(host.result(FRAMES), golden(frames()))


def test_an_address_of_weights_that_is_not_aligned_is_refused(built: tuple[Path, KernelMap]) -> None:
    folder, found = built
    with build_kernel(folder, "fast_build").start(MemoryModel(base=BASE, bytes=1 << 16)) as process:
        host = Host(folder, found, process)
        host.at[2] += 4
        host.start(frames())
        assert process.wait(1000)
        assert host.status(regs.FAULTS) == regs.UNALIGNED
        assert process.counts()["m_axi_gmem2"].bursts == 0


def test_an_abort_between_passes_leaves_nothing_behind(built: tuple[Path, KernelMap]) -> None:
    folder, found = built
    memory = MemoryModel(base=BASE, bytes=1 << 16, latency_cycles=9, seed=5)
    with build_kernel(folder, "fast_build").start(memory) as process:
        host = Host(folder, found, process)
        for cycles in (40, 150, 333):
            host.start(frames())
            assert not process.wait(cycles)
            process.write(found.status + regs.ABORT, 1)
            assert process.wait(10_000)
            assert host.status(regs.FAULTS) == regs.ABORTED
            x = frames(3)
            host.start(x)
            assert process.wait(100_000) and host.status(regs.FAULTS) == 0
            np.testing.assert_array_equal(host.result(3), golden(x))


def test_words_in_another_order_give_other_results(built: tuple[Path, KernelMap]) -> None:
    folder, found = built
    with build_kernel(folder, "fast_build").start(MemoryModel(base=BASE, bytes=1 << 16)) as process:
        host = Host(folder, found, process)
        at, size = host.at[3], found.weights[1].image_bytes
        process.memory[at : at + size] = np.roll(process.memory[at : at + size], 8)
        host.start(frames())
        assert process.wait(100_000)
        assert (host.result(FRAMES) != golden(frames())).any()
