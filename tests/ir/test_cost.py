# SPDX-License-Identifier: Apache-2.0
"""The resource model: its coefficients are those of the measurements, and its errors are what the docs say."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gatewright.ir.cost import ANY, Features, Product, Ram, coefficients, estimate, rom_counts, rom_features
from gatewright.ir.op import Memory, as_int64, discover, kernel_path
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = [*sorted(n for n in discover() if kernel_path(n, "rtl")), "fifo", "width_adapter", "stream_fork"]


def test_an_estimate_is_counts_times_coefficients_and_hard_blocks_are_counted() -> None:
    features = Features({"sum": 8.0}, (Ram(36, 1024, True),), (Product(8, 8, 16, 3),))
    table = coefficients()["add"]
    found = estimate("add", features)
    assert found["LUT"] == pytest.approx(table["LUT"]["unit"] + 8 * table["LUT"].get("sum", 0.0))
    assert (found["BRAM36"], found["DSP"]) == (1.0, 3.0)


def test_lut_ram_differs_between_families() -> None:
    features = Features({}, (Ram(14, 32),))
    assert features.columns("xc7")["ram_luts"] == 12 and features.columns("xcup")["ram_luts"] == 8


def test_an_operator_without_features_costs_what_its_ports_say() -> None:
    small, large = (estimate("unheard of", Features({"in_bits": n, "out_bits": n})) for n in (8.0, 80.0))
    assert 0 < small["LUT"] < large["LUT"] and 0 < small["FF"] < large["FF"]
    assert "unheard of" not in coefficients() and ANY in coefficients()


def test_rom_columns_are_shared_between_memories_of_one_address() -> None:
    one = Memory(as_int64([[0], [1], [2], [3]]), 2)
    assert rom_features("rom", one) == {"rom": 2.0, "rom_deep": 0.0, "rom_deep_ecp5": 0.0, "rom_bits": 2.0}
    assert rom_features("rom", one, one) == rom_features("rom", one)
    two_words = Memory(as_int64([[0], [1]]), 1)
    assert rom_features("rom", two_words)["rom"] == 0.0


def test_a_rom_of_chance_is_counted_as_one_that_is_looked_at() -> None:
    rng = np.random.default_rng(0)
    for depth in (1, 2, 3, 4, 8, 36, 64, 200):
        seen = rom_features("rom", Memory(as_int64(rng.integers(0, 256, (depth, 16))), 8))
        told = rom_counts("rom", 128.0, depth)
        assert told["rom_bits"] == pytest.approx(seen["rom_bits"], rel=0.15, abs=1.5), depth
        assert told["rom"] + told["rom_deep"] == pytest.approx(seen["rom"] + seen["rom_deep"], rel=0.15, abs=1.5), depth


def test_a_smooth_table_takes_fewer_luts_than_noise() -> None:
    ramp = Memory(as_int64(np.arange(256)[:, None]), 8)
    # Bits 6 and 7 are the same within 64 words; the others have one content for all four times 64.
    assert rom_features("rom", ramp) == {"rom": 8.0, "rom_deep": 0.0, "rom_deep_ecp5": 8.0, "rom_bits": 8.0}
    noise = Memory(as_int64(np.random.default_rng(0).integers(0, 256, (256, 1))), 8)
    assert (rom_features("rom", noise)["rom_deep"], rom_features("rom", noise)["rom_deep_ecp5"]) == (24.0, 128.0)


def test_every_operator_with_a_kernel_has_coefficients() -> None:
    for name, cls in discover().items():
        if kernel_path(name, "rtl"):
            assert name in coefficients(), f"{name}: run python benchmarks/fit_resources.py --only {name}"
            for op in cls.examples():
                for family in ("xc7", "xcup", "ecp5"):
                    found = op.resources(family)
                    assert found["LUT"] > 0 and found["FF"] > 0, (name, op)


def test_the_features_of_a_matrix_look_at_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver asks for them once per folding."""
    op = Dense(Tensor((24,), 0, 3), as_int64(np.arange(576).reshape(24, 24) % 3 - 1))
    op.resources()  # what does not depend on the folding is kept
    for name in ("memories", "_planes"):
        monkeypatch.setattr(Dense, name, None)
    monkeypatch.setattr(np, "unique", None)
    assert op.features().counts["and_first"] > 0


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/fit_resources.py."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("common", "fit_resources", "resource_instances"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import fit_resources

    return fit_resources


@pytest.mark.parametrize("module", MODULES)
def test_the_model_holds_on_units_that_it_was_not_fitted_on(fit: ModuleType, module: str) -> None:
    rows = fit.load()
    tables, lines = fit.fit_module(module, rows)
    assert {key: coefficients()[key] for key in tables} == tables  # the file is what the measurements give
    for line in lines:
        median, worst, worst_ff = (20, 60, 70) if line["family"] == "ecp5" else (10, 25, 25)
        assert line["LUT median %"] <= median and line["LUT worst %"] <= worst, line
        assert line["FF median %"] <= 10 and line["FF worst %"] <= worst_ff, line
        assert line["block RAM or DSP wrong"] == 0, line


@pytest.mark.parametrize("module", MODULES)
def test_no_kernel_has_changed_since_it_was_measured(fit: ModuleType, module: str) -> None:
    rows, found = fit.load(), list(fit.instances(module))
    for family in fit.FAMILIES:
        changed = [i for i in fit.needed(family, found) if fit.stale(family, module, i, found[i], rows)]
        assert not changed, (
            f"{module} is not what was measured (units {changed} on {family}): its RTL, the RTL that it uses, its "
            f"instances or the Yosys commands have changed; run python benchmarks/fit_resources.py --only {module}"
        )


def test_a_change_of_the_rtl_is_noticed_and_a_comment_is_none(fit: ModuleType, tmp_path: Path) -> None:
    instance = next(fit.instances("add"))
    sources = {p.name: p for p in instance.part.sources}

    def changed(old: str, new: str) -> Any:
        text = sources["add.sv"].read_text()
        assert old in text
        (tmp_path / "add.sv").write_text(text.replace(old, new))
        part = replace(instance.part, sources=tuple((sources | {"add.sv": tmp_path / "add.sv"}).values()))
        return replace(instance, part=part)

    key = fit.unit_key(instance, "xc7")
    assert fit.unit_key(changed("// y = a + b", "// the sum"), "xc7") == key
    assert fit.unit_key(changed("<= a + b", "<= a - b"), "xc7") != key
    assert fit.unit_key(instance, "xcup") != key
    row = {"key": key}
    assert not fit.stale("xc7", "add", 0, instance, {("xc7", "add", 0): row})
    assert fit.stale("xc7", "add", 0, changed("<= a + b", "<= a - b"), {("xc7", "add", 0): row})
