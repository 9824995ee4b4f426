# SPDX-License-Identifier: Apache-2.0
"""Properties of RTL hold for every input, and fail where the module is broken on purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gatewright.errors import ToolError

from . import runner
from .runner import Fault, Proof

PROOFS = runner.proofs()
FAULTS = runner.faults()
DOCS = runner.ROOT / "docs" / "formal.md"


def _each_proof() -> list[object]:
    cases = [(name, proof, number) for name, proof in PROOFS.items() for number in range(len(proof.parameters))]
    return [
        pytest.param(p, number, marks=() if p.quick and number == 0 else pytest.mark.slow, id=f"{name}-{number}")
        for name, p, number in cases
    ]


def _each_fault() -> list[object]:
    first = {fault.module: fault for fault in reversed(FAULTS)}
    return [
        pytest.param(
            fault,
            marks=() if fault is first[fault.module] and PROOFS[fault.module].quick else pytest.mark.slow,
            id=f"{fault.module}-{fault.fails}-{number}",
        )
        for number, fault in enumerate(FAULTS)
    ]


@pytest.mark.parametrize(("proof", "number"), _each_proof())
def test_properties_hold(proof: Proof, number: int) -> None:
    parameters = proof.parameters[number]
    result = runner.prove(proof, parameters)
    assert result.passed, result.log
    covered = runner.cover(proof, parameters)
    assert set(covered.reached) == set(runner.covers(proof)), covered.log


@pytest.mark.parametrize("fault", _each_fault())
def test_a_broken_module_is_noticed(fault: Fault, tmp_path: Path) -> None:
    proof = PROOFS[fault.module]
    broken = fault.plant(proof, tmp_path)
    parameters = proof.parameters[fault.parameters]
    assert runner.find_failure(broken, parameters, fault.fails).failed == (fault.fails,)
    if proof.quick:
        assert not runner.prove(broken, parameters).passed


def test_the_proof_itself_names_what_fails(tmp_path: Path) -> None:
    fault = next(f for f in FAULTS if f.module == "counter" and f.fails == "moves")
    result = runner.prove(fault.plant(PROOFS["counter"], tmp_path), {"COUNT": 3})
    assert (result.passed, result.failed) == (False, ("moves",))


def test_every_property_has_a_fault() -> None:
    for name, proof in PROOFS.items():
        noticed = {f.fails for f in FAULTS if f.module == name}
        assert {p.name for p in proof.properties() if not p.helper} == noticed, name


def test_every_proof_has_cover_statements() -> None:
    for proof in PROOFS.values():
        assert runner.covers(proof), proof.module


def test_a_bounded_proof_says_why() -> None:
    for proof in PROOFS.values():
        assert bool(proof.reason) == (proof.method == "bounded"), proof.module


def test_the_docs_have_all_properties() -> None:
    rows = {tuple(c.strip(" `") for c in row.split("|")[1:4]) for row in DOCS.read_text().splitlines()}
    for proof in PROOFS.values():
        for item in proof.properties():
            assert item.helper or (proof.name, item.name, item.text) in rows, "run scripts/prove_rtl.py"


def test_a_net_that_is_not_there_is_no_free_value(tmp_path: Path) -> None:
    source = tmp_path / "counter.sv"
    source.write_text((runner.ROOT / "rtl" / "lib" / "counter.sv").read_text().replace("assign last", "// assign last"))
    broken = replace(PROOFS["counter"], sources=(source,))
    with pytest.raises(ToolError, match=r"no verdict:\n.*ERROR: Found \d problems in 'check -assert'"):
        runner.prove(broken, {"COUNT": 3})


def test_a_fault_whose_text_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"counter\.sv has 0 times 'nothing': write the fault anew"):
        Fault("counter", "counter.sv", "nothing", "", "moves").plant(PROOFS["counter"], tmp_path)


def test_an_assertion_without_a_comment_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x_props.sv"
    path.write_text("always @* begin\n  // it holds\n  holds: assert (1);\n\n  bare: assert (1);\nend\n")
    with pytest.raises(ValueError, match=r"x_props\.sv: an assertion has no name, or no comment above it"):
        runner.properties_of(path)
