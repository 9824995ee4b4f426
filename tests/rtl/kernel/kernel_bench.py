# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of a kernel, run by test_kernel.py; `kernel_models` says what they find in the environment."""

from __future__ import annotations

from typing import Any

import cocotb
from kernel_models import Kernel

from gatewright.runtime import kernel_map as regs


@cocotb.test()
async def frames_pass_from_memory_to_memory(dut: Any) -> None:
    kernel = await Kernel.start(dut)
    assert await kernel.read(regs.CONTROL) == regs.IDLE
    await kernel.run(len(kernel.frames["gmem0"]))
    assert await kernel.read(regs.CONTROL) == regs.DONE | regs.IDLE | regs.READY
    assert await kernel.read(regs.CONTROL) == regs.IDLE
