# SPDX-License-Identifier: Apache-2.0
"""The emitted top level: deterministic, clean in Verilator's lint and in Yosys, with the ports that were promised."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.models import Builder, random_network
from tests.rtl.kernel.designs import several, small

from gatewright.boards import load_board
from gatewright.design.plan import make_design
from gatewright.design.structure import Structure, structure
from gatewright.emit.rtl import emit, is_taken, kernel_sources, top_ports
from gatewright.errors import ConfigError
from gatewright.frontend.importer import from_onnx
from gatewright.ir.graph import Graph, chain, single
from gatewright.ir.op import as_int64, discover
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense
from gatewright.passes.lower import lower
from gatewright.sim.tools import find_verilator

KERNELS = [
    pytest.param(op, id=f"{name}{i}")
    for name, cls in discover().items()
    for i, op in enumerate(cls.examples())
    if not op.composite
]


def designed(graph: Graph, fps: float | None = None) -> Structure:
    return make_design(lower(graph), load_board("pynq-z2"), fps=fps).structure


def random(seed: int) -> Structure:
    b = Builder((2, 6, 5))
    outputs, _ = random_network(b, seed, exact=True)
    return designed(from_onnx(b.model(*outputs), "net"))


def streamed() -> Structure:
    """Two products whose weights come through ports, words of 18 bits and of 16, and one that has its own."""
    op = Dense(Tensor((2, 6), -8, 7), as_int64(np.arange(36).reshape(6, 6) % 7 - 3), pe=3, simd=2, streamed=("weight",))
    wide = Dense(op.outputs[0], as_int64(np.arange(24).reshape(4, 6) % 3), pe=4, simd=2, streamed=("weight",))
    last = Dense(wide.outputs[0], as_int64(np.arange(8).reshape(2, 4) % 3), pe=1, simd=4)
    return structure(replace(chain([op, wide, last]), name="net"))


DESIGNS = {
    "small": lambda: small().structure,
    "several": lambda: several().structure,
    "streamed": streamed,
    **{f"random{s}": lambda s=s: random(s) for s in range(4)},
}


def lint(folder: Path, top: str) -> str:
    """Verilator's complaints about a written design, nothing waived."""
    verilator = find_verilator()
    sources = [*sorted((folder / "kernels").glob("*.sv")), folder / f"{top}.sv"]
    done = subprocess.run(
        [str(verilator.path), "--lint-only", "-Wall", "--top-module", top, *map(str, sources)],
        env=verilator.environment(), capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    return done.stderr + ("" if done.returncode == 0 else f"status {done.returncode}")


@pytest.mark.parametrize("name", DESIGNS)
def test_networks_pass_lint_without_waivers(name: str, tmp_path: Path) -> None:
    emit(DESIGNS[name]()).write(tmp_path)
    assert lint(tmp_path, "net") == ""


@pytest.mark.parametrize("op", [p for p in KERNELS if p.id.endswith(("0", "3"))])
def test_lone_units_pass_lint_without_waivers(op, tmp_path: Path) -> None:
    emit(structure(single(op))).write(tmp_path)
    assert lint(tmp_path, "top") == ""


YOSYS = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
for command in sys.stdin.read().splitlines():
    ys.run_pass(command, design)
print("all read")
"""


def test_yosys_reads_a_network(tmp_path: Path) -> None:
    pytest.importorskip("pyosys")
    emit(small().structure).write(tmp_path)
    script = "read_verilog -sv -defer kernels/*.sv net.sv\nhierarchy -check -top net\nproc\ncheck -assert"
    done = subprocess.run(
        [sys.executable, "-c", YOSYS], input=script, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    assert "all read" in done.stdout
    assert [line for line in done.stdout.splitlines() if "arning" in line] == []


@pytest.mark.parametrize("name", ["small", "several", "random1"])
def test_same_design_same_text(name: str) -> None:
    first, second = emit(DESIGNS[name]()), emit(DESIGNS[name]())
    assert dict(first) == dict(second) and first.digest() == second.digest()
    for path, text in first:
        assert text.endswith("\n") and "\r" not in text and (path.endswith((".sv", ".mem")))


def test_ports_of_the_top_level() -> None:
    design = several().structure
    ins, outs = top_ports(design)
    assert [p for p, _ in ins] == ["s0_axis", "s1_axis"]
    assert [p for p, _ in outs] == ["m0_axis", "m1_axis", "m2_axis"]
    assert [(s.bits, s.lanes, s.padded_width) for _, s in ins] == [(3, 4, 16), (2, 4, 8)]
    assert [p for p, _ in top_ports(small().structure)[0]] == ["s_axis"]
    assert [p for p, _ in top_ports(small().structure)[1]] == ["m_axis"]
    header = re.search(r"module net \((.*?)\);", dict(emit(design))["net.sv"], re.DOTALL).group(1)
    ports = [re.sub(r"\s+", " ", p.strip()) for p in header.split(",")]
    wanted = ["input wire clk", "input wire rst_n"]
    for i, width in enumerate((16, 8)):
        wanted += [f"input wire [{width - 1}:0] s{i}_axis_tdata", f"input wire s{i}_axis_tvalid",
                   f"output wire s{i}_axis_tready", f"input wire s{i}_axis_tlast"]  # fmt: skip
    for i, (_, stream) in enumerate(outs):
        wanted += [f"output wire [{stream.padded_width - 1}:0] m{i}_axis_tdata", f"output wire m{i}_axis_tvalid",
                   f"input wire m{i}_axis_tready", f"output wire m{i}_axis_tlast"]  # fmt: skip
    assert ports == wanted


def test_ports_of_memories_follow_the_inputs() -> None:
    text = dict(emit(streamed()))["net.sv"]
    header = text[: text.index(");")]
    assert re.findall(r"(?:\[(\d+):0\] )?(\w+_t(?:data|ready))", header) == [
        ("7", "s_axis_tdata"), ("", "s_axis_tready"),
        ("23", "u0_dense_weight_axis_tdata"), ("", "u0_dense_weight_axis_tready"),
        ("15", "u1_dense_weight_axis_tdata"), ("", "u1_dense_weight_axis_tready"),
        ("15", "m_axis_tdata"), ("", "m_axis_tready"),
    ]  # fmt: skip
    assert text.count(".STREAM_WEIGHT(1)") == 2 and text.count("WEIGHT_FILE") == 1


def test_memories_and_kernels_are_there() -> None:
    design = small().structure
    files = dict(emit(design))
    top = files["net.sv"]
    named = re.findall(r'_FILE\("([^"]+)"\)', top)
    assert named
    for name in named:
        assert name in files or any(re.fullmatch(re.escape(name) + r"\d+\.mem", f) for f in files)
    for path in kernel_sources(design):
        assert files[f"kernels/{path.name}"] == path.read_text()
    for unit in design.units:
        assert len(re.findall(rf"\bi_{unit.name} \(", top)) == 1
    for link in design.links:
        assert len(re.findall(rf"\bi_{link.name} \(", top)) == (link.depth > 0)


def test_names_no_top_level_can_have() -> None:
    op = discover()["add"].examples()[0]
    for name in ("dense", "fifo", "module", "small", "final"):
        assert is_taken(name)
        with pytest.raises(
            ConfigError, match=f"the top level cannot be called '{name}', which is a kernel or a SystemVerilog keyword"
        ):
            emit(structure(single(op, name)))
    assert not is_taken("net") and not is_taken("digits")


def test_operator_without_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(sys.modules[discover()["add"].__module__].__file__).read_text()
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "plus.py").write_text(source.replace("class Add(", "class Plus("))
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path))
    design = structure(single(discover()["plus"].examples()[0]))
    with pytest.raises(
        ConfigError, match="operator 'plus' has no RTL kernel: write rtl/plus.sv beside its ops/plus.py"
    ):
        emit(design)
