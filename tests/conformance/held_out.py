# SPDX-License-Identifier: Apache-2.0
"""Shapes that no operator lists among its examples: odd ones, chosen to break what was developed on those."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gatewright.ir.op import Op, as_int64
from gatewright.ir.types import IntArray, Tensor
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


def _dense(rows: int, cols: int, limits: tuple[int, int], source: Tensor, pe: int, simd: int) -> Dense:
    weight = np.random.default_rng(rows * cols).integers(limits[0], limits[1] + 1, (rows, cols))
    return Dense(source, as_int64(weight), pe=pe, simd=simd)


def _bipolar(*shape: int) -> Tensor:
    return Tensor(shape, -1, 1, encoding="bipolar")


def _weights(limits: tuple[int, int], *shape: int) -> IntArray:
    return as_int64(np.random.default_rng(sum(shape)).integers(limits[0], limits[1] + 1, shape))


def _bipolar_dense(rows: int, cols: int, source: Tensor, pe: int, simd: int) -> Dense:
    weight = np.random.default_rng(rows * cols).choice([-1, 1], (rows, cols))
    return Dense(source, as_int64(weight), pe=pe, simd=simd)


def _threshold(source: Tensor, lo: int, hi: int, pe: int, spread: int = 2) -> Threshold:
    """Thresholds up to `spread` beyond the input's limits: some are always reached, some never."""
    rng = np.random.default_rng(hi - lo)
    table = np.sort(rng.integers(source.lo - spread, source.hi + spread, (source.channels, hi - lo)), axis=1)
    return Threshold(source, as_int64(table), as_int64(rng.integers(0, 2, source.channels)), lo, hi, pe=pe)


def _requant(source: Tensor, mult: list[int], add: list[int], shift: int, lo: int, hi: int, pe: int) -> Requant:
    return Requant(source, as_int64(mult), as_int64(add), shift, lo, hi, pe=pe)


def _add() -> list[Op]:
    return [
        Add(Tensor((7,), -1, 0), Tensor((7,), 0, 1), 7),
        Add(Tensor((1, 1, 1), -32768, 32767), Tensor((1, 1, 1), 5, 5)),
        Add(Tensor((2, 3, 15), 3, 9), Tensor((2, 3, 15), -200, -100), 5),
        Add(Tensor((11, 2), -1, 1), Tensor((11, 2), 0, 255), 1),
    ]


def _argmax() -> list[Op]:
    return [
        Argmax(Tensor((1,), -1, 1)),
        Argmax(Tensor((35,), 0, 1), pe=5),
        Argmax(Tensor((2, 3, 22), -1, 0), True, 11),
        Argmax(Tensor((7, 15), -4, 3), pe=15),
        Argmax(Tensor((3, 14), 1000, 70000), True, 7),
        Argmax(Tensor((2, 2, 33), -1, 1, encoding="bipolar"), True, 3),
        Argmax(Tensor((5, 100), -9, 9), pe=20),
    ]


def _avgpool() -> list[Op]:
    return [
        Avgpool(Tensor((1, 1, 25 * 3), -1, 0), 25, 3),
        Avgpool(Tensor((2, 7), -128, -100), 7),
        Avgpool(Tensor((3, 2, 6 * 10), 0, 65535), 6, 5),
        Avgpool(Tensor((11, 3 * 7), 2, 3), 3, 1),
        Avgpool(_bipolar(3, 5 * 7), 5, 7),
    ]


def _depthwise() -> list[Op]:
    return [
        Depthwise(Tensor((1, 1), 0, 1), _weights((-1, 1), 1, 1)),
        Depthwise(Tensor((3, 25 * 3), -1, 0), _weights((-3, 3), 3, 25), pe=3),
        Depthwise(Tensor((2, 2, 9 * 35), 0, 15), _weights((-8, 7), 35, 9), pe=1),
        Depthwise(Tensor((5, 2 * 14), 5, 9), _weights((0, 3), 14, 2), pe=7),
        Depthwise(Tensor((4, 3 * 5), -77, 100), _weights((-128, 127), 20, 3), pe=5),
        Depthwise(Tensor((7, 11), -8, 7), _weights((-8, -1), 1, 11)),
        Depthwise(_bipolar(3, 3, 4 * 6), _weights((-3, 3), 12, 4), pe=3),
        Depthwise(Tensor((2, 4 * 2), -8, 7), _weights((0, 0), 2, 4), pe=2),
    ]


