# SPDX-License-Identifier: Apache-2.0
"""The driver's own time: what `Accelerator.run` takes outside of calls of pynq and of waiting for the kernel.

First the host's part alone for a network as TFC is (784 inputs of 1 to 8 bits, 10 outputs), beside the same formulas in
plain NumPy on the whole batch, in the same process. Then the whole driver, on a virtual board that is a process of its
own: TFC W1A1 in batches of 1 to 10,000 frames, and how often it calls pynq. CPU time of the calling thread, the least
of several runs. The bound is 100 us a call and 1 us a kilobyte of float32 input.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import report, served

from gatewright.board.bundle import bundle
from gatewright.build import compile_model
from gatewright.runtime import Accelerator
from gatewright.runtime.codec import Decoder, Encoder
from gatewright.runtime.device import Device
from gatewright.runtime.kernel_map import Argument
from gatewright.runtime.packing import frame_images, read_images
from gatewright.runtime.ports import GraphInput, GraphOutput
from gatewright.runtime.types import Tensor
from networks import make

INPUTS, OUTPUTS, BUS_BITS, OUTPUT_BITS = 784, 10, 64, 12
CALL_US, KILOBYTE_US = 100.0, 1.0
"""The bound."""
BATCHES = (1, 10, 100, 1000, 10_000)
RUNS = 7


def allowed_us(frames: int) -> float:
    """The bound, for float32 input; other types have as much time as the same numbers in float32."""
    return CALL_US + KILOBYTE_US * frames * INPUTS * 4 / 1000


def least_us(work: Callable[[], object], runs: int = RUNS) -> float:
    """CPU time of this thread, the first run not counted."""
    work()
    times = []
    for _ in range(runs):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times) * 1e6


class Host:
    """What the host does with a batch, as the driver does it and in plain NumPy.

    The scale is no power of two, so that every number is divided.
    """

    def __init__(self, bits: int) -> None:
        tensor = Tensor((INPUTS,), 0, (1 << bits) - 1, 1 / ((1 << bits) - 1))
        self.input = GraphInput("x", tensor, (INPUTS,), np.arange(INPUTS))
        self.output = GraphOutput("y", "y", (OUTPUTS,), np.arange(OUTPUTS), np.full(OUTPUTS, 0.1), np.zeros(OUTPUTS))
        self.reads = Argument("x", "gmem0", 16, _padded(INPUTS * bits), bits, False, False, INPUTS)
        self.writes = Argument("y", "gmem1", 28, _padded(OUTPUTS * OUTPUT_BITS), OUTPUT_BITS, True, False, OUTPUTS)
        self.encoder = Encoder(self.input, self.reads, BUS_BITS)
        self.decoder = Decoder(self.writes, (self.output,))

    def driver(self, x: np.ndarray, sent: np.ndarray, got: np.ndarray) -> np.ndarray:
        """As the driver does it, into a buffer and from another."""
        self.encoder.encode(self.encoder.check(x, False), False, sent)
        return self.decoder.decode(self.decoder.integers(got), False)["y"]

    def plain(self, x: np.ndarray, sent: np.ndarray, got: np.ndarray) -> np.ndarray:
        """The formulas, a whole batch at a time."""
        t = self.input.tensor
        codes = np.clip(np.rint(x.astype(np.float64) / t.scale), t.lo, t.hi).astype(np.int64)
        bits = (codes[:, :, None] >> np.arange(t.bits) & 1).astype(np.uint8).reshape(len(x), -1)
        packed = np.packbits(bits, axis=1, bitorder="little")
        sent[:, : packed.shape[1]] = packed
        integers = read_images(got.tobytes(), len(x), self.writes.stream, BUS_BITS)
        return integers * self.output.scale + self.output.offset


def _padded(bits: int) -> int:
    return -(-bits // BUS_BITS) * BUS_BITS // 8


def host_rows() -> list[dict[str, Any]]:
    """A row for each width, number of frames and type of input."""
    rows, rng = [], np.random.default_rng(0)
    for bits in range(1, 9):
        host = Host(bits)
        for frames in (1, 10_000):
            got = rng.integers(0, 256, (frames, host.writes.frame_bytes)).astype(np.uint8)
            for dtype in (np.float32, np.float64, np.uint8):
                x = (rng.random((frames, INPUTS)) * (255 if dtype == np.uint8 else 1)).astype(dtype)
                sent, other = (np.zeros((frames, host.reads.frame_bytes), np.uint8) for _ in range(2))
                assert np.array_equal(host.driver(x, sent, got), host.plain(x, other, got))
                assert np.array_equal(sent, other)
                assert np.array_equal(sent[:5], frame_images(host.input.quantize(x[:5]), host.reads.stream, BUS_BITS))
                own = least_us(lambda h=host, *a, x=x, s=sent, g=got: h.driver(x, s, g))
                plain = least_us(lambda h=host, *a, x=x, s=other, g=got: h.plain(x, s, g), runs=3)
                rows.append(
                    {
                        "bits": bits, "frames": frames, "input": np.dtype(dtype).name, "own us": own,
                        "allowed us": allowed_us(frames), "share": own / allowed_us(frames), "plain us": plain,
                        "times as quick": plain / own,
                    }
                )  # fmt: skip
    return rows


@contextmanager
def timed_apart() -> Iterator[list[float]]:
    """CPU seconds of this thread inside calls of pynq, as its one element."""
    inside, call = [0.0], Device.call

    def timed(self: Device, what: str, function: Callable[..., Any], *values: Any) -> Any:
        began = time.thread_time()
        try:
            return call(self, what, function, *values)
        finally:
            inside[0] += time.thread_time() - began

    Device.call = timed  # type: ignore[method-assign]
    try:
        yield inside
    finally:
        Device.call = call  # type: ignore[method-assign]


def driver_rows(accelerator: Accelerator, x: np.ndarray) -> list[dict[str, Any]]:
    """A row for each size of batch."""
    rows = []
    for frames in BATCHES:
        batch = np.ascontiguousarray(x[np.arange(frames) % len(x)])
        accelerator.run(batch)
        least, seconds, calls = float("inf"), float("inf"), set()
        for _ in range(RUNS if frames < 10_000 else 3):
            before = accelerator.counters[0]
            with timed_apart() as inside:
                wall, began = time.perf_counter(), time.thread_time()
                accelerator.run(batch)
                least = min(least, time.thread_time() - began - inside[0])
                seconds = min(seconds, time.perf_counter() - wall)
            calls.add(accelerator.counters[0] - before)
        assert len(calls) == 1, calls
        state = accelerator.state()
        cycles = (state.last_frame - state.first_frame) / max(1, state.frames_done - 1)
        rows.append(
            {
                "frames": frames, "own us": least * 1e6, "allowed us": allowed_us(frames),
                "share": least * 1e6 / allowed_us(frames), "calls of pynq": calls.pop(), "seconds": seconds,
                "frames/s": frames / seconds, "cycles a frame": cycles,
            }
        )  # fmt: skip
    return rows


def main() -> None:
    """Both parts."""
    report("runtime_host", host_rows())
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        path, x = make("tfc-w1a1", folder)
        build = compile_model(path, "pynq-z2", fps=1e6, targets=["rtl", "kernel"], output=folder / "build")
        bundle(build.directory, data=x).write(folder / "bundle")
        with served(folder / "bundle", "--fast") as port, Accelerator(folder / "bundle", f"127.0.0.1:{port}") as driver:
            assert driver.verify().ok
            report("runtime_driver", driver_rows(driver, x))


if __name__ == "__main__":
    main()
