# SPDX-License-Identifier: Apache-2.0
"""Batches through a kernel at random addresses, free and stalled, with faults between them; all of memory is compared.

What lies in device memory is random before a batch, so that every byte is a canary: behind it, all but the frames of
the outputs must be as before, and those as golden says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tests.conformance.support import sample
from tests.sim.kernel_networks import BYTES, Configuration, made

from gatewright.runtime import kernel_map as regs
from gatewright.runtime.packing import frame_images
from gatewright.runtime.state import KernelState, read_state
from gatewright.sim.kernel import Fault, KernelProcess, MemoryModel, build_kernel, launch, load_weights

Bytes = npt.NDArray[np.uint8]
PATIENCE = 3_000_000
SIZES = (1, 1, 2, 3, 5, 8, 13, 40, 100, 150)
TRAFFIC = (
    MemoryModel(latency_cycles=1),
    MemoryModel(
        latency_cycles=5, stalls={"ar": 0.5, "r": 0.4, "aw": 0.5, "w": 0.4, "b": 0.6, "control": 0.4}, outstanding=3
    ),
    MemoryModel(
        latency_cycles=60, stalls={"ar": 0.2, "r": 0.6, "aw": 0.2, "w": 0.6, "b": 0.3}, burst=25.0, bytes_per_cycle=3.3
    ),
)
"""At full speed; stalled on every channel; slow and in fits."""


@dataclass
class Tally:
    """What a configuration showed.

    Attributes:
        frames: whose every byte equals golden's, of undisturbed batches.
        batches: of those.
        faults: that were planted and met a burst, by kind.
        interval: cycles between frames in a long batch, with memory that is always ready; None for none.
        predicted: what the design, or the widest port, allows.
    """

    frames: int = 0
    batches: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    interval: float | None = None
    predicted: float = 0.0


class Stress:
    """A configuration's kernel, compiled."""

    def __init__(self, configuration: Configuration, folder: Path) -> None:
        self.configuration = configuration
        self.design, self.kernel = made(configuration, folder)
        self.model = build_kernel(folder, "fast_build")
        self.folder = folder
        self.used = 0  # bytes of weights at the end of memory
        self.tally = Tally()

    def run(self, frames: int, seed: int = 0, faults: bool = True) -> Tally:
        """So many frames in batches of every size, a third with every kind of traffic, faults between the batches."""
        most = min(self._most(), max(1, frames // 12))
        for i, memory in enumerate(TRAFFIC):
            rng = np.random.default_rng([seed, i])
            with self._started(memory, seed + i) as process:
                left = -(-frames // len(TRAFFIC))
                while left > 0:
                    left -= self.batch(process, rng, min(left, most, int(rng.choice(SIZES))))
                    if faults:
                        self.disturbed(process, rng)
        self._measure()
        return self.tally

    def _started(self, memory: MemoryModel, seed: int) -> KernelProcess:
        """The kernel, with its weights in memory."""
        process = self.model.start(replace(memory, base=self.configuration.base, bytes=BYTES, seed=seed))
        self.used = load_weights(process, self.kernel, self.folder)
        return process

    def _most(self) -> int:
        """Frames for which there is room, with gaps."""
        return max(1, BYTES // 3 // sum(a.frame_bytes for a in self.kernel.arguments))

    def batch(self, process: KernelProcess, rng: np.random.Generator, frames: int) -> int:
        """A batch without faults."""
        case = Case.draw(self, process, rng, frames)
        state = case.go(process)
        assert "done" in state.control and not state.faults and state.frames_done == frames, state
        np.testing.assert_array_equal(process.memory, case.expected)
        self.tally.frames += frames
        self.tally.batches += 1
        return frames

    def disturbed(self, process: KernelProcess, rng: np.random.Generator) -> None:
        """A batch with a fault of some kind."""
        kinds = (self._error, self._error, self._outside, self._refused, self._silent, self._abandoned)
        kind = kinds[int(rng.integers(len(kinds)))]
        case = Case.draw(self, process, rng, int(rng.integers(1, min(30, self._most()) + 1)))
        met = kind(process, rng, case)
        process.mend()
        if met:
            name = kind.__name__.strip("_")
            self.tally.faults[name] = self.tally.faults.get(name, 0) + 1

    # --- faults -------------------------------------------------------------------------------------------------------

    def _error(self, process: KernelProcess, rng: np.random.Generator, case: Case) -> bool:
        """Memory answers some bursts of a port, or all that touch an address, with an error."""
        port = int(rng.integers(len(self.kernel.ports)))
        answer = "slverr" if rng.integers(2) else "decerr"
        weights = port >= len(case.addresses)
        if weights or rng.integers(2):
            process.inject(Fault(answer, port=port, skip=int(rng.integers(4)), count=int(rng.integers(1, 3))))
        else:
            place = case.addresses[port] + int(rng.integers(case.sizes[port]))
            process.inject(Fault(answer, first=place, bytes=1))
        before = len(process.spoilt())
        state = case.go(process)
        met = process.spoilt()[before:]
        reads = weights or port < len(self.kernel.inputs)
        assert "done" in state.control and state.frames_done == case.frames
        assert state.faults == ((f"{'read' if reads else 'write'} {answer.upper()}",) if met else ())
        assert (state.read_faults, state.write_faults) == ((len(met), 0) if reads else (0, len(met)))
        if met:
            assert (state.fault_address, state.fault_port) == (met[0].address, f"gmem{port}")
        for burst in met:
            assert (burst.port, burst.reads) == (port, reads)
            if weights:
                case.forget_port(0)
            else:
                case.forget(burst.address - process.base, burst.bytes, port)
        case.check(process.memory)
        return bool(met)

    def _outside(self, process: KernelProcess, rng: np.random.Generator, case: Case) -> bool:
        """A port's frames are said to lie where there is no memory."""
        port = int(rng.integers(len(self.kernel.arguments)))
        top = process.base + BYTES
        away = top if top < 1 << 64 else process.base - BYTES
        case.addresses[port] = away
        state = case.go(process)
        reads = port < len(self.kernel.inputs)
        assert "done" in state.control and state.faults == (f"{'read' if reads else 'write'} DECERR",)
        assert (state.fault_address, state.fault_port) == (away, f"gmem{port}")
        case.forget_port(port)
        case.check(process.memory)
        return True

    def _refused(self, process: KernelProcess, rng: np.random.Generator, case: Case) -> bool:
        """An address that is not aligned, or no frames: nothing moves."""
        before = process.counts()
        if rng.integers(2):
            port = int(rng.integers(len(self.kernel.arguments)))
            case.addresses[port] += int(rng.integers(1, self.kernel.bus_bits // 8))
            expected = ("address not aligned",)
        else:
            case.frames, expected = 0, ("no frames",)
        state = case.go(process)
        assert "done" in state.control and state.faults == expected and state.frames_done == 0
        assert process.counts() == before
        np.testing.assert_array_equal(process.memory, case.before)
        return True

    def _silent(self, process: KernelProcess, rng: np.random.Generator, case: Case) -> bool:
        """Memory stops answering; the run is aborted, and ends when memory answers again."""
        port = int(rng.integers(len(self.kernel.ports)))
        before = len(process.spoilt())
        process.inject(Fault("silence", port=port, skip=int(rng.integers(3))))
        started = process.cycles
        case.start(process)
        finished = met = False
        while not (finished or met):
            finished = process.wait(20_000)
            met = len(process.spoilt()) > before
            assert process.cycles - started < PATIENCE
        assert finished != met
        if met:
            process.write(self.kernel.status + regs.ABORT, 1)
            assert not process.wait(3000)
            process.mend()
            assert process.wait(PATIENCE)
            assert read_state(self.kernel, process.read).faults == ("aborted",)
            case.check_words(process.memory)
        return met

    def _abandoned(self, process: KernelProcess, rng: np.random.Generator, case: Case) -> bool:
        """A run is aborted at any time, or just too late."""
        case.start(process)
        process.wait(int(rng.integers(1, 3000)))
        process.write(self.kernel.status + regs.ABORT, 1)
        assert process.wait(PATIENCE)
        state = read_state(self.kernel, process.read)
        assert state.faults in ((), ("aborted",)), state
        if state.faults:
            case.check_words(process.memory)
        else:
            np.testing.assert_array_equal(process.memory, case.expected)
        return bool(state.faults)

    def _measure(self) -> None:
        """Cycles between the frames of one long batch, for memory that gives a word a cycle."""
        frames = min(200, self._most())
        with self._started(MemoryModel(latency_cycles=30), 0) as process:
            case = Case.draw(self, process, np.random.default_rng(1), frames)
            state = case.go(process)
        word = self.kernel.bus_bits // 8
        ports = max(a.frame_bytes // word for a in self.kernel.arguments)
        self.tally.predicted = max(self.design.timing.interval, ports)
        self.tally.interval = (state.last_frame - state.first_frame) / (frames - 1) if frames > 1 else None


@dataclass
class Case:
    """A batch of random frames, and device memory before and behind it.

    Attributes:
        addresses: of every port's frames.
        sizes: of those in bytes.
        images: what every output must write: uint8 of shape (frames, bytes).
        known: whether each byte of memory must be as expected.
    """

    stress: Stress
    frames: int
    addresses: list[int]
    sizes: list[int]
    before: Bytes
    expected: Bytes
    known: npt.NDArray[np.bool_]
    base: int

    @classmethod
    def draw(cls, stress: Stress, process: KernelProcess, rng: np.random.Generator, frames: int) -> Case:
        """Fill memory, place the ports' frames and compute what must come out."""
        graph, kernel = stress.design.graph, stress.kernel
        xs = [sample(i.tensor, frames, rng) for i in graph.inputs]
        for x in xs:
            rng.shuffle(x)
        values = graph.run(*xs)
        arrays = [*xs, *(values[t] for t in graph.leaving)]
        images = [
            frame_images(a.reshape(frames, -1), argument.stream, kernel.bus_bits)
            for a, argument in zip(arrays, kernel.arguments, strict=True)
        ]
        places = _places([i.size for i in images], kernel.bus_bits // 8, rng)
        free = BYTES - stress.used
        process.memory[:free] = rng.integers(0, 256, free, np.uint8)
        inputs = len(kernel.inputs)
        for at, image in zip(places[:inputs], images[:inputs], strict=True):
            process.memory[at : at + image.size] = image.ravel()
        before = process.memory.copy()
        expected = before.copy()
        for at, image in zip(places[inputs:], images[inputs:], strict=True):
            expected[at : at + image.size] = image.ravel()
        sizes = [i.size for i in images]
        return cls(stress, frames, [process.base + p for p in places], sizes, before, expected,
                   np.ones(BYTES, np.bool_), process.base)  # fmt: skip

    def start(self, process: KernelProcess) -> None:
        launch(process, self.stress.kernel, self.addresses, self.frames)

    def go(self, process: KernelProcess) -> KernelState:
        """The registers behind the run."""
        self.start(process)
        assert process.wait(PATIENCE), read_state(self.stress.kernel, process.read)
        return read_state(self.stress.kernel, process.read)

    def forget(self, start: int, size: int, port: int) -> None:
        """A burst of a port failed: nothing is written by it, or nothing known of the frames that it read of."""
        kernel, inputs = self.stress.kernel, len(self.stress.kernel.inputs)
        if port >= inputs:
            self.expected[start : start + size] = self.before[start : start + size]
            return
        frame = kernel.arguments[port].frame_bytes
        begin = start - (self.addresses[port] - self.base)
        first, last = begin // frame, (begin + size - 1) // frame
        for argument, address in zip(kernel.outputs, self.addresses[inputs:], strict=True):
            at = address - self.base
            self.known[at + first * argument.frame_bytes : at + (last + 1) * argument.frame_bytes] = False

    def forget_port(self, port: int) -> None:
        """A port had no memory at all."""
        inputs = len(self.stress.kernel.inputs)
        for i in range(inputs, len(self.addresses)) if port < inputs else ():
            at = self.addresses[i] - self.base
            self.known[at : at + self.sizes[i]] = False
        if port >= inputs:
            self.expected = self._without(port)

    def _without(self, port: int) -> Bytes:
        """What is expected where a port writes nothing."""
        expected = self.before.copy()
        for i in range(len(self.stress.kernel.inputs), len(self.addresses)):
            if i != port:
                at = self.addresses[i] - self.base
                expected[at : at + self.sizes[i]] = self.expected[at : at + self.sizes[i]]
        return expected

    def check(self, memory: Bytes) -> None:
        """All that is known."""
        np.testing.assert_array_equal(memory[self.known], self.expected[self.known])

    def check_words(self, memory: Bytes) -> None:
        """Behind an aborted run, every word is as before or as it was to be."""
        word = self.stress.kernel.bus_bits // 8
        have, old, new = (m.reshape(-1, word) for m in (memory, self.before, self.expected))
        assert ((have == old).all(axis=1) | (have == new).all(axis=1)).all()


def _places(sizes: Sequence[int], word: int, rng: np.random.Generator) -> list[int]:
    """Places for buffers, one behind the other in any order: at the start of a page, anywhere, just before an end."""
    places, at = [0] * len(sizes), 0
    for i in rng.permutation(len(sizes)):
        page = -(-at // 4096) * 4096
        before_end = page + 4096 - word * int(rng.integers(1, 9))
        anywhere = at + word * int(rng.integers(0, 600))
        places[i] = int(rng.choice([page, before_end, anywhere]))
        at = -(-(places[i] + sizes[i]) // word) * word
    assert at <= BYTES * 3 // 4
    return places
