# SPDX-License-Identifier: Apache-2.0
"""Parts as gates: DSP slices become logic, once more and said so; what is left is as it was counted."""

from __future__ import annotations

from pathlib import Path
from random import Random

from gatewright.ir.op import package_root
from gatewright.synth.netlist import gate_parts
from gatewright.synth.plan import Part, fifo_part

SOURCE = Path(__file__).with_name("tiny.sv")
ROM = "\n".join(f"{b:02x}" for b in Random(0).randbytes(32)) + "\n"


def tiny(kind: int, name: str) -> Part:
    """An instance of tests/synth/tiny.sv."""
    return Part(name, "tiny", {"KIND": kind, "DSP": 1, "FILE": "table.mem"}, {"table.mem": ROM}, (SOURCE,))


def test_memories_of_an_ecp5_become_logic_too() -> None:
    fifo = fifo_part("fifo", 8, 600, True, {p.stem: p for p in (package_root() / "rtl" / "lib").glob("*.sv")})
    gates, product, memory = gate_parts([tiny(0, "xor"), tiny(3, "product"), fifo], "ecp5")
    assert [(g.part.soft, g.part.unblocked) for g in (gates, product, memory)] == [
        (False, False), (True, False), (False, True),
    ]  # fmt: skip
    assert memory.to_json()["ram_as_logic"] is True and memory.to_json()["dsp_as_logic"] is False
    assert memory.netlist.resources["EBR"] == product.netlist.resources["DSP"] == 0
    assert "DP16KD" not in memory.text and memory.netlist.cells["TRELLIS_DPR16X4"] >= 600 // 16 * 3
    assert {g.netlist.family for g in (gates, product, memory)} == {"ecp5"}


def test_products_of_dsp_slices_become_logic() -> None:
    gates, product = gate_parts([tiny(0, "xor"), tiny(3, "product")], "xc7")
    assert not gates.part.soft and gates.to_json()["dsp_as_logic"] is False
    assert product.to_json()["dsp_as_logic"] is True
    assert product.netlist.resources["DSP"] == 0 and product.netlist.resources["LUT"] > 200
    assert "DSP48" not in product.text
    assert gates.module != product.module and f"module {product.module}(" in product.text