def _concat() -> list[Op]:
    return [
        Concat(Tensor((1,), -1, 0), Tensor((1,), 5, 5), 0),
        Concat(Tensor((7, 1, 15), 0, 255), Tensor((7, 1, 10), -1, 0), 2, 5),
        Concat(Tensor((1, 3, 6), -300, -7), Tensor((4, 3, 6), -2, 900), 0, 3),
        Concat(Tensor((5, 1, 2), 0, 1), Tensor((5, 6, 2), -4, 3), 1, 1),
        Concat(Tensor((3, 7), 3, 9), Tensor((3, 77), 0, 4000), 1, 7),
    ]


def _lut() -> list[Op]:
    rng = np.random.default_rng(11)

    def case(source: Tensor, rows: int, lo: int, hi: int, pe: int) -> Lut:
        return Lut(source, as_int64(rng.integers(lo, hi + 1, (rows, len(inputs_of(source))))), pe=pe)

    return [
        case(Tensor((1,), -1, 0), 1, 0, 1, 1),
        case(Tensor((1, 1, 9), 0, 1023), 9, -70000, 70000, 3),
        case(Tensor((11, 2), -512, 100), 1, -1, 0, 2),
        case(Tensor((2, 3, 7), 5, 5), 7, 0, 255, 7),
        case(Tensor((13, 10), -1, 1, 1.0, "bipolar"), 10, -8, 7, 5),
    ]


def _reshape() -> list[Op]:
    rng = np.random.default_rng(12)

    def moved(shape: tuple[int, ...], axes: tuple[int, ...], pe: int = 1) -> Reshape:
        order = np.arange(np.prod(shape)).reshape(shape).transpose(axes).ravel()
        return Reshape(Tensor(shape, -5, 9), (order.size,), as_int64(order), pe)

    return [
        moved((2, 1), (1, 0)),
        moved((1, 17, 3), (0, 2, 1)),
        moved((3, 2, 2, 5), (3, 1, 0, 2)),
        moved((2, 2, 2, 2, 2, 3), (4, 1, 3, 0, 2, 5), 3),
        moved((4, 3, 2, 2, 2, 2), (5, 3, 1, 4, 2, 0)),
        moved((5, 3, 2, 7), (0, 2, 1, 3), 7),
        moved((3, 2, 4, 3, 2), (0, 1, 3, 2, 4), 2),
        Reshape(Tensor((300,), 0, 1), (300,), as_int64(rng.permutation(300))),
        Reshape(Tensor((7, 10), 0, 1), (70,), as_int64((np.arange(7)[:, None] * 10 + rng.permutation(10)).ravel())),
        Reshape(Tensor((2,), 0, 255), (1, 2), as_int64([1, 0])),
    ]


def _slice() -> list[Op]:
    def cut(shape: tuple[int, ...], *axes: tuple[int, int, int], pe: int = 1, lo: int = -3, hi: int = 9) -> Slice:
        return Slice(Tensor(shape, lo, hi), *zip(*axes, strict=True), pe)

    return [
        cut((1,), (0, 1, 1), lo=0, hi=1),
        cut((2, 15), (1, 2, 1), (10, 15, 1), pe=5),
        cut((7, 1, 11), (6, 7, 1), (0, 1, 1), (2, 9, 1), pe=11, lo=-300, hi=77),
        cut((11, 3, 2), (0, 11, 5), (2, 3, 1), (0, 2, 1), pe=2),
        cut((2, 3, 16), (0, 2, 1), (0, 3, 2), (3, 16, 4), pe=8),
        cut((3, 5, 4, 3, 2), (0, 3, 2), (1, 5, 3), (0, 4, 3), (0, 3, 2), (1, 2, 1)),
        cut((37,), (0, 36, 7)),
        cut((5, 9), (4, 5, 1), (8, 9, 1), pe=3, lo=5, hi=5),
        Slice(_bipolar(2, 3, 10), (1, 0, 5), (2, 3, 10), (1, 1, 1), 5),
    ]


