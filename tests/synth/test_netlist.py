# SPDX-License-Identifier: Apache-2.0
"""Parts as gates: DSP slices become logic, once more and said so; what is left is as it was counted."""

from __future__ import annotations

from pathlib import Path
from random import Random

from gatewright.synth.netlist import gate_parts
from gatewright.synth.plan import Part

SOURCE = Path(__file__).with_name("tiny.sv")
ROM = "\n".join(f"{b:02x}" for b in Random(0).randbytes(32)) + "\n"


def tiny(kind: int, name: str) -> Part:
    """An instance of tests/synth/tiny.sv."""
    return Part(name, "tiny", {"KIND": kind, "DSP": 1, "FILE": "table.mem"}, {"table.mem": ROM}, (SOURCE,))


def test_products_of_dsp_slices_become_logic() -> None:
    gates, product = gate_parts([tiny(0, "xor"), tiny(3, "product")], "xc7")
    assert not gates.part.soft and gates.to_json()["dsp_as_logic"] is False
    assert product.to_json()["dsp_as_logic"] is True
    assert product.netlist.resources["DSP"] == 0 and product.netlist.resources["LUT"] > 200
    assert "DSP48" not in product.text
    assert gates.module != product.module and f"module {product.module}(" in product.text
