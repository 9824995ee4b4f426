# SPDX-License-Identifier: Apache-2.0
"""kernel.json: a round trip, the register offsets of the interface, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gatewright.errors import ConfigError
from gatewright.runtime import kernel_map
from gatewright.runtime.kernel_map import Argument, KernelEdge, KernelMap

KERNEL = KernelMap(
    kernel="net_kernel",
    name="net",
    bus_bits=64,
    hash="00112233445566778899aabbccddeeff",
    control_bytes=4096,
    inputs=(Argument("x", "gmem0", 0x10, 16, 4, True, False, 20),),
    outputs=(Argument("y", "gmem1", 0x1C, 8, 9, False, False, 3, ("y", "z")),),
    frames_register=0x28,
    status=0x100,
    edges=(KernelEdge("f0", "x", "x", "u0_dense", 2, 16), KernelEdge("f1", "y", "u0_dense", "y", 4, 27)),
    sources=("kernel/lib/a.sv", "kernel/net_kernel.v"),
)


def test_round_trip(tmp_path: Path) -> None:
    (tmp_path / "kernel.json").write_text(json.dumps(KERNEL.to_json()))
    assert KernelMap.load(tmp_path / "kernel.json") == KERNEL
    assert KERNEL.to_json()["outputs"][0]["outputs"] == ["y", "z"]


def test_registers_of_the_edges_follow_each_other() -> None:
    assert [KERNEL.edge_register(e) for e in range(2)] == [0x180, 0x190]
    assert bytes.fromhex(f"{kernel_map.MAGIC_WORD:08x}")[::-1] == b"GWK1"
    assert [a.port for a in KERNEL.arguments] == ["gmem0", "gmem1"]
    assert str(KERNEL.inputs[0].stream) == "1x20 sint4"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "kernel.json: format 2 is not 1: compile the model again"),
        ({"hash": None, "colour": 1}, r"kernel.json: has \['colour'\], which nothing here knows"),
        ({"inputs": [{"name": "x"}]}, r"inputs: lacks \['bipolar', 'bits', 'elements', 'frame_bytes', 'port', "),
    ],
)
def test_refuses_what_it_does_not_know(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        KernelMap.from_json({**KERNEL.to_json(), **change})


def test_refuses_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "kernel.json"
    with pytest.raises(ConfigError, match="kernel.json: not a readable kernel.json .*No such file"):
        KernelMap.load(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="not a readable kernel.json .*; compile the model again"):
        KernelMap.load(path)
