# SPDX-License-Identifier: Apache-2.0
"""The least sum of tables that share variables, exactly, by eliminating one variable after the other.

Nonserial dynamic programming (Bertele and Brioschi 1972): the tables that hold a variable are added up and minimised
over it, which leaves one table over its neighbours. On a chain or a tree no table grows beyond two variables, on a
series-parallel graph (residual branches) not beyond three.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatewright.ir.types import FloatArray

IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Table:
    """One addend of the sum.

    Attributes:
        scope: the variables it depends on, each once.
        cost: float64, one axis per variable of the scope; infinite where a combination is not possible.
    """

    scope: tuple[int, ...]
    cost: FloatArray

    def aligned(self, scope: Sequence[int]) -> FloatArray:
        """The cost with its axes in the order of a wider scope, to be broadcast."""
        axes = [self.scope.index(v) for v in scope if v in self.scope]
        return self.cost.transpose(axes)[tuple(slice(None) if v in self.scope else None for v in scope)]


def elimination_order(sizes: Sequence[int], scopes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """An order of the variables that keeps the tables small: always the one whose neighbours span the smallest table.

    Args:
        sizes: number of values of each variable.
        scopes: variables of each table.
    """
    near = {v: set[int]().union(*(s for s in scopes if v in s)) - {v} for v in range(len(sizes))}
    order = []
    while near:
        variable = min(near, key=lambda v: math.prod(sizes[n] for n in near[v]) * sizes[v])
        others = near.pop(variable)
        for other in others:
            near[other] = (near[other] | others) - {variable, other}
        order.append(variable)
    return tuple(order)


def minimise(tables: Sequence[Table], order: Sequence[int]) -> tuple[float, Mapping[int, int]]:
    """The least sum, and the value of each variable that gives it; infinite when every combination is impossible.

    Args:
        order: every variable once, as `elimination_order` gives them.
    """
    left, trail = list(tables), list[tuple[tuple[int, ...], IndexArray]]()
    for variable in order:
        holders = [t for t in left if variable in t.scope]
        left = [t for t in left if variable not in t.scope]
        others = tuple(sorted({v for t in holders for v in t.scope} - {variable}))
        total = np.asarray(sum(t.aligned((*others, variable)) for t in holders), np.float64)
        trail.append(((*others, variable), total.argmin(axis=-1)))
        left.append(Table(others, total.min(axis=-1)))
    values: dict[int, int] = {}
    for scope, best in reversed(trail):
        values[scope[-1]] = int(best[tuple(values[v] for v in scope[:-1])])
    return float(sum(float(t.cost) for t in left)), values
