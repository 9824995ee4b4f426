# SPDX-License-Identifier: Apache-2.0
"""The units whose logic levels are bounded and whose clock is measured: operators folded 8 x 8 at widths of today's
networks, every example of every operator, and the modules that carry data, control a kernel or talk to a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from resource_instances import sources

from gatewright.design.structure import structure, width_adapter
from gatewright.ir.graph import single
from gatewright.ir.op import Op, as_int64, discover, package_root
from gatewright.ir.types import Stream, Tensor
from gatewright.ops.add import Add
from gatewright.ops.argmax import Argmax
from gatewright.ops.avgpool import Avgpool
from gatewright.ops.concat import Concat
from gatewright.ops.dense import Dense
from gatewright.ops.depthwise import Depthwise
from gatewright.ops.global_avgpool import GlobalAvgpool
from gatewright.ops.grouped import Grouped
from gatewright.ops.lut import Lut
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.requant import Requant
from gatewright.ops.reshape import Reshape
from gatewright.ops.slice import Slice
from gatewright.ops.threshold import Threshold
from gatewright.ops.upsample import Upsample
from gatewright.ops.window import Window
from gatewright.synth.plan import Part, fifo_part, fork_part, needed, unit_part

EIGHT, EXAMPLES, LIBRARY, KERNEL, UART = "8 x 8", "examples", "library", "kernel", "uart"
GROUPS = (EIGHT, EXAMPLES, LIBRARY, KERNEL, UART)


@dataclass(frozen=True)
class Timed:
    """A unit of a group; `quick` where its levels are looked at with every test run."""

    group: str
    part: Part
    quick: bool = False

    @property
    def module(self) -> str:
        """Its module, and that of its file."""
        return self.part.module


def units(group: str) -> list[Timed]:
    """The units of a group, always the same ones."""
    return list(_GROUPS[group]())


# --- operators --------------------------------------------------------------------------------------------------------


def operator_part(op: Op, name: str) -> Part:
    """The unit of an operator by itself."""
    return unit_part(replace(next(u for u in structure(single(op)).units if u.operator), name=name), sources())


def _unsigned(shape: tuple[int, ...], bits: int) -> Tensor:
    return Tensor(shape, -1, 1, encoding="bipolar") if bits == 1 else Tensor(shape, 0, (1 << bits) - 1)


def _signed(shape: tuple[int, ...], bits: int) -> Tensor:
    return Tensor(shape, -(1 << bits - 1), (1 << bits - 1) - 1)


def _weight(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> np.ndarray:
    values = rng.integers(0, 2, shape) * 2 - 1 if bits == 1 else rng.integers(1 - (1 << bits - 1), 1 << bits - 1, shape)
    return as_int64(values)


def matrix_vector() -> Iterator[tuple[str, Op]]:
    """Units with weights, eight outputs and eight inputs a cycle; of dense also with weights in block RAM."""
    rng = np.random.default_rng(0)
    for bits in (1, 2, 4, 8):
        yield f"dense W{bits}A{bits}", Dense(_unsigned((9, 64), bits), _weight(rng, (32, 64), bits), pe=8, simd=8)
    for bits in (2, 4, 8):
        weight = _weight(rng, (128, 576), bits)
        yield f"dense W{bits}A{bits}, block RAM", Dense(_unsigned((9, 576), bits), weight, pe=8, simd=8)
    for bits in (4, 8):
        yield f"depthwise W{bits}A{bits}", Depthwise(_unsigned((4, 288), bits), _weight(rng, (32, 9), bits), pe=8)
    for bits in (4, 8):
        weight = _weight(rng, (32, 9, 8), bits)
        yield f"grouped W{bits}A{bits}", Grouped(_unsigned((4, 288), bits), weight, pe=8, simd=8)
    weight = _weight(rng, (512, 9, 8), 4)
    yield "grouped W4A4, block RAM", Grouped(_unsigned((4, 9 * 64), 4), weight[:512], pe=8, simd=8)


def _threshold(rng: np.random.Generator, bits: int, codes: int) -> Op:
    source = _signed((32,), bits)
    table = np.sort(rng.integers(source.lo, source.hi + 1, (32, codes)), axis=1)
    return Threshold(source, as_int64(table), as_int64(rng.random(32) < 0.3), 0, codes, pe=8)


def _requant(rng: np.random.Generator, bits: int, mult_bits: int, out: int) -> Op:
    source = _signed((32,), bits)
    mult = rng.integers(1 << mult_bits - 1, 1 << mult_bits, 32)
    reach = int(mult.max()) * -source.lo
    add = rng.integers(-(reach // 4) - 1, reach // 4 + 1, 32)
    shift = max(0, reach.bit_length() - out)
    return Requant(source, as_int64(mult), as_int64(add), shift, -(1 << out - 1), (1 << out - 1) - 1, pe=8)


def elementwise() -> Iterator[tuple[str, Op]]:
    """Units of eight lanes that compute."""
    rng = np.random.default_rng(1)
    for bits, codes in ((12, 3), (16, 15)):
        yield f"threshold {bits} bits, {codes} steps", _threshold(rng, bits, codes)
    for bits, mult_bits, out in ((12, 10, 4), (16, 12, 8), (24, 16, 8)):
        yield f"requant {bits} x {mult_bits} bits", _requant(rng, bits, mult_bits, out)
    for name, rows in (("one table", 1), ("a table a channel", 32)):
        yield f"lut 8 bits, {name}", Lut(_signed((32,), 8), as_int64(rng.integers(0, 256, (rows, 256))), pe=8)
    yield "add 8 bits", Add(_signed((4, 6, 32), 8), _unsigned((4, 6, 32), 8), 8)
    yield "argmax 16 bits", Argmax(_signed((9, 32), 16), False, 8)
    yield "avgpool 8 bits", Avgpool(_signed((3, 3, 288), 8), 9, 8)
    yield "global_avgpool 8 bits", GlobalAvgpool(_signed((8, 8, 32), 8), pe=8)
    yield "maxpool 8 bits", Maxpool(_signed((3, 3, 128), 8), 4, pe=8)


def moving() -> Iterator[tuple[str, Op]]:
    """Units of eight lanes that only bring elements into another order."""
    order = np.arange(14 * 14 * 32).reshape(14, 14, 32).transpose(1, 0, 2).ravel()
    yield "window 3x3 of 32x32x32, 4 bits", Window(_unsigned((32, 32, 32), 4), 3, 3, 1, 1, 1, 1, 1, 1, simd=8)
    yield "window 5x5/2 of 28x28x24, 8 bits", Window(_unsigned((28, 28, 24), 8), 5, 5, 2, 2, 2, 2, 2, 2, simd=8)
    yield "window 3x3 of 14x14x64, 1 bit", Window(_unsigned((14, 14, 64), 1), 3, 3, 1, 1, 0, 0, 0, 0, simd=8)
    yield "concat 8 bits", Concat(_signed((4, 6, 32), 8), _unsigned((4, 6, 16), 8), 2, 8)
    yield "slice 14x14x32", Slice(_signed((14, 14, 32), 8), (1, 2, 0), (13, 12, 32), (1, 2, 1), 8)
    yield "upsample 14x14x32", Upsample(_signed((14, 14, 32), 8), 2, 2, pe=8)
    yield "upsample 64x64x64", Upsample(_signed((64, 64, 64), 8), 2, 2, pe=8)
    yield "reshape 14x14x32", Reshape(_signed((order.size,), 8), (order.size,), as_int64(order), 8)


QUICK = (
    "dense W2A2",
    "threshold 12 bits, 3 steps",
    "requant 12 x 10 bits",
    "window 3x3 of 32x32x32, 4 bits",
    "add 8 bits",
)
"""Units of the 8 x 8 group that take Yosys a second or two each."""


def _eight() -> Iterator[Timed]:
    for name, op in (*matrix_vector(), *elementwise(), *moving()):
        yield Timed(EIGHT, operator_part(op, name), name in QUICK)


def _examples() -> Iterator[Timed]:
    for name, cls in discover().items():
        if not cls.composite:
            for i, op in enumerate(cls.examples()):
                yield Timed(EXAMPLES, operator_part(op, f"{name} {i}"))


# --- modules that are no operators ------------------------------------------------------------------------------------


def _library() -> Iterator[Timed]:
    files = sources()
    for width, depth in ((33, 2), (65, 32), (65, 128), (65, 512), (65, 4096)):
        yield Timed(LIBRARY, fifo_part(f"fifo {width} x {depth}", width - 1, depth, depth > 128, files))
    for bits, have, want in ((8, 1, 8), (8, 8, 1), (4, 32, 8)):
        unit = width_adapter("adapter", Stream(bits, have, 32 * want, False), want)
        yield Timed(LIBRARY, replace(unit_part(unit, files), name=f"width_adapter {have} to {want}"))
    yield Timed(LIBRARY, fork_part("stream_fork, 4 branches", 64, 4, files))


KERNELS: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("axi_read_master", {"BUS_BITS": 64, "WORDS": 98}),
    ("axi_write_master", {"BUS_BITS": 64}),
    ("axi_read_master", {"BUS_BITS": 512, "WORDS": 13, "BURST": 64}),
    ("axi_write_master", {"BUS_BITS": 512, "BURST": 64}),
    ("kernel_control", {"PORTS": 2, "EDGES": 24}),
    ("kernel_run", {"PORTS": 2, "INPUTS": 1, "EDGES": 24, "STALLS": 24}),
    ("pack_words", {"BUS_BITS": 64, "WIDTH": 24, "BEATS": 10}),
    ("unpack_words", {"BUS_BITS": 64, "WIDTH": 24, "BEATS": 98}),
    ("skid_buffer", {"WIDTH": 64}),
    ("edge_monitor", {"DEPTH": 32, "STALLS": 1}),
    ("fault_log", {"PORTS": 2, "READERS": 1}),
)
"""Modules of rtl/kernel with the parameters of a kernel of two ports and 24 edges, and of an Alveo card's bus."""

UARTS: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("uart_bridge", {}),
    ("axi_read_bank", {}),
    ("axi_write_bank", {}),
)


def _folder(group: str, modules: tuple[tuple[str, Mapping[str, int]], ...]) -> Iterator[Timed]:
    files = sources() | {p.stem: p for p in sorted((package_root() / "rtl" / group).glob("*.sv"))}
    for module, parameters in modules:
        text = " ".join(f"{k}={v}" for k, v in parameters.items())
        part = Part(f"{module} {text}".strip(), module, parameters, {}, needed(module, files))
        yield Timed(group, part, module == "unpack_words")


_GROUPS = {
    EIGHT: _eight,
    EXAMPLES: _examples,
    LIBRARY: _library,
    KERNEL: lambda: _folder(KERNEL, KERNELS),
    UART: lambda: _folder(UART, UARTS),
}
