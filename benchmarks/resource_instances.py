# SPDX-License-Identifier: Apache-2.0
"""Random instances of every unit that a design is made of, for the fit of the resource model.

An operator without a generator here is taken from its own examples under random foldings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gatewright.design.resources import adapter_features, fifo_features, fork_features
from gatewright.design.structure import structure, width_adapter
from gatewright.errors import ConfigError
from gatewright.ir.cost import Features
from gatewright.ir.graph import single
from gatewright.ir.op import Op, as_int64, discover, divisors, package_root
from gatewright.ir.types import IntArray, Stream, Tensor
from gatewright.ops.add import Add
from gatewright.ops.argmax import Argmax
from gatewright.ops.avgpool import Avgpool
from gatewright.ops.concat import Concat
from gatewright.ops.dense import Dense
from gatewright.ops.depthwise import Depthwise
from gatewright.ops.global_avgpool import GlobalAvgpool
from gatewright.ops.grouped import Grouped
from gatewright.ops.lut import Lut, inputs_of
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.requant import Requant
from gatewright.ops.reshape import Reshape
from gatewright.ops.slice import Slice
from gatewright.ops.threshold import Threshold
from gatewright.ops.upsample import Upsample
from gatewright.ops.window import Window
from gatewright.synth.plan import Part, fifo_part, fork_part, unit_part

Rng = np.random.Generator

HELD_OUT = 4
"""Every so many-th instance is held out of the fit."""

SAMPLES = {
    "stream_fork": 10,
    "add": 12,
    "global_avgpool": 14,
    "width_adapter": 14,
    "dense": 72,
    "depthwise": 48,
    "grouped": 48,
} | dict.fromkeys(("argmax", "lut", "reshape", "slice", "threshold", "window"), 24)
"""Instances of a module; 18 of any other."""


@dataclass(frozen=True)
class Instance:
    """A unit to measure: what is synthesised, and what the model knows of it."""

    module: str
    text: str
    part: Part
    features: Features
    large: bool = False


def held_out(index: int) -> bool:
    """Whether the fit does not see an instance."""
    return index % HELD_OUT == HELD_OUT - 1


def sources() -> dict[str, Path]:
    """File of every module of the RTL by its name."""
    root = package_root() / "rtl"
    return {p.stem: p for p in sorted([*root.glob("*.sv"), *root.glob("lib/*.sv")])}


def instances(module: str) -> Iterator[Instance]:
    """The instances of a module, always the same ones."""
    files = sources()
    for i in range(SAMPLES.get(module, 18)):
        rng = np.random.default_rng([i, *module.encode()])
        if module in INFRASTRUCTURE:
            yield INFRASTRUCTURE[module](rng, files)
            continue
        op = _operator(module, rng, i)
        features = op.features()
        if features is None:
            return
        unit = next(u for u in structure(single(op)).units if u.operator)
        folding = {k: getattr(op, k) for k in op.foldings()}
        text = f"{' '.join(map(str, op.inputs))} {folding}"
        large = module == "dense" and held_out(i) and i // HELD_OUT < len(LARGE)
        yield Instance(module, text, unit_part(unit, files), features, large)


def modules() -> list[str]:
    """All modules that a design can instantiate and that have features."""
    measured = [n for n, c in discover().items() if not c.composite and c.examples()[0].features() is not None]
    return [*measured, *INFRASTRUCTURE]


def _operator(module: str, rng: Rng, index: int) -> Op:
    if module in INDEXED:
        return INDEXED[module](rng, index)
    return GENERATORS[module](rng) if module in GENERATORS else _example(module, rng)


def _example(module: str, rng: Rng) -> Op:
    """One of an operator's own examples, folded at random."""
    examples = discover()[module].examples()
    op = examples[int(rng.integers(len(examples)))]
    for _ in range(20):
        folding = {k: int(rng.choice(v)) for k, v in op.foldings().items()}
        try:
            return replace(op, **folding)  # type: ignore[type-var]
        except ConfigError:  # fields that only fit together
            continue
    return op


# --- operators --------------------------------------------------------------------------------------------------------


def _tensor(rng: Rng, shape: tuple[int, ...], least: int, most: int) -> Tensor:
    """Of least to most bits, either sign."""
    bits = int(rng.integers(least, most + 1))
    if rng.random() < 0.5:
        return Tensor(shape, 0, (1 << bits) - 1)
    bits = max(bits, 2)
    return Tensor(shape, -(1 << bits - 1), (1 << bits - 1) - 1)


