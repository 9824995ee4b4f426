# SPDX-License-Identifier: Apache-2.0
"""Shapes that no operator lists among its examples: odd ones, chosen to break what was developed on those."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gatewright.ir.op import Op, as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense
from gatewright.ops.global_avgpool import GlobalAvgpool
from gatewright.ops.maxpool import Maxpool
from gatewright.ops.requant import Requant
from gatewright.ops.threshold import Threshold
from gatewright.ops.window import Window


def _dense(rows: int, cols: int, limits: tuple[int, int], source: Tensor, pe: int, simd: int) -> Dense:
    weight = np.random.default_rng(rows * cols).integers(limits[0], limits[1] + 1, (rows, cols))
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


def _dense_cases() -> list[Op]:
    return [
        _dense(1, 1, (-1, 1), Tensor((1,), 0, 1), 1, 1),
        _dense(7, 11, (-3, 3), Tensor((11,), -1, 0), 7, 11),
        _dense(13, 5, (-128, 127), Tensor((2, 5), -77, 100), 1, 5),
        _dense(2, 22, (0, 3), Tensor((3, 1, 22), 5, 9), 2, 11),
        _dense(9, 14, (-8, -1), Tensor((14,), -8, 7), 3, 7),
        _dense(130, 3, (-7, 7), Tensor((3,), 0, 255), 1, 3),
        _dense(3, 260, (-1, 1), Tensor((260,), 0, 3), 3, 2),
        _dense(4, 33, (-127, 127), Tensor((2, 33), -128, 127), 2, 33),
        _dense(6, 4, (0, 0), Tensor((4,), -8, 7), 2, 1),
    ]


def _global_avgpool() -> list[Op]:
    return [
        GlobalAvgpool(Tensor((1, 7), -1, 1), 7),
        GlobalAvgpool(Tensor((13, 1), -128, 0)),
        GlobalAvgpool(Tensor((2, 11, 10), 0, 1), 5),
        GlobalAvgpool(Tensor((5, 3, 9), -9, -4), 3),
    ]


def _maxpool() -> list[Op]:
    return [
        Maxpool(Tensor((1, 1, 25 * 3), -1, 1), 25, 3),
        Maxpool(Tensor((1, 7), -128, -100), 7),
        Maxpool(Tensor((3, 2, 6 * 10), 0, 65535), 6, 5),
        Maxpool(Tensor((11, 3 * 7), -4, 3), 3, 1),
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
    ]


HELD_OUT: Mapping[str, Callable[[], list[Op]]] = {
    "add": _add,
    "dense": _dense_cases,
    "global_avgpool": _global_avgpool,
    "maxpool": _maxpool,
    "requant": _requant_cases,
    "threshold": _threshold_cases,
    "window": _window,
}
"""Made when they are asked for: an operator that refuses its shapes fails its own test only."""
