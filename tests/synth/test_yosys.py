# SPDX-License-Identifier: Apache-2.0
"""Yosys on designs that are counted by hand; the cache; what is said when a synthesis fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gatewright.errors import MissingToolError, ToolError
from gatewright.ir.op import package_root
from gatewright.sim import tools
from gatewright.synth.plan import Part
from gatewright.synth.yosys import SHARED_WORDS, _load, key, netlist_file, netlist_module, script, synthesise

SOURCE = Path(__file__).with_name("tiny.sv")
ROM = "\n".join(f"{b:02x}" for b in Random(0).randbytes(32)) + "\n"


def tiny(kind: int, dsp: int = 1, name: str = "tiny") -> Part:
    """An instance of tests/synth/tiny.sv."""
    parameters = {"KIND": kind, "DSP": dsp, "FILE": "table.mem"}
    return Part(name, "tiny", parameters, {"table.mem": ROM}, (SOURCE,))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("GATEWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "synth"


def test_counts_known_by_hand(cache: Path) -> None:
    found = synthesise([tiny(0, name="xor"), tiny(2, name="ram")], "xc7")
    # A LUT a bit of two-input gates; 32 words of 6 bits are one RAM32M of 4 LUTs.
    assert found["xor"].resources == {"LUT": 64, "FF": 0, "BRAM36": 0, "DSP": 0, "URAM": 0}
    assert found["xor"].levels == 1
    assert found["ram"].cells == {"RAM32M": 1} and found["ram"].resources["LUT"] == 4
    assert len(list(cache.glob("*.json"))) == 2


@pytest.mark.slow
def test_sums_products_and_roms_known_by_hand(cache: Path) -> None:
    parts = [tiny(1, name="sum"), tiny(3, name="product"), tiny(3, dsp=0, name="soft product"), tiny(4, name="rom")]
    found = synthesise(parts, "xc7")
    # An adder takes a LUT a bit in front of its carry chain, and gives a bit more.
    assert (found["sum"].resources["LUT"], found["sum"].resources["FF"], found["sum"].levels) == (16, 17, 2)
    assert (found["product"].resources["DSP"], found["product"].resources["LUT"]) == (1, 0)
    assert found["soft product"].resources["DSP"] == 0 and found["soft product"].resources["LUT"] > 200
    # 32 words have 5 address bits: a LUT a bit.
    assert (found["rom"].resources["LUT"], found["rom"].resources["FF"], found["rom"].levels) == (8, 8, 1)


@pytest.mark.slow
def test_ultrascale_has_other_cells(cache: Path) -> None:
    found = synthesise([tiny(1, name="sum"), tiny(2, name="ram")], "xcup")
    assert found["sum"].resources["LUT"] == 16
    assert found["ram"].cells == {"RAM32M16": 1} and found["ram"].resources["LUT"] == 8


def test_the_key_changes_with_everything_that_matters_and_not_with_the_name(tmp_path: Path) -> None:
    part = tiny(4)
    edited = tmp_path / "tiny.sv"
    edited.write_text(SOURCE.read_text().replace("KIND chooses one", "KIND chooses"))
    others = [
        replace(part, parameters={**part.parameters, "DSP": 0}),
        replace(part, memories={"table.mem": f"7f\n{ROM[3:]}"}),
        replace(part, sources=(edited,)),
    ]
    keys = {key(p, "xc7") for p in (part, *others)} | {key(part, "xcup")}
    assert len(keys) == 5
    assert key(replace(part, name="other"), "xc7") == key(part, "xc7")


def test_a_kept_netlist_is_read_and_a_damaged_one_made_anew(cache: Path) -> None:
    part = tiny(0)
    made = synthesise([part], "xc7")["tiny"]
    (entry,) = cache.glob("*.json")
    entry.write_text(json.dumps({"cells": {"LUT6": 5}, "levels": 9}))
    assert synthesise([part], "xc7")["tiny"].levels == 9  # read, not made
    for damage in ("[]", '{"cells": 3, "levels": 1}', '{"cells": {"LUT2": "x"}, "levels": 1}', ""):
        entry.write_text(damage)
        assert _load(entry, "xc7") is None
    assert synthesise([part], "xc7")["tiny"] == made == _load(entry, "xc7")
    assert {p.name for p in cache.iterdir()} == {entry.name, entry.with_suffix(".v").name}


def test_a_netlist_is_kept_as_verilog_beside_its_counts(cache: Path) -> None:
    part = tiny(0)
    synthesise([part], "xc7")
    path = netlist_file(part, "xc7")
    text = path.read_text()
    assert f"module {netlist_module(part, 'xc7')}(" in text and text.count(" LUT2 ") == 64
    path.write_text(text[:-20])  # counts alone do not need it
    synthesise([part], "xc7")
    assert path.read_text() == text[:-20]
    synthesise([part], "xc7", verilog=True)
    assert path.read_text() == text


def test_equal_parts_are_synthesised_once(cache: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    found = synthesise(
        [tiny(0, name="one"), tiny(0, name="two")],
        "xc7",
        progress=lambda *step: steps.append(step),  # type: ignore[arg-type]
    )
    assert found["one"] == found["two"]
    assert steps == [("synthesis", 0, 1), ("synthesis", 1, 1)]


def test_a_rejected_part_says_why(cache: Path) -> None:
    with pytest.raises(ToolError, match=r"tiny \(tiny\): Yosys rejects it: tiny\.sv:\d+: ERROR"):
        synthesise([tiny(9)], "xc7")
    assert not cache.exists()


def test_a_memory_file_that_is_missing_says_why(cache: Path) -> None:
    with pytest.raises(ToolError, match=r"Yosys rejects it: .*table\.mem"):
        synthesise([replace(tiny(4), memories={})], "xc7")


def test_the_time_limit_ends_a_part(cache: Path) -> None:
    with pytest.raises(ToolError, match=r"(tiny|other) \(tiny\): not synthesised within 0\.01 s: allow more time"):
        synthesise([tiny(0), tiny(1, name="other")], "xc7", seconds=0.01)
    assert not cache.exists()


def test_without_pyosys_the_remedy_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = [replace(r, find=lambda: None) if r.name == "pyosys" else r for r in tools.REQUIREMENTS]
    monkeypatch.setattr(tools, "REQUIREMENTS", tuple(gone))
    with pytest.raises(MissingToolError, match=r"pyosys is missing.*pip install 'gatewright\[synth\]'"):
        synthesise([tiny(0)], "xc7")


def test_only_parts_with_dsp_zero_are_kept_from_dsp_slices() -> None:
    assert "-nodsp" in script(tiny(3, dsp=0), "xc7")
    assert "-nodsp" not in script(tiny(3), "xc7")
    plain = replace(tiny(3), parameters={"KIND": -1})
    assert "-nodsp" not in script(plain, "xc7") and "-set KIND 32'shffffffff" in script(plain, "xc7")


def test_deep_roms_are_mapped_by_themselves() -> None:
    kernels = {path.stem: path for path in sorted((package_root() / "rtl").rglob("*.sv"))}

    def rom(words: int) -> Part:
        parameters = {"WIDTH": 8, "DEPTH": words, "BLOCK": 0, "FILE": "table.mem"}
        return Part("rom", "rom", parameters, {"table.mem": "00\n" * words}, (kernels["rom"],))

    commands = script(rom(SHARED_WORDS + 1), "xc7").splitlines()
    assert commands[-5:-1] == [
        "setattr -mod -set keep_hierarchy 1 *rom*",
        "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
        "setattr -mod -unset keep_hierarchy *",
        "flatten",
    ]
    assert "keep_hierarchy" not in script(rom(SHARED_WORDS), "xc7")
    assert "keep_hierarchy" not in script(tiny(4), "xc7")  # 32 words, in no module of their own
