# SPDX-License-Identifier: Apache-2.0
"""The driver's own time: what `Accelerator.run` takes outside of calls of pynq and of waiting for the kernel.

    python -m benchmarks.bench_runtime [--quick]

First the host's part alone, for a network as TFC is (784 inputs of 1 to 8 bits, 10 outputs), against the same formula
in plain NumPy on whole batches, in the same process. Then the whole driver on a virtual board, which is a process of
its own: batches of 1 to 10,000 frames of TFC W1A1. CPU time of the calling thread, the least of several runs; the bound
is 100 us a call and 1 us a kilobyte of float32 input.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import NETWORKS
from gatewright.board.archive import write_folder
from gatewright.board.bundle import bundle
from gatewright.build import compile_model
from gatewright.frontend.export import save
from gatewright.runtime import Accelerator
from gatewright.runtime.codec import Decoder, Encoder
from gatewright.runtime.device import Device
from gatewright.runtime.kernel_map import Argument
from gatewright.runtime.packing import frame_images, read_images
from gatewright.runtime.ports import GraphInput, GraphOutput
from gatewright.runtime.types import Tensor

INPUTS, OUTPUTS, BUS_BITS = 784, 10, 64
CALL_US, KILOBYTE_US = 100.0, 1.0
"""The bound."""
SERVE = """
import sys, time
from gatewright.board.server import VirtualBoard
with VirtualBoard([sys.argv[1]], port=0, optimise="fast_run") as board:
    print(board.address, flush=True)
    time.sleep(36000)
"""
