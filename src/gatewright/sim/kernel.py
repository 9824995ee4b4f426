# SPDX-License-Identifier: Apache-2.0
"""Runs the emitted kernel with memory behind its masters, as a board does."""

from __future__ import annotations

from pathlib import Path

from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.kernel_build import compile_kernel
from gatewright.sim.kernel_memory import Fault, MemoryModel
from gatewright.sim.kernel_process import Counts, KernelModel, KernelProcess
from gatewright.sim.verilator import Optimise

__all__ = ["Counts", "Fault", "KernelModel", "KernelProcess", "MemoryModel", "build_kernel"]


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
        [a.port for a in kernel.inputs],
        [a.port for a in kernel.outputs],
        folder=folder / "rtl",
        optimise=optimise,
        control_bytes=kernel.control_bytes,
    )