def _lanes(rng: Rng, channels: int, most: int = 16) -> int:
    return int(rng.choice([d for d in divisors(channels) if d <= most]))


def _channels(rng: Rng) -> int:
    return int(rng.choice([2, 3, 4, 6, 8, 10, 12, 16, 24, 32, 48, 64]))


def _threshold(rng: Rng) -> Op:
    source = _tensor(rng, (_channels(rng),), 6, 16)
    codes = (1 << int(rng.choice([1, 2, 2, 3, 3, 4, 4, 4, 5]))) - 1
    table = np.sort(rng.integers(source.lo, source.hi + 1, (source.channels, codes)), axis=1)
    falling = rng.random(source.channels) < rng.choice([0, 0.3])
    return Threshold(source, as_int64(table), as_int64(falling), 0, codes, pe=_lanes(rng, source.channels, 8))


def _requant(rng: Rng) -> Op:
    source = _tensor(rng, (_channels(rng),), 6, 20)
    bits, out = int(rng.integers(4, 17)), int(rng.integers(4, 11))
    mult = rng.integers(1 << bits - 1, 1 << bits, source.channels)
    reach = int(mult.max()) * max(source.hi, -source.lo)
    shift = max(0, reach.bit_length() - out)
    add = rng.integers(-(reach // 4) - 1, reach // 4 + 1, source.channels)
    lo, hi = ((-(1 << out - 1), (1 << out - 1) - 1), (0, (1 << out) - 1))[int(rng.integers(2))]
    return Requant(source, as_int64(mult), as_int64(add), shift, lo, hi, pe=_lanes(rng, source.channels, 8))


def _add(rng: Rng) -> Op:
    channels = _channels(rng)
    left, right = (_tensor(rng, (5, channels), 2, 12) for _ in range(2))
    return Add(left, right, _lanes(rng, channels))


def _maxpool(rng: Rng) -> Op:
    channels, window = _channels(rng), int(rng.choice([2, 4, 9]))
    return Maxpool(_tensor(rng, (4, 4, window * channels), 2, 10), window, _lanes(rng, channels))


def _global_avgpool(rng: Rng) -> Op:
    channels, side = _channels(rng), int(rng.choice([2, 4, 7, 8]))
    return GlobalAvgpool(_tensor(rng, (side, side, channels), 2, 10), _lanes(rng, channels))


def _window(rng: Rng) -> Op:
    channels, side = int(rng.choice([1, 2, 3, 4, 8, 16, 32])), int(rng.choice([5, 7, 8, 14, 16, 28, 32]))
    source = _tensor(rng, (side, side, channels), 2, 8)
    kernel, stride = int(rng.choice([1, 2, 3, 3, 3, 5])), int(rng.choice([1, 1, 2]))
    pad = kernel // 2 if rng.random() < 0.6 else 0
    return Window(source, kernel, kernel, stride, stride, pad, pad, pad, pad, simd=_lanes(rng, channels))


def _weight(rng: Rng, shape: tuple[int, ...], bits: int) -> IntArray:
    """Of so many bits, sign included; of one bit -1 and +1."""
    if bits == 1:
        return as_int64(rng.integers(0, 2, shape) * 2 - 1)
    return as_int64(rng.integers(1 - (1 << bits - 1), 1 << bits - 1, shape))


def _input(rng: Rng, shape: tuple[int, ...], bits: int) -> Tensor:
    """Of so many bits and either sign; of one bit often bipolar."""
    if bits == 1:
        return Tensor(shape, -1, 1, encoding="bipolar") if rng.random() < 0.6 else Tensor(shape, 0, 1)
    return (
        Tensor(shape, 0, (1 << bits) - 1)
        if rng.random() < 0.6
        else Tensor(shape, -(1 << bits - 1), (1 << bits - 1) - 1)
    )


LARGE = (
    (64, 576, 1, 1, 16, 64),
    (64, 576, 1, 1, 4, 144),
    (128, 1152, 2, 2, 4, 128),
    (32, 288, 4, 4, 2, 32),
    (64, 288, 2, 2, 16, 32),
    (32, 144, 8, 8, 4, 8),
    (16, 64, 1, 1, 16, 64),
    (64, 576, 2, 2, 16, 64),
)
"""Matrix-vector units of the size that networks of today have: rows, columns, bits of weights and inputs, PE, SIMD."""


WIDE = ((8, 8), (8, 5), (6, 8), (10, 4))
"""Bits of weights and inputs whose products lie in DSP slices."""


def _dense(rng: Rng, index: int) -> Op:
    """Up to some 1,200 bits of partial products a cycle; the units held out of the fit begin with the large ones.

    From the 48th on a dozen have products in DSP slices, and the last dozen one or two words of weights.
    """
    if held_out(index) and index // HELD_OUT < len(LARGE):
        rows, cols, weight_bits, bits, pe, simd = LARGE[index // HELD_OUT]
        return Dense(_input(rng, (9, cols), bits), _weight(rng, (rows, cols), weight_bits), pe=pe, simd=simd)
    rows, cols = int(rng.choice([4, 8, 10, 16, 32])), int(rng.choice([8, 16, 27, 36, 64, 144, 288]))
    weight_bits, bits = int(rng.choice([1, 2, 2, 3, 4, 5, 8])), int(rng.choice([1, 1, 2, 2, 3, 4, 6, 8]))
    steps = int(rng.choice([1, 2, 4, 8, 36, 72, 144, 1000]))
    if 48 <= index < 60:
        weight_bits, bits = WIDE[index % 3 + (index > 56)]
    elif index >= 60:
        steps = 1 + index % 5 // 3
    fits = [
        (abs(rows * cols / (pe * simd) / steps - 1), pe, simd)
        for pe in divisors(rows)
        for simd in divisors(cols)
        if pe * simd * weight_bits * bits <= 1200
    ]
    best = min(fits)[0]
    _, pe, simd = fits[int(rng.choice([i for i, f in enumerate(fits) if f[0] <= best + 0.1]))]
    source = _input(rng, (int(rng.choice([1, 9])), cols), bits)
    return Dense(source, _weight(rng, (rows, cols), weight_bits), pe=pe, simd=simd)


def _avgpool(rng: Rng) -> Op:
    channels, window = _channels(rng), int(rng.choice([2, 4, 9]))
    source = _input(rng, (3, 3, window * channels), int(rng.integers(1, 10)))
    return Avgpool(source, window, _lanes(rng, channels))


def _concat(rng: Rng) -> Op:
    shape, other, axis = (4, 6, _channels(rng)), _channels(rng), int(rng.integers(3))
    right = shape[:2] + (other,) if axis == 2 else shape
    a, b = (_tensor(rng, s, 1, 9) for s in (shape, right))
    return Concat(a, b, axis, _lanes(rng, int(np.gcd(shape[2], right[2]))))


def _upsample(rng: Rng) -> Op:
    channels, side = _channels(rng), int(rng.choice([3, 4, 7, 8, 14, 16]))
    factors = (int(rng.choice([1, 2, 2, 3, 4])), int(rng.choice([1, 2, 2, 3, 4])))
    return Upsample(_tensor(rng, (side, side, channels), 1, 8), *factors, pe=_lanes(rng, channels))


def _lut(rng: Rng) -> Op:
    channels, bits = _channels(rng), int(rng.choice([1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10]))
    source, out = _input(rng, (channels,), bits), int(rng.integers(1, 11))
    table = rng.integers(0, 1 << out, (1 if rng.random() < 0.6 else channels, len(inputs_of(source))))
    if bits > 3 and rng.random() < 0.5:  # functions, too, and no noise only
        table = np.round(np.sqrt(np.arange(table.shape[1]) / table.shape[1]) * ((1 << out) - 1))[None] // 1
    return Lut(source, as_int64(table), pe=_lanes(rng, channels, 8))


def _reshape(rng: Rng) -> Op:
    shape = tuple(int(rng.choice([2, 3, 4, 6, 7, 8, 16])) for _ in range(3))
    order = np.arange(int(np.prod(shape)))
    if rng.random() < 0.25:
        order = rng.permutation(order)
    else:
        axes = rng.permutation(3)
        axes = axes if (np.diff(axes) < 0).any() else axes[[0, 2, 1]]  # what moves nothing is no unit
        order = order.reshape(shape).transpose(axes).ravel()
    source = _tensor(rng, (order.size,), 1, 8)
    lanes = int(rng.choice(Reshape(source, (order.size,), as_int64(order)).foldings()["pe"][:6]))
    return Reshape(source, (order.size,), as_int64(order), lanes)


def _argmax(rng: Rng) -> Op:
    channels = int(rng.choice([2, 3, 4, 6, 8, 10, 10, 12, 16, 20, 32, 64, 100]))
    source = _tensor(rng, (int(rng.choice([1, 9, 64])), channels), 1, 16)
    return Argmax(source, bool(rng.random() < 0.3), _lanes(rng, channels, 20))


def _slice(rng: Rng) -> Op:
    shape = (*(int(rng.choice([3, 4, 6, 8, 14, 16])) for _ in range(2)), _channels(rng))
    box = []
    for size in shape:
        step, start = int(rng.choice([1, 1, 1, 2])), int(rng.integers(0, size // 2)) if rng.random() < 0.6 else 0
        box.append((start, int(rng.integers(start + 1, size + 1)) if rng.random() < 0.6 else size, step))
    if rng.random() < 0.6:  # half of the channels
        box[2] = (shape[2] // 2 if rng.random() < 0.5 else 0, shape[2], 1)
    op = Slice(_tensor(rng, shape, 1, 9), *zip(*box, strict=True))
    return replace(op, pe=int(rng.choice(op.foldings()["pe"])))


def _depthwise(rng: Rng, index: int) -> Op:
    channels, taps, multiplier = _channels(rng), int(rng.choice([4, 9, 9, 9, 25])), int(rng.choice([1, 1, 1, 2]))
    weight_bits, bits = int(rng.choice([2, 3, 4, 4, 5, 8])), int(rng.choice([1, 2, 3, 4, 4, 8]))
    if index >= 36:
        weight_bits, bits = WIDE[index % 3 + (index > 44)]
    source = _input(rng, (4, taps * channels), bits)
    return Depthwise(source, _weight(rng, (channels * multiplier, taps), weight_bits), pe=_lanes(rng, channels))


def _grouped(rng: Rng, index: int) -> Op:
    groups, taps = int(rng.choice([2, 2, 4, 8])), int(rng.choice([1, 4, 9, 9]))
    group_in, group_out = (int(rng.choice([2, 4, 6, 8, 16])) for _ in range(2))
    weight_bits, bits = int(rng.choice([2, 3, 4, 4, 5, 8])), int(rng.choice([1, 2, 3, 4, 4, 8]))
    if index >= 36:
        weight_bits, bits = WIDE[index % 3 + (index > 44)]
    source = _input(rng, (4, taps * groups * group_in), bits)
    weight = _weight(rng, (groups * group_out, taps, group_in), weight_bits)
    return Grouped(source, weight, pe=_lanes(rng, group_out, 8), simd=_lanes(rng, group_in, 8))


GENERATORS: dict[str, Callable[[Rng], Op]] = {
    "threshold": _threshold,
    "requant": _requant,
    "add": _add,
    "argmax": _argmax,
    "avgpool": _avgpool,
    "concat": _concat,
    "lut": _lut,
    "reshape": _reshape,
    "slice": _slice,
    "upsample": _upsample,
    "maxpool": _maxpool,
    "global_avgpool": _global_avgpool,
    "window": _window,
}

INDEXED: dict[str, Callable[[Rng, int], Op]] = {"dense": _dense, "depthwise": _depthwise, "grouped": _grouped}
"""Generators of modules with products, of which some instances are to be of a certain kind."""


# --- what joins operators ---------------------------------------------------------------------------------------------


def _fifo(rng: Rng, files: dict[str, Path]) -> Instance:
    width = round(2 ** rng.uniform(2, 7))
    depth = int(rng.choice([2, 2, 2, 4, 8, 16, 32, 48, 64, 100, 128, 150, 300, 512, 700, 1024, 2000]))
    block = depth > 128
    part = fifo_part(f"{width}x{depth}", width, depth, block, files)
    return Instance("fifo", f"{width} bits, {depth} deep", part, fifo_features(width, depth, block))


def _width_adapter(rng: Rng, files: dict[str, Path]) -> Instance:
    bits, small, ratio = int(rng.integers(1, 9)), int(rng.integers(1, 9)), int(rng.choice([2, 3, 4, 8, 16]))
    have, want = (small, small * ratio) if rng.random() < 0.4 else (small * ratio, small)
    beats = int(rng.integers(1, 60))
    unit = width_adapter("adapter", Stream(bits, have, beats * want, False), want)
    return Instance(
        "width_adapter",
        f"{bits} bits, {have} to {want}",
        unit_part(unit, files),
        adapter_features(unit.ins[0], unit.outs[0]),
    )


def _stream_fork(rng: Rng, files: dict[str, Path]) -> Instance:
    width, branches = round(2 ** rng.uniform(2, 7)), int(rng.integers(2, 6))
    part = fork_part("fork", width, branches, files)
    return Instance("stream_fork", f"{width} bits, {branches} branches", part, fork_features(branches))


INFRASTRUCTURE: dict[str, Callable[[Rng, dict[str, Path]], Instance]] = {
    "fifo": _fifo,
    "width_adapter": _width_adapter,
    "stream_fork": _stream_fork,
}
