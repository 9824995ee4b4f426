# SPDX-License-Identifier: Apache-2.0
"""Proves what is not proven yet of the RTL as it stands, and writes the tables into the docs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.formal import runner
from tests.formal.runner import Proof, Result

DOCS = runner.ROOT / "docs" / "formal.md"
BEGIN, END = "<!-- formal: begin -->\n", "<!-- formal: end -->\n"


def method(proof: Proof, results: list[Result]) -> str:
    """How it is proven, in words."""
    if proof.method == "pdr":
        return "IC3"
    if proof.method == "bounded":
        return f"bounded, {proof.depth} steps"
    return f"induction, k = {max(r.steps for r in results)}"


def sweep(proof: Proof) -> str:
    """The values that each parameter takes."""
    names = proof.parameters[0]
    values = {name: sorted({p[name] for p in proof.parameters}) for name in names}
    return "; ".join(f"{name} {', '.join(map(str, v))}" for name, v in values.items())


def tables(proved: dict[str, list[Result]]) -> str:
    """Markdown: every property, then every proof."""
    proofs = runner.proofs()
    lines = ["| module | property | what it says | method |", "|---|---|---|---|"]
    count = 0
    for name, proof in proofs.items():
        for item in proof.properties():
            if not item.helper:
                count += 1
                lines.append(f"| `{proof.name}` | `{item.name}` | {item.text} | {method(proof, proved[name])} |")
    lines += ["", f"{count} properties, each seen to fail on a module that was broken for it.", ""]
    lines += ["| module | method | sets of parameters | values | processor seconds |", "|---|---|---|---|---|"]
    for name, proof in proofs.items():
        where = f"{sweep(proof)} (harness `{name}`)" if proof.of else sweep(proof)
        seconds = sum(r.seconds for r in proved[name])
        row = (f"`{proof.name}`", method(proof, proved[name]), len(proof.parameters), where, f"{seconds:.1f}")
        lines.append(f"| {' | '.join(map(str, row))} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """The exit status is 0 only if every property holds and every cover statement is reached."""
    proved: dict[str, list[Result]] = {}
    failures = []
    for name, proof in runner.proofs().items():
        proved[name] = [runner.prove(proof, p) for p in proof.parameters]
        covered = [runner.cover(proof, p) for p in proof.parameters]
        for parameters, proof_result, cover_result in zip(proof.parameters, proved[name], covered, strict=True):
            if not proof_result.passed or not cover_result.passed:
                failures.append(f"{name} {dict(parameters)}:\n{proof_result.log}\n{cover_result.log}")
    if failures:
        print("\n".join(failures))
        return 1
    before, rest = DOCS.read_text().split(BEGIN)
    DOCS.write_text(before + BEGIN + tables(proved) + END + rest.split(END)[1])
    print("all properties hold")
    return 0


if __name__ == "__main__":
    sys.exit(main())
