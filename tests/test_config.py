# SPDX-License-Identifier: Apache-2.0
"""Settings refuse what makes no sense, when they are made."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from gatewright.config import CompileConfig
from gatewright.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0.0}, "fps=0.0 must be a number above 0"),
        ({"fps": math.inf}, "fps=inf must be a number above 0"),
        ({"mhz": math.nan}, "mhz=nan must be a number above 0"),
        ({"mhz": 1e5}, "mhz=100000.0: no FPGA fabric runs at more than 1000 MHz"),
        ({"fps": "100"}, "fps='100' must be a number above 0"),
        ({"budget": 0.0}, "budget=0.0 is a fraction of the board"),
        ({"budget": 70.0}, "budget=70.0 is a fraction of the board"),
        ({"fps": 100.0, "budget": 0.5}, "fps and budget each decide the folding: give one of them"),
        ({"folding": Path("f.json"), "fps": 100.0}, "folding and fps each decide the folding"),
        ({"folding": Path("f.json"), "objective": "latency"}, "folding and objective each decide the folding"),
        ({"latency_us": -1.0}, "latency_us=-1.0 must be a number above 0"),
        ({"latency_us": 2.0, "budget": 0.5}, "latency_us and budget each decide the folding: give one of them"),
        ({"targets": ("rtl", "verilog")}, r"targets \['verilog'\]: choose from rtl, kernel, hls, systemc"),
        ({"targets": "vhdl"}, r"targets \['vhdl'\]: choose from rtl, kernel, hls, systemc"),
        ({"targets": ()}, r"targets \[\]: choose from rtl, kernel, hls, systemc"),
        (
            {"targets": ("rtl", "hls"), "stream_weights": ("fc1",)},
            r"stream_weights=\['fc1'\]: .* not among the targets rtl, hls: add kernel",
        ),
        ({"objective": "speed"}, "objective='speed': use throughput or latency"),
        ({"objective": "latency", "latency_us": 2.0}, "latency_us=2.0 asks for the smallest design within a latency"),
    ],
)
def test_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CompileConfig("pynq-z2", tmp_path, **options)


def test_output_must_not_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.touch()
    with pytest.raises(ConfigError, match=r"model\.onnx' is a file: name a folder"):
        CompileConfig("pynq-z2", file)


def test_targets_are_named_once_and_in_order(tmp_path: Path) -> None:
    assert CompileConfig("pynq-z2", tmp_path, targets=["hls", "rtl", "hls"]).targets == ("rtl", "hls")
    assert CompileConfig("pynq-z2", tmp_path, targets="hls").targets == ("hls",)


def test_a_kernel_needs_the_rtl_inside(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^target kernel is .* around the RTL: give rtl,kernel$"):
        CompileConfig("pynq-z2", tmp_path, targets=["kernel", "hls"])


@pytest.mark.parametrize("bits", [0, 8, 48, 1024])
def test_ports_to_memory_have_a_width_that_there_is(bits: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^bus_bits={bits}: use 32, 64, 128, 256 or 512$"):
        CompileConfig("pynq-z2", tmp_path, bus_bits=bits)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fps": 100.0},
        {"budget": 1.0},
        {"fps": 100.0, "latency_us": 2.0},
        {"objective": "latency", "fps": 100.0, "budget": 0.5},
        {"folding": Path("f.json"), "mhz": 125.0},
    ],
)
def test_accepted(tmp_path: Path, options: dict[str, Any]) -> None:
    config = CompileConfig("pynq-z2", tmp_path / "new", **options)
    assert {name: getattr(config, name) for name in options} == options
