# SPDX-License-Identifier: Apache-2.0
"""The resource model: its coefficients are those of the measurements, and its errors are what the docs say."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gatewright.ir.cost import ANY, Features, Product, Ram, coefficients, estimate, rom_features
from gatewright.ir.op import Memory, as_int64, discover

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


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
    assert rom_features("rom", one) == {"rom": 2.0, "rom_deep": 0.0, "rom_bits": 2.0}
    assert rom_features("rom", one, one) == rom_features("rom", one)
    two_words = Memory(as_int64([[0], [1]]), 1)
    assert rom_features("rom", two_words)["rom"] == 0.0


def test_every_operator_has_coefficients_or_a_stand_in() -> None:
    for name, cls in discover().items():
        if not cls.composite:
            resources = cls.examples()[0].resources("xcup")
            assert resources["LUT"] > 0, name


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/fit_resources.py."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("common", "fit_resources", "resource_instances"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import fit_resources

    return fit_resources


@pytest.mark.parametrize("module", ["add", "fifo", "global_avgpool", "maxpool", "requant", "stream_fork",
                                    "threshold", "width_adapter", "window"])  # fmt: skip
def test_the_model_holds_on_units_that_it_was_not_fitted_on(fit: ModuleType, module: str) -> None:
    rows = fit.load()
    tables, lines = fit.fit_module(module, rows)
    assert {key: coefficients()[key] for key in tables} == tables  # the file is what the measurements give
    for line in lines:
        assert line["LUT median %"] <= 10 and line["LUT worst %"] <= 25, line
        assert line["BRAM36 or DSP wrong"] == 0, line


def test_measurements_are_of_the_units_that_the_generator_makes(fit: ModuleType) -> None:
    with (BENCHMARKS / "data" / "resources.csv").open(newline="") as file:
        rows = {(r["module"], int(r["index"])): r["unit"] for r in csv.DictReader(file) if r["family"] == "xc7"}
    for module in ("add", "threshold", "fifo"):
        for i, instance in enumerate(fit.instances(module)):
            assert rows[module, i] == instance.text
