# SPDX-License-Identifier: Apache-2.0
"""Tables of the models of vendor tools: each entry has its source, and is tried with what is right and what is not."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gatewright.sim.tools import find_tool
from gatewright.synth.tcl_model import ip, run, table
from gatewright.synth.tcl_model import vitis as vitis_model
from gatewright.synth.tcl_model import words as words_model
from gatewright.synth.tcl_model.arguments import CHECKS, Complaint, bind, check_value
from gatewright.synth.tcl_model.objects import kinds
from gatewright.synth.tcl_model.table import Slot

pytestmark = pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh: apt install tcl")


GUIDE = re.compile(r"(UG|PG|DS|PB)\d{3,4}")


@pytest.mark.parametrize("name", ["vivado", "hls", "programs"])
def test_every_command_has_its_source(name: str) -> None:
    for command, entry in table.commands(name).items():
        assert GUIDE.search(entry.guide), command
        for slot in (*entry.options.values(), *entry.arguments):
            kind = slot.kind
            if kind is None or "|" in kind or kind.startswith("@"):
                assert kind is None or "|" in kind or set(kind[1:].split(",")) <= {*kinds(), "any"}, (command, slot)
            else:
                assert kind.partition(" ")[0] in (*CHECKS, "text"), (command, slot)


@pytest.mark.parametrize("name", ["ip", "parts", "properties", "configs", "platforms"])
def test_every_entry_has_its_source(name: str) -> None:
    for entry, content in table.read(name).items():
        assert GUIDE.search(content["guide"]), entry


def test_the_interpreter_is_found() -> None:
    assert re.match(r"8\.\d", find_tool("tclsh").version)


@pytest.mark.parametrize("name", ["vivado", "hls", "programs"])
def test_every_option_is_taken_and_a_misspelt_one_is_not(name: str) -> None:
    count = 0
    for entry in table.commands(name).values():
        given = [w for s in (*entry.options.values(), *entry.arguments) if s.required
                 for w in ([s.name] if s.name.startswith("-") else []) + [sample(s)]]  # fmt: skip
        bind(entry, given)
        for slot in entry.options.values():
            words = [slot.name] if slot.kind is None else [slot.name, sample(slot)]
            if not slot.required:
                assert bind(entry, [*words, *given]).has(slot.name)
            with pytest.raises(Complaint, match=f"no option '{slot.name}x'"):
                bind(entry, [slot.name + "x", *words[1:], *given])
            count += 1
        if not any(s.several for s in entry.arguments):
            with pytest.raises(Complaint, match="is one word too many"):
                bind(entry, [*given, *["word"] * 9])
    assert count > {"vivado": 500, "hls": 30, "programs": 90}[name]


def sample(slot: Slot) -> str:
    """A word that an option or an argument could be."""
    kind = slot.kind or ""
    return kind.split("|")[0] if "|" in kind else "1"


HLS = """\
open_project -reset net
set_top net
add_files net.cpp -cflags "-I. -std=c++14"
add_files -tb net.cpp
open_solution -flow_target vitis sol
set_part xcu50-fsvh2104-2-e
create_clock -period 5ns
set_clock_uncertainty 10%
config_interface -m_axi_addr64=true
config_compile -name_max_length 80
config_export -format xo
csim_design
csynth_design
cosim_design -tool xsim
export_design -format xo -output net.xo
close_project
"""


def test_every_command_of_vitis_hls(tmp_path: Path) -> None:
    (tmp_path / "net.cpp").write_text("void net(int x) {}\n")
    (tmp_path / "it.tcl").write_text(HLS)
    done = run("it.tcl", tmp_path, tool="vitis_hls")
    assert (done.findings, done.status) == ((), 0)
    assert {call[0] for call in done.calls} == set(table.commands("hls"))


@pytest.mark.parametrize("name", ip.catalog())
def test_every_parameter_takes_what_it_begins_with_and_not_anything(name: str, tmp_path: Path) -> None:
    core = ip.catalog()[name]
    assert core.pins(core.beginning()) and len({p.name for p in core.pins(core.beginning())}) > 0
    for parameter, (begins, kind) in core.parameters.items():
        if kind == "text":
            continue
        slot = Slot(parameter, kind, True)
        if begins != "?":
            check_value(slot, begins, tmp_path, lambda kinds, text: ())
        limits = re.search(r"(\S+)\.\.(\S+)", kind)
        for wrong in ["nonsense", *([str(float(limits[2]) + 1).removesuffix(".0")] if limits else [])]:
            with pytest.raises(Complaint, match=re.escape(repr(wrong))):
                check_value(slot, wrong, tmp_path, lambda kinds, text: ())


GOOD = {"nk": "k:1:k_1", "sp": "k_1.m_axi_a:HBM[0:3]", "slr": "k_1:SLR0", "stream": "a_1.x:b_1.y:16",
        "prop": "run.impl_1.strategy=Performance_Explore", "param": "compiler.x=1", "hz": "200000000:k_1.ap_clk",
        "bool": "1", "int": "4", "part": "xcu50-fsvh2104-2-e", "file": "there", "text": "x"}  # fmt: skip


@pytest.mark.parametrize("section", table.read("configs"))
def test_every_key_of_a_config_file(section: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    kernel = vitis_model.KernelObject("k", ("s_axi_control", "m_axi_a"))
    for key, rule in table.read("configs")[section]["keys"].items():
        head = "" if section == "general" else f"[{section}]\n"
        for value, good in ((GOOD.get(rule, rule.split("|")[0]), True), ("{", rule == "text")):
            (tmp_path / "it.cfg").write_text(f"# a comment\n{head}{key}={value}\n")
            link = vitis_model.Link(tmp_path, {"k": kernel}, vitis_model.platform("xilinx_u280_xdma_201920_3"))
            found = vitis_model.check_config(tmp_path / "it.cfg", link, "it.cfg")
            assert ([f.line for f in found] == []) == good, (key, value, found)
            assert all(f.line == 2 + bool(head) and f.guide for f in found)


def test_a_key_that_stands_once_stands_twice(tmp_path: Path) -> None:
    (tmp_path / "it.cfg").write_text("save-temps=1\nsave-temps=0\nnonsense\n")
    found = vitis_model.check_config(tmp_path / "it.cfg", vitis_model.Link(tmp_path), "it.cfg")
    assert [str(f).split(" (")[0] for f in found] == [
        "it.cfg:2: save-temps stands twice: only the first counts", "it.cfg:3: 'nonsense' is no key=value"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b c",
        "{a b} c",
        "{a {b c}} d",
        '"a b" c',
        r"a\ b c",
        "{} {}",
        r"\{ x",
        "CONFIG.A {1 2} CONFIG.B 3",
        r"a\tb",
    ],
)
def test_lists_are_tcls(text: str) -> None:
    ours = words_model.split(text)
    given, back = words_model.join([text]), words_model.join(ours)
    script = f"set l {given}\nforeach e $l {{ puts <$e> }}\nputs [list {back}]\n"
    done = subprocess.run(["tclsh"], input=script, capture_output=True, text=True, check=True)
    *elements, again = done.stdout.split("\n")[:-1]
    assert elements == [f"<{e}>" for e in ours] and words_model.split(again) == ours
