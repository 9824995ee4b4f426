# SPDX-License-Identifier: Apache-2.0
"""Small networks as kernels: of every kind of port, on buses and at addresses of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tests.conformance.support import network, residual_network
from tests.conformance.test_random_networks import Drawn
from tests.design.graphs import convolutions, mlp
from tests.rtl.kernel.test_weights import layers

from gatewright.boards import load_board
from gatewright.design.fifos import size_fifos
from gatewright.design.plan import Design
from gatewright.emit import kernel, rtl
from gatewright.ir.graph import Graph
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.concat import Concat
from gatewright.ops.dense import Dense
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.requant import Requant
from gatewright.ops.threshold import Threshold
from gatewright.ops.window import Window
from gatewright.runtime.kernel_map import KernelMap

BYTES = 2 << 20
"""Of device memory."""
FOUR_GIB = 1 << 32


def sixteen_bits() -> Graph:
    """16 bits in; sums of 21 bits and codes of 9 bits out."""
    x, rng = Tensor((12,), -(1 << 15), (1 << 15) - 1), np.random.default_rng(0)
    sums = Dense(x, as_int64(rng.integers(-3, 4, (5, 12))), pe=5, simd=2)
    codes = Requant(x, as_int64([3] * 12), as_int64([7] * 12), 9, -256, 255, pe=4)
    return network({"x": x}, [("sums", sums, "x"), ("codes", codes, "x")], ["sums", "codes"])


def bipolar() -> Graph:
    """One bit in and out, {-1, +1}: an XNOR layer, a bit by comparison, and the input beside it."""
    x, rng = Tensor((24,), -1, 1, 1.0, "bipolar"), np.random.default_rng(1)
    dense = Dense(x, as_int64(rng.choice([-1, 1], (11, 24))), pe=11, simd=8)
    bit = Threshold(
        dense.outputs[0], as_int64(rng.integers(-4, 5, (11, 1))), as_int64([0, 1] * 5 + [0]), -1, 1, bipolar=True
    )
    both = Concat(bit.outputs[0], x, 0)
    return network({"x": x}, [("dense", dense, "x"), ("bit", bit, "dense"), ("both", both, "bit x")], ["both"])


def image() -> Graph:
    """Frames of 4,800 and 1,200 bytes."""
    x = Tensor((40, 40, 3), 0, 255)
    window = Window(x, 2, 2, 2, 2, simd=3)
    return network({"x": x}, [("w", window, "x"), ("m", Maxpool(window.outputs[0], 4, pe=3), "w")], ["m"])


def wide() -> Graph:
    """Beats of 150 bits in and of 120 bits out, wider than the bus."""
    x, rng = Tensor((50,), -4, 3), np.random.default_rng(2)
    return network({"x": x}, [("d", Dense(x, as_int64(rng.integers(-7, 8, (15, 50))), pe=15, simd=50), "x")], ["d"])


def tiny() -> Graph:
    """Frames of one bit."""
    x = Tensor((1,), 0, 1)
    return network({"x": x}, [("r", Requant(x, as_int64([-1]), as_int64([1]), 0, 0, 1), "x")], ["r"])


def three_inputs() -> Graph:
    """Three inputs of 3, 7 and 10 bits; two sums of them out."""
    types = {"a": Tensor((6,), 0, 7), "b": Tensor((6,), -64, 63), "c": Tensor((6,), 0, 1000)}
    first = Add(types["a"], types["b"], 2)
    second = Add(first.outputs[0], types["c"], 3)
    return network(types, [("first", first, "a b"), ("second", second, "first c")], ["first", "second"])


@dataclass(frozen=True)
class Configuration:
    """A network on a bus.

    Attributes:
        graph: makes it.
        bus_bits: width of the ports to memory.
        base: lowest address of device memory.
        frames: that a long run takes.
    """

    graph: Callable[[], Graph]
    bus_bits: int
    base: int
    frames: int = 800


CONFIGURATIONS = {
    "mlp 2 bits": Configuration(lambda: mlp((64, 32, 10), 2), 64, 0x1800_0000),
    "mlp 1 bit": Configuration(lambda: mlp((70, 24, 5), 1), 32, 0),
    "mlp 4 bits": Configuration(lambda: mlp((33, 16, 7), 4), 128, FOUR_GIB - BYTES // 2 // 4096 * 4096),
    "mlp 8 bits": Configuration(lambda: mlp((40, 12, 9), 8), 512, 0x40_0000_0000),
    "16 bits, 2 outputs": Configuration(sixteen_bits, 32, FOUR_GIB),
    "bipolar": Configuration(bipolar, 64, 0x7FFF_FFFF_F000),
    "convolutions": Configuration(lambda: convolutions(8, [4, None, 8], [6]), 64, 0x6000_0000),
    "residual": Configuration(lambda: residual_network(), 128, 0x8_0000_0000),
    "4,800 bytes": Configuration(image, 32, 0x1_2345_6000, 250),
    "beats wider than the bus": Configuration(wide, 32, (1 << 64) - BYTES, 1000),
    "frames of one bit": Configuration(tiny, 512, 0x1000_0000, 2500),
    "3 inputs, 2 outputs": Configuration(three_inputs, 256, 0xFFF_FFFF_F000, 1000),
    "drawn, 2 outputs": Configuration(lambda: Drawn(2).graph(4), 32, 1 << 63),
    "weights from memory": Configuration(layers, 64, 0x2_0000_0000),
    "drawn, 64 bits": Configuration(lambda: Drawn(5).graph(4), 64, 0),
    "drawn, 512 bits": Configuration(lambda: Drawn(9).graph(5), 512, 0x40_0000_0000),
}
"""Every bus, and addresses below, across and above 4 GiB up to the last byte of 2^64."""


def made(configuration: Configuration, folder: Path) -> tuple[Design, KernelMap]:
    """Write a configuration's kernel to a folder, as a build has it."""
    graph = size_fifos(configuration.graph())
    design = Design(replace(graph, name="net"), load_board("pynq-z2"), 100.0)
    rtl.emit(design.structure).write(folder / "rtl")
    kernel.emit(design, configuration.bus_bits).write(folder / "kernel")
    return design, KernelMap.load(folder / "kernel" / "kernel.json")
