# SPDX-License-Identifier: Apache-2.0
"""Runs the emitted kernel with memory behind its masters, as a board's host does: batches of frames, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gatewright.boards import PAGE
from gatewright.errors import ConfigError, SimulationError
from gatewright.runtime import kernel_map as regs
from gatewright.runtime.kernel_map import Argument, KernelMap
from gatewright.runtime.packing import frame_images, read_images
from gatewright.runtime.state import KernelState, find_culprit, read_state
from gatewright.runtime.types import IntArray
from gatewright.sim.kernel_build import compile_kernel
from gatewright.sim.kernel_memory import Fault, MemoryModel
from gatewright.sim.kernel_process import Counts, KernelModel, KernelProcess, Spoilt
from gatewright.sim.verilator import Optimise

__all__ = ["Counts", "Fault", "KernelModel", "KernelProcess", "KernelRun", "MemoryModel", "Spoilt",
           "buffer_bytes", "build_kernel", "check_hash", "launch", "load_weights", "place", "run_batch"]  # fmt: skip


def build_kernel(folder: Path, optimise: Optimise = "fast_run") -> KernelModel:
    """Compile the kernel of a build or of a bundle, or find it compiled.

    Args:
        folder: with `kernel/kernel.json`, and in `rtl/` what the design reads at the start.
        optimise: "fast_build" for tests, "fast_run" for long simulations.

    Raises:
        ConfigError: there is no kernel, or its pins are not those that its record says.
        ToolError: Verilator or g++ is missing, or rejects the kernel.
    """
    kernel = KernelMap.load(folder / "kernel" / "kernel.json")
    return compile_kernel(
        [folder / path for path in kernel.sources],
        kernel.kernel,
        kernel.bus_bits,
        [*(a.port for a in kernel.inputs), *(w.port for w in kernel.weights)],
        [a.port for a in kernel.outputs],
        folder=folder / "rtl",
        optimise=optimise,
        control_bytes=kernel.control_bytes,
    )


@dataclass(frozen=True, eq=False)
class KernelRun:
    """What a batch gave.

    Attributes:
        outputs: per output port, int64 of shape (frames, elements).
        state: all registers at its end.
    """

    outputs: tuple[IntArray, ...]
    state: KernelState

    @property
    def interval(self) -> float | None:
        """Cycles between frames, on average over the batch; None for one frame."""
        return self.state.cycles_per_frame


def check_hash(process: KernelProcess, kernel: KernelMap) -> None:
    """Whether the registers say that this is the kernel of a record.

    Raises:
        SimulationError: it is none of ours, or another one.
    """
    magic = process.read(kernel.status + regs.MAGIC)
    words = [process.read(kernel.status + regs.HASH + 4 * i) for i in range(4)]
    found = b"".join(w.to_bytes(4, "little") for w in words).hex()
    if magic != regs.MAGIC_WORD or found != kernel.hash:
        raise SimulationError(f"{kernel.kernel} says that it is {found} ({magic:#x}), where {kernel.hash} is expected")


def launch(process: KernelProcess, kernel: KernelMap, addresses: Sequence[int], frames: int) -> None:
    """Write the arguments, and start.

    Args:
        addresses: of the frames of each input, then of those of each output.
    """
    for argument, address in zip(kernel.arguments, addresses, strict=True):
        _write_address(process, argument.register, address)
    process.write(kernel.frames_register, frames)
    process.write(regs.CONTROL, regs.START)


def load_weights(process: KernelProcess, kernel: KernelMap, folder: Path) -> int:
    """Put what the kernel reads again and again at the end of device memory, and tell it where; after every reset.

    Args:
        folder: of the build or bundle.

    Returns:
        Bytes that are taken, whole pages.

    Raises:
        ConfigError: a file is missing or not of its size, or memory is too small.
    """
    end = len(process.memory)
    for weights in kernel.weights:
        path = folder / weights.file
        image = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
        end -= -(-weights.image_bytes // PAGE) * PAGE
        if len(image) != weights.image_bytes or end < 0:
            raise ConfigError(
                f"{path}: {len(image)} bytes for memory of {len(process.memory)}, where {weights.name} has "
                f"{weights.image_bytes}: compile the model again"
            )
        process.memory[end : end + len(image)] = image
        _write_address(process, weights.register, process.base + end)
    return len(process.memory) - end


def _write_address(process: KernelProcess, register: int, address: int) -> None:
    process.write(register, address & 0xFFFFFFFF)
    process.write(register + 4, address >> 32)


def buffer_bytes(argument: Argument, frames: int) -> int:
    """Bytes of a port's frames, in whole pages."""
    return -(-argument.frame_bytes * frames // PAGE) * PAGE


def place(kernel: KernelMap, frames: int, base: int) -> tuple[int, ...]:
    """Addresses of all ports' frames, one behind the other in whole pages."""
    sizes = [buffer_bytes(a, frames) for a in kernel.arguments]
    return tuple(base + sum(sizes[:i]) for i in range(len(sizes)))


def view(process: KernelProcess, argument: Argument, address: int, frames: int) -> npt.NDArray[np.uint8]:
    """The frames of a port in device memory: uint8 of shape (frames, bytes).

    Raises:
        ConfigError: they do not lie in it.
    """
    start, size = address - process.base, argument.frame_bytes * frames
    if start < 0 or start + size > len(process.memory):
        raise ConfigError(f"{frames} frames of {argument.name!r} at {address:#x} do not lie in device memory")
    return process.memory[start : start + size].reshape(frames, argument.frame_bytes)


def run_batch(
    process: KernelProcess,
    kernel: KernelMap,
    inputs: Sequence[IntArray],
    patience: int,
    addresses: Sequence[int] | None = None,
) -> KernelRun:
    """Let the kernel compute a batch.

    Args:
        inputs: per input, int64 of shape (frames, ...) in stream order.
        patience: cycles after which it is given up.
        addresses: as `launch` takes them; by default one port's frames behind the other's.

    Raises:
        ConfigError: the frames do not fit into device memory.
        SimulationError: it is not done in time, reports a fault, or breaks off.
    """
    frames = len(inputs[0])
    addresses = place(kernel, frames, process.base) if addresses is None else addresses
    views = [view(process, a, at, frames) for a, at in zip(kernel.arguments, addresses, strict=True)]
    for argument, x, memory in zip(kernel.inputs, inputs, views, strict=False):
        memory[:] = frame_images(x.reshape(frames, -1), argument.stream, kernel.bus_bits)
    launch(process, kernel, addresses, frames)
    done = process.wait(patience)
    state = read_state(kernel, process.read)
    if not done:
        culprit = find_culprit(state, [a.name for a in kernel.inputs])
        raise SimulationError(f"{kernel.kernel} is not done after {patience} cycles: {culprit.text}\n{state}")
    if "done" not in state.control or state.faults or state.frames_done != frames:
        fault = f"; first fault at {state.fault_address:#x} of {state.fault_port}" if state.faults else ""
        raise SimulationError(
            f"{kernel.kernel} ends a batch of {frames} frames with {state.frames_done} of them, control "
            f"{', '.join(state.control)}, faults {', '.join(state.faults) or 'none'}{fault}"
        )
    outputs = zip(kernel.outputs, views[len(kernel.inputs) :], strict=True)
    return KernelRun(
        tuple(read_images(memory.tobytes(), frames, a.stream, kernel.bus_bits) for a, memory in outputs), state
    )