def _upsample() -> list[Op]:
    return [
        Upsample(Tensor((1, 1, 5), -1, 0), 1, 7, 5),
        Upsample(Tensor((7, 3, 1), 0, 65535), 5, 1),
        Upsample(Tensor((2, 11, 6), -9, -4), 3, 2, 3),
        Upsample(Tensor((3, 1, 10), 0, 1), 1, 2, 2),
        Upsample(Tensor((9, 2, 3), -128, 127), 2, 5, 1),
    ]


def _dense_cases() -> list[Op]:
    return [
        _dense(1, 1, (-1, 1), Tensor((1,), 0, 1), 1, 1),
        _dense(7, 11, (-3, 3), Tensor((11,), -1, 0), 7, 11),
        _dense(13, 5, (-128, 127), Tensor((2, 5), -77, 100), 1, 5),
        _dense(2, 22, (0, 3), Tensor((3, 1, 22), 5, 9), 2, 11),
        _dense(9, 14, (-8, -1), Tensor((14,), -8, 7), 3, 7),
        _dense(26, 3, (-7, 7), Tensor((3,), 0, 255), 1, 3),
        _dense(3, 260, (-1, 1), Tensor((260,), 0, 3), 3, 2),
        _dense(4, 33, (-127, 127), Tensor((2, 33), -128, 127), 2, 33),
        _dense(6, 4, (0, 0), Tensor((4,), -8, 7), 2, 1),
        _dense(6, 26, (-2, 1), _bipolar(2, 26), 3, 13),
        _dense(5, 21, (0, 6), Tensor((21,), -4, 3), 5, 7),
        _bipolar_dense(10, 33, _bipolar(3, 33), 5, 11),
        _bipolar_dense(7, 9, Tensor((2, 9), -20, 11), 7, 3),
        _bipolar_dense(6, 75, Tensor((75,), 0, 1), 2, 75),
    ]


def _global_avgpool() -> list[Op]:
    return [
        GlobalAvgpool(Tensor((1, 7), -1, 1), 7),
        GlobalAvgpool(Tensor((13, 1), -128, 0)),
        GlobalAvgpool(Tensor((2, 11, 10), 0, 1), 5),
        GlobalAvgpool(Tensor((5, 3, 9), -9, -4), 3),
    ]


def _grouped() -> list[Op]:
    return [
        Grouped(Tensor((1, 2), 0, 1), _weights((-1, 1), 2, 1, 1)),
        Grouped(Tensor((3, 25 * 6), -1, 0), _weights((-3, 3), 6, 25, 3), pe=3, simd=1),
        Grouped(Tensor((2, 2, 3 * 35), 0, 15), _weights((-8, 7), 15, 3, 7), pe=1, simd=7),
        Grouped(Tensor((5, 14), 5, 9), _weights((0, 3), 4, 1, 7), pe=2, simd=7),
        Grouped(Tensor((4, 3 * 10), -77, 100), _weights((-128, 127), 35, 3, 2), pe=7, simd=2),
        Grouped(Tensor((7, 6), -8, 7), _weights((-8, -1), 9, 1, 2), pe=1, simd=1),
        Grouped(_bipolar(3, 4 * 15), _weights((-1, 1), 6, 4, 5), pe=1, simd=5),
        Grouped(Tensor((3, 2 * 4), 0, 7), _weights((-4, 3), 5, 2, 4), pe=5, simd=2),
    ]


