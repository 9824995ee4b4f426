# SPDX-License-Identifier: Apache-2.0
"""The synthesizability lint: nothing in the library and in emitted projects, and every fault that is put there."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.models import small_network

from gatewright.boards import load_board
from gatewright.design.plan import make_design
from gatewright.design.structure import Structure, structure
from gatewright.emit import hls_project
from gatewright.errors import ConfigError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import single
from gatewright.ir.op import discover, kernel_path, package_root
from gatewright.passes.lower import lower
from gatewright.synth.hls_lint import (
    EXEMPT,
    RULES,
    Finding,
    exemption,
    hls4ml_layers,
    lint_library,
    lint_project,
    pragmas,
)
from gatewright.synth.hls_lint.pragma_text import find_pragmas
from gatewright.synth.hls_lint.table import INTERFACE_MODES, PRAGMAS, WITHDRAWN, find_pragma, markdown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HLS = package_root() / "hls"
HEADERS = sorted(p.relative_to(HLS).as_posix() for p in HLS.rglob("*.h*") if p.is_file())
OPERATORS = [n for n, op in discover().items() if not op.composite and kernel_path(n, "hls") is not None]


def said(findings: list[Finding]) -> str:
    return "\n".join(map(str, findings))


# --- what there is has no findings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [h for h in HEADERS if exemption(h) is None])
def test_library_has_no_findings(header: str) -> None:
    assert said(lint_library(HLS, header)) == ""


@pytest.mark.parametrize("name", OPERATORS)
def test_instances_of_a_kernel_have_no_findings(name: str, tmp_path: Path) -> None:
    check_instances(name, tmp_path, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATORS)
def test_no_instance_of_a_kernel_has_findings(name: str, tmp_path: Path) -> None:
    check_instances(name, tmp_path, None)


def check_instances(name: str, folder: Path, most: int | None) -> None:
    examples = list(discover()[name].examples())[:most]
    assert examples
    for i, op in enumerate(examples):
        design = structure(single(op))
        hls_project.sources(design).write(folder / str(i))
        assert said(lint_project(folder / str(i))) == ""


def small() -> Structure:
    b, y = small_network()
    return make_design(lower(from_onnx(b.model(y), "net")), load_board("pynq-z2"), fps=1e5).structure


def test_emitted_network_has_no_findings(tmp_path: Path) -> None:
    design = small()
    hls_project.sources(design).write(tmp_path)
    assert {p.stem for p in tmp_path.glob("*.cpp") if exemption(p.name) is None} == {"net", "net_stream"}
    assert said(lint_project(tmp_path)) == ""


def test_only_what_is_no_hardware_is_exempt() -> None:
    exempt = {h for h in HEADERS if exemption(h) is not None}
    assert exempt == {"csim/ap_axi_sdata.h", "gatewright/systemc.hpp", "gatewright/testbench.hpp"}
    assert exemption("net_tb.cpp") == EXEMPT["*_tb.[ch]pp"]
    assert exemption("net_systemc.hpp") == EXEMPT["*_systemc.[ch]pp"]
    assert exemption("net.cpp") is None
    assert exemption("include/gatewright/dense.hpp") is None


# --- faults in the library --------------------------------------------------------------------------------------------

HOOKS: Mapping[str, str] = {
    "include": r"#pragma once\n",
    "namespace": r"namespace gatewright \{\n",
    "function": r"void dense\(In& s_axis, Out& m_axis, unsigned frames\) \{\n",
    "pipeline": r"#pragma HLS pipeline II=1 style=flp\n",
    "acc": r"  \w+ acc\[Cfg::pe\];\n",
}
"""Places in dense.hpp behind which text is put."""


@dataclass(frozen=True)
class Fault:
    """A change of a kernel, and what the lint says of it.

    Attributes:
        change: (pattern, replacement) pairs; the replacement of a hook's name stands behind it.
        rule: finds it.
        what: the finding begins with.
        at: text in the changed file on whose line the finding is.
    """

    change: tuple[tuple[str, str], ...]
    rule: str
    what: str
    at: str


SEEDS = tomllib.loads((Path(__file__).parent / "faults.toml").read_text())


def faults(kind: str) -> list[object]:
    """The faults of faults.toml, as parameters of a test."""
    found = []
    for raw in SEEDS[kind]:
        change = [*raw.get("behind", {}).items(), *((r["pattern"], r["by"]) for r in raw.get("replace", []))]
        name = re.sub(r"\W+", "_", f"{raw['rule']}_{raw['at']}").strip("_")
        found.append(pytest.param(Fault(tuple(change), raw["rule"], raw["what"], raw["at"]), id=name))
    return found


def changed(text: str, change: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in change:
        hook = HOOKS.get(pattern)
        found = re.search(hook or pattern, text)
        assert found is not None, f"{pattern!r} is not there any more: let the fault stand elsewhere"
        new = found.group() + replacement + "\n" if hook else replacement
        text = text[: found.start()] + new + text[found.end() :]
    return text


def check_found(findings: list[Finding], wanted: Fault, text: str, file: str) -> None:
    line = text[: text.index(wanted.at)].count("\n") + 1
    hits = [f for f in findings if (f.rule, f.line, f.file) == (wanted.rule, line, file)]
    assert any(f.what.startswith(wanted.what) for f in hits), said(findings) or "nothing is found"
    for finding in hits:
        assert finding.remedy
        assert str(finding).startswith(f"{file}:{line}: {finding.what}: {finding.remedy} [{wanted.rule}: ")


KERNEL_FAULTS = faults("kernel")
PROJECT_FAULTS = faults("project")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    shutil.copytree(HLS, tmp_path / "hls")
    return tmp_path / "hls"


@pytest.mark.parametrize("wanted", KERNEL_FAULTS)
def test_fault_in_a_kernel_is_found(wanted: Fault, library: Path) -> None:
    kernel = library / "gatewright" / "dense.hpp"
    kernel.write_text(changed(kernel.read_text(), wanted.change))
    check_found(lint_library(library, "gatewright/dense.hpp"), wanted, kernel.read_text(), "gatewright/dense.hpp")


def test_every_rule_has_a_fault() -> None:
    seeded = {p.values[0].rule for p in (*KERNEL_FAULTS, *PROJECT_FAULTS)}  # type: ignore[attr-defined]
    assert set(RULES) == seeded


# --- what is legal ----------------------------------------------------------------------------------------------------


def test_what_vitis_hls_takes_is_not_found(library: Path) -> None:
    kernel = library / "gatewright" / "dense.hpp"
    kernel.write_text(changed(kernel.read_text(), tuple((k, v) for x in SEEDS["legal"] for k, v in x.items())))
    assert said(lint_library(library, "gatewright/dense.hpp")) == ""


def test_documented_pragmas_are_legal(tmp_path: Path) -> None:
    example = (Path(__file__).parent / "legal.cpp").read_text()
    (tmp_path / "legal.cpp").write_text(example)
    assert said(lint_project(tmp_path)) == ""
    assert {p.name for p in PRAGMAS} == {n.lower() for n in re.findall(r"#pragma HLS (\w+)", example)}
    assert {m for m, _ in INTERFACE_MODES} - set(re.findall(r"mode=(\w+)", example)) == {"ap_ctrl_none", "ap_ctrl_hs"}


# --- faults in a project ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    hls_project.sources(structure(single(next(iter(discover()["dense"].examples()))))).write(folder)
    for path in folder.glob("*_stream*"):
        path.unlink()
    return folder


@pytest.mark.parametrize("wanted", PROJECT_FAULTS)
def test_fault_in_a_project_is_found(wanted: Fault, project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    (name,) = (p.stem for p in tmp_path.glob("*.cpp") if not p.stem.endswith("_tb"))
    top = tmp_path / f"{name}.cpp"
    top.write_text(changed(top.read_text(), wanted.change))
    check_found(lint_project(tmp_path), wanted, top.read_text(), f"{name}.cpp")


def test_faults_that_only_instances_have_are_found(project: Path, tmp_path: Path) -> None:
    """Recursion with explicit arguments, which might end, and a type that a configuration gives."""
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    kernel = tmp_path / "include" / "gatewright" / "dense.hpp"
    again = "if (frames == 7) dense<Cfg>(s_axis, m_axis, frames - 1);\ntypename Cfg::scale scale = 0;\n(void)scale;"
    kernel.write_text(changed(kernel.read_text(), (("function", again),)))
    config = next(tmp_path.glob("*_config.hpp"))
    config.write_text(re.sub(r"(struct \w+_config \{\n)", r"\1typedef float scale;\n", config.read_text()))
    findings = lint_project(tmp_path)
    for rule, what, at in (
        ("recursion", "dense -> dense, a function that calls itself", "dense<Cfg>(s_axis"),
        ("float", "'scale', a 'typename", "Cfg::scale scale"),
    ):
        check_found(findings, Fault((), rule, what, at), kernel.read_text(), "include/gatewright/dense.hpp")


def test_a_project_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no top function: compile the design with --target hls first"):
        lint_project(tmp_path)
    with pytest.raises(ConfigError, match="'gatewright/none.hpp' should name some"):
        lint_library(HLS, "gatewright/none.hpp")
    (tmp_path / "net.cpp").write_text("void nets() {}\n")
    assert "net.cpp:1: no top function 'net': define" in said(lint_project(tmp_path))


# --- the table --------------------------------------------------------------------------------------------------------


def test_documentation_shows_the_table_and_the_rules() -> None:
    text = (package_root() / "docs" / "hls.md").read_text()
    assert markdown() in text
    for rule, why in RULES.items():
        assert f"| `{rule}` | {why} |" in text


def test_pragmas_that_hls4ml_gives_to_vitis_hls_are_known() -> None:
    """Hundreds of lines that others wrote for the same tool: all but bare values, the form of older releases."""
    lines = [
        pragma
        for folder in hls4ml_layers()
        for path in sorted(folder.rglob("*.h"))
        for pragma in find_pragmas(path.read_text())
        if pragma.hls and folder.parent.name == "vitis"
    ]
    assert len(lines) > 100
    assert len({p.name.lower() for p in lines}) >= 8
    for pragma in lines:
        said_of = [what for rule, what, _ in pragmas.faults(pragma, None) if rule != "pragma-place"]
        bare = pragma.has("complete") and pragma.name.lower() in ("array_partition", "array_reshape")
        known = [f"pragma HLS {pragma.name.lower()} has no option 'complete'"] if bare else []
        assert said_of == known, pragma


def test_table_is_consistent() -> None:
    names = [p.name for p in PRAGMAS]
    assert names == sorted(set(names))
    assert not set(names) & set(WITHDRAWN)
    for pragma in PRAGMAS:
        assert find_pragma(pragma.name.upper()) is pragma
        assert pragma.section == f"pragma HLS {pragma.name}"
        for options in (pragma.options, *(o for _, o in pragma.modes)):
            known = [o.name for o in options]
            assert len(known) == len(set(known))
            assert all(o.words == tuple(w.lower() for w in o.words) for o in options)
        assert {n for group in (*pragma.excludes, *pragma.needs, pragma.one_of, pragma.first) for n in group} <= {
            o.name for o in pragma.options
        }
