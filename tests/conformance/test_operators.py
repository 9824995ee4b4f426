# SPDX-License-Identifier: Apache-2.0
"""Operators x targets: every kernel computes `Op.reference` bit for bit, in the cycles that `Op.schedule` says.

A target that has kernels needs a file `target_<name>.py` here, whose `check(ops, folder)` runs all that it can show.
"""

from __future__ import annotations

import importlib
import itertools
import os
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from gatewright.ir.graph import chain
from gatewright.ir.op import TARGETS, Op, discover, kernel_path

from . import record
from .held_out import HELD_OUT
from .support import describe, sample

OPERATORS = discover()
COMPOSITE = {name: cls for name, cls in OPERATORS.items() if cls.composite}
UNITS = {name: cls for name, cls in OPERATORS.items() if not cls.composite}
KERNELS = [(target, name) for target in TARGETS for name in UNITS if kernel_path(name, target)]
CELLS = [pytest.param(t, n, marks=[pytest.mark.systemc] if t == "systemc" else []) for t, n in KERNELS]
FOLDINGS = 6
"""Foldings drawn for an operator, besides those of its examples."""


def check(target: str, ops: list[Op], folder: Path) -> None:
    importlib.import_module(f".target_{target}", __package__).check(ops, folder)


def other_foldings(op: Op) -> list[Op]:
    """The operator under every legal folding but its own."""
    fields = op.foldings()
    values = [dict(zip(fields, choice, strict=True)) for choice in itertools.product(*fields.values())]
    own = {name: getattr(op, name) for name in fields}
    return [replace(op, **v) for v in values if v != own]  # type: ignore[type-var]  # operators are dataclasses


def drawn_foldings(name: str) -> list[Op]:
    """A few other foldings of an operator's examples, the same in every run."""
    rng = np.random.default_rng(crc32(name.encode()))
    pool = [folded for op in UNITS[name].examples() for folded in other_foldings(op)]
    return [pool[i] for i in rng.permutation(len(pool))[:FOLDINGS]]


@pytest.mark.parametrize(("target", "name"), CELLS)
def test_examples_are_exact(target: str, name: str, tmp_path: Path) -> None:
    check(target, UNITS[name].examples(), tmp_path)
    if record.ASKED in os.environ:
        record.note(target, name)


@pytest.mark.parametrize(("target", "name"), CELLS)
def test_held_out_shapes_and_foldings_are_exact(target: str, name: str, tmp_path: Path) -> None:
    check(target, [*HELD_OUT.get(name, list)(), *drawn_foldings(name)], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("target", "name"), CELLS)
def test_all_foldings_are_exact(target: str, name: str, tmp_path: Path) -> None:
    bases = [*UNITS[name].examples(), *HELD_OUT.get(name, list)()]
    ops = [folded for op in bases for folded in other_foldings(op)]
    for i in range(0, len(ops), 40):
        check(target, ops[i : i + 40], tmp_path / str(i))


@pytest.mark.parametrize("name", COMPOSITE)
def test_lowering_equals_the_definition(name: str) -> None:
    rng = np.random.default_rng(0)
    for op in COMPOSITE[name].examples():
        x = sample(op.inputs[0], 100, rng)
        (want,) = op.reference(x)
        lowered = op.lower()
        assert lowered is not None, f"{name} is composite and lowers to nothing: override lower()"
        (have,) = chain(lowered).reference(x) if lowered else (x,)
        np.testing.assert_array_equal(have.reshape(want.shape), want, describe(op))


@pytest.mark.parametrize("name", OPERATORS)
def test_values_stay_in_their_types(name: str) -> None:
    rng = np.random.default_rng(1)
    for op in OPERATORS[name].examples():
        ys = op.reference(*(sample(t, 50, rng) for t in op.inputs))
        for y, tensor, bounds in zip(ys, op.outputs, op.bounds(), strict=True):
            assert y.shape[1:] == tensor.shape, describe(op)
            assert tensor.lo <= y.min() and y.max() <= tensor.hi, describe(op)
            flat = y.reshape(-1, tensor.channels)
            assert (flat.min(axis=0) >= bounds.lo).all() and (flat.max(axis=0) <= bounds.hi).all(), describe(op)


@pytest.mark.parametrize("name", UNITS)
def test_schedules_are_consistent(name: str) -> None:
    for op in [*UNITS[name].examples(), *HELD_OUT.get(name, list)()]:
        schedule = op.schedule()
        assert op.cycles == schedule.steps, describe(op)
        assert 1 <= schedule.depth <= 63, describe(op)
        for need, stream, after in zip(schedule.need, op.in_streams, schedule.after, strict=True):
            grown = np.diff(need, prepend=0)
            assert len(need) == schedule.steps and (grown >= 0).all() and need[-1] <= stream.beats, describe(op)
            if after is None:
                assert need[-1] == stream.beats and grown.max() <= 1, describe(op)
        for produce, stream in zip(schedule.produce, op.out_streams, strict=True):
            assert len(produce) == schedule.steps and produce.sum() == stream.beats, describe(op)


@pytest.mark.parametrize("target", TARGETS)
def test_no_kernel_is_missing(target: str) -> None:
    """A target that is begun has a kernel for every operator that is not composite."""
    there = [name for t, name in KERNELS if t == target]
    gaps = sorted(set(UNITS) - set(there))
    print(f"{target}: kernels {there}, gaps {gaps}")
    if target == "rtl" or there:
        assert not gaps, f"{target} lacks kernels: write {[TARGETS[target].format(g) for g in gaps]}"