def _maxpool() -> list[Op]:
    return [
        Maxpool(Tensor((1, 1, 25 * 3), -1, 1), 25, 3),
        Maxpool(Tensor((1, 7), -128, -100), 7),
        Maxpool(Tensor((3, 2, 6 * 10), 0, 65535), 6, 5),
        Maxpool(Tensor((11, 3 * 7), -4, 3), 3, 1),
        Maxpool(_bipolar(3, 5 * 7), 5, 7),
    ]


def _requant_cases() -> list[Op]:
    return [
        _requant(Tensor((1,), -1, 1), [1], [0], 1, -1, 1, 1),
        _requant(Tensor((2, 3), -5, 5), [3, -3, 1], [-4, 4, 2], 3, -2, 2, 1),
        _requant(Tensor((3, 5), 0, 65535), [40503, 1, 65535, 0, 7], [0, 1, -1, 3, 1 << 20], 16, 0, 65535, 5),
        _requant(Tensor((2, 2, 7), -300, -7), [-6, -5, -4, 4, 5, 6, 0], [8] * 7, 4, -100, 90, 7),
        _requant(
            Tensor((9, 2), -(1 << 19), (1 << 19) - 1), [(1 << 23) - 1, -(1 << 23)], [1 << 39, -1], 40, -128, 127, 2
        ),
    ]


def _threshold_cases() -> list[Op]:
    return [
        _threshold(Tensor((1,), -1, 0), 0, 1, 1),
        _threshold(Tensor((2, 11), 0, 1), -1, 1, 11),
        _threshold(Tensor((3, 3, 10), -70000, 70001), -100, 100, 5),
        _threshold(Tensor((5, 14), 17, 29), 0, 15, 7, spread=30),
        _threshold(Tensor((7, 3), -5, 250), 3, 9, 1),
        _threshold(Tensor((4, 6), -40, -9), 0, 255, 2),
    ]


def _window() -> list[Op]:
    return [
        Window(Tensor((3, 11, 2), -1, 0), 2, 5, 1, 3, 1, 2, 0, 2, simd=2),
        Window(Tensor((11, 3, 5), 0, 255), 5, 1, 3, 1, 2, 0, 2, 0, simd=5),
        Window(Tensor((10, 7, 3), -8, 7), 2, 3, 1, 1, 0, 0, 0, 0, 4, 3),
        Window(Tensor((7, 5, 4), 0, 3), 1, 1, 5, 4, simd=2),
        Window(Tensor((13, 1, 1), 0, 7), 7, 1, 2, 1, 3, 0, 3, 0),
        Window(Tensor((4, 9, 6), -4, 3), 3, 3, 2, 2, 0, 0, 1, 1, 1, 1, -4, simd=3),
        Window(Tensor((5, 5, 3), 0, 15), 2, 2, 3, 3, 2, 2, 2, 2),
        Window(Tensor((6, 6, 1), -8, 7), 3, 3, 1, 1, 0, 2, 3, 0, 2, 1),
        Window(Tensor((2, 2, 7), 0, 1), 2, 2, simd=7),
        Window(Tensor((1, 1, 1), 0, 1), 1, 1),
        Window(Tensor((11, 4), 0, 255), 1, 5, 1, 3, 0, 2, 0, 2, simd=2),
        Window(_bipolar(5, 4, 6), 2, 3, 2, 1, simd=3),
        Window(_bipolar(3, 3, 2), 2, 2, 1, 1, 1, 0, 0, 1, pad_value=-1, simd=2),
    ]


HELD_OUT: Mapping[str, Callable[[], list[Op]]] = {
    "add": _add,
    "argmax": _argmax,
    "concat": _concat,
    "avgpool": _avgpool,
    "dense": _dense_cases,
    "depthwise": _depthwise,
    "global_avgpool": _global_avgpool,
    "grouped": _grouped,
    "lut": _lut,
    "maxpool": _maxpool,
    "requant": _requant_cases,
    "reshape": _reshape,
    "slice": _slice,
    "threshold": _threshold_cases,
    "upsample": _upsample,
    "window": _window,
}
"""Made when they are asked for: an operator that refuses its shapes fails its own test only."""
