# SPDX-License-Identifier: Apache-2.0
"""Small networks as kernels, for the tests of this folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.models import Builder, small_network

from gatewright.boards import load_board
from gatewright.design.fifos import size_fifos
from gatewright.design.plan import Design, make_design
from gatewright.emit import kernel, rtl
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph, single
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense
from gatewright.ops.maxpool import Maxpool
from gatewright.passes.lower import lower
from gatewright.runtime.kernel_map import KernelMap


def as_it_is(graph: Graph) -> Design:
    """A folded graph on a board that takes anything."""
    return Design(size_fifos(graph), load_board("pynq-z2"), 100.0)


def small(board: str = "pynq-z2") -> Design:
    """One input, one output, a convolution."""
    b, y = small_network()
    return make_design(lower(from_onnx(b.model(y), "net")), load_board(board), fps=1e5)


def several() -> Design:
    """Two inputs, three outputs, one of them an input, forks, and adapters of two steps."""
    b = Builder((12,))
    b.input("z", (12,))
    x = b.quant("x", 0.5, 3)
    y = b.node("Add", x, b.quant("z", 0.5, 2))
    q = b.quant(y, 1.0, 2)
    graph = lower(from_onnx(b.model(y, q, x), "net"))
    ops = {"add_1": replace(graph.node("add_1").op, pe=4), "quant_3": replace(graph.node("quant_3").op, pe=6)}
    return as_it_is(graph.with_ops(ops))


def wide() -> Design:
    """More bits a frame than a narrow bus brings in the time that the unit takes."""
    return as_it_is(single(Maxpool(Tensor((4, 4, 12), -4, 3), 1, 12), "net"))


def broad() -> Design:
    """512 bits in every cycle."""
    return as_it_is(single(Maxpool(Tensor((4, 4, 128), -8, 7), 1, 128), "net"))


def streamed() -> Design:
    """A layer whose weights, words of 30 bits, are read from memory for both vectors of a frame."""
    weight = np.random.default_rng(5).integers(-15, 16, (24, 18))
    return as_it_is(single(Dense(Tensor((2, 18), 0, 3), as_int64(weight), pe=2, simd=3, streamed=("weight",)), "net"))


def write_kernel(design: Design, bus_bits: int, folder: Path) -> KernelMap:
    """The kernel as a build holds it."""
    rtl.emit(design.structure).write(folder / "rtl")
    kernel.emit(design, bus_bits).write(folder / "kernel")
    return KernelMap.load(folder / "kernel" / "kernel.json")
