# SPDX-License-Identifier: Apache-2.0
"""A build's synthesis: its plan, its result, what is kept of it, and the verb."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
from tests.models import small_network
from typer.testing import CliRunner

from gatewright.build import Build, compile_model
from gatewright.cli import app
from gatewright.design.resources import add_up, instance_resources, unit_resources
from gatewright.errors import ConfigError
from gatewright.synth.plan import choose, needed, plan
from gatewright.synth.report import FILE, load, over, synthesise_build

NAMES = ("LUT", "FF", "BRAM36", "DSP", "URAM")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A small residual network."""
    folder = tmp_path_factory.mktemp("synth")
    b, y = small_network()
    onnx.save(b.model(y), folder / "small.onnx")
    return compile_model(folder / "small.onnx", "pynq-z2", fps=20_000, output=folder / "build")


def test_the_plan_has_every_instance_of_the_top_level(compiled: Build) -> None:
    design = compiled.structure
    parts = plan(design, compiled.rtl / "kernels")
    top = (compiled.rtl / f"{design.name}.sv").read_text()
    assert len({p.name for p in parts}) == len(parts)
    assert all(f" i_{p.name} (" in top for p in parts)
    assert top.count(") i_") == len(parts)
    assert {p.module for p in parts} >= {"fifo", "stream_fork", "dense"}
    assert [p.name for p in parts if p.operator] == [u.name for u in design.units if u.operator]


def test_predictions_name_the_same_instances(compiled: Build) -> None:
    graph, design = compiled.design_graph, compiled.structure
    single = instance_resources(graph, design)
    assert set(single) == {p.name for p in plan(design, compiled.rtl / "kernels")}
    assert all(r["LUT"] > 0 for r in single.values())
    # Nothing is lost when instances are counted with the units beside them.
    assert add_up(unit_resources(graph, design).values()) == pytest.approx(add_up(single.values()))


def test_a_module_needs_what_it_names(compiled: Build) -> None:
    sources = {p.stem: p for p in (compiled.rtl / "kernels").glob("*.sv")}
    assert [p.stem for p in needed("fifo", sources)] == ["counter", "fifo"]
    assert [p.stem for p in needed("stream_fork", sources)] == ["stream_fork"]
    with pytest.raises(ConfigError, match="no SystemVerilog file for module 'fifu'"):
        needed("fifu", sources)


def test_some_units_are_synthesised_and_not_kept(compiled: Build) -> None:
    parts = plan(compiled.structure, compiled.rtl / "kernels")
    names = [next(p.name for p in parts if p.module == module) for module in ("stream_fork", "fifo")]
    result = synthesise_build(compiled, units=names)
    assert [u["name"] for u in result["units"]] == names
    assert [u["operator"] for u in result["units"]] == ["stream_fork", "fifo"]
    assert {*NAMES, "name", "operator", "levels", "predicted"} == set(result["units"][0])
    assert result["total"] == {n: sum(u[n] for u in result["units"]) for n in NAMES}
    assert result["total"]["LUT"] > 0 and result["capacity"]["LUT"] == 53200
    assert result["family"] == "xc7" and load(compiled) is None
    assert synthesise_build(compiled, units=names[:1], family="xcup")["capacity"] == {}


def test_an_unknown_unit_is_named(compiled: Build) -> None:
    with pytest.raises(ConfigError, match=r"no unit 'conv9' in the design; there are .*fifo"):
        choose(plan(compiled.structure, compiled.rtl / "kernels"), ["conv9"])


def test_sources_that_were_changed_are_refused(compiled: Build, tmp_path: Path) -> None:
    copy = tmp_path / "build"
    shutil.copytree(compiled.directory, copy)
    (copy / "rtl" / "kernels" / "fifo.sv").write_text("module fifo; endmodule\n")
    with pytest.raises(ConfigError, match=r"fifo\.sv was changed since it was compiled"):
        synthesise_build(Build.open(copy))


def test_over_compares_with_the_capacity() -> None:
    assert over({"LUT": 11.0, "DSP": 2.0, "FF": 3.0}, {"LUT": 10, "FF": 3}) == {"LUT": (11.0, 10), "DSP": (2.0, 0)}
    assert over({"LUT": 11.0}, {}) == {}


@pytest.mark.slow
def test_a_whole_design_is_kept_until_the_build_changes(compiled: Build, tmp_path: Path) -> None:
    copy = tmp_path / "build"
    shutil.copytree(compiled.directory, copy)
    result = CliRunner().invoke(app, ["synth", str(copy), "--json"])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert {"total", "predicted", "capacity", "units"} <= set(printed)
    assert printed["total"]["LUT"] == pytest.approx(printed["predicted"]["LUT"], rel=0.25)
    build = Build.open(copy)
    assert load(build) == printed == json.loads((copy / FILE).read_text())
    (copy / "prediction.json").write_text((copy / "prediction.json").read_text() + " ")
    assert load(Build.open(copy)) is None
    (copy / FILE).write_text("{}")
    with pytest.raises(ConfigError, match="not a readable result of synthesis"):
        load(build)
