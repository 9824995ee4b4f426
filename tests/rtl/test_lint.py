# SPDX-License-Identifier: Apache-2.0
"""Every SystemVerilog file passes Verilator's lint without waivers and Yosys' front end, and refuses bad parameters."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gatewright.ir.heap import heap
from gatewright.ir.op import Op, discover, package_root
from gatewright.sim.tools import find_verilator

RTL = package_root() / "rtl"
SOURCES = sorted([*RTL.glob("*.sv"), *RTL.glob("lib/*.sv"), *RTL.glob("kernel/*.sv"), *RTL.glob("uart/*.sv")])
Parameters = Mapping[str, int | str]

LIBRARY: Mapping[str, list[Parameters]] = {
    "adder_tree": [
        {"N": n, "IN_BITS": 5, "OUT_BITS": bits} for n in (1, 2, 3, 4, 5, 16, 17, 70) for bits in (5, 6, 13)
    ],
    "bit_heap": [
        {"N": n, "A_BITS": a, "B_BITS": b, "WIDTH": 3, "OUT_BITS": out, "CYCLES": heap(n, a, b, out).cycles}
        for n, a, b, out in ((1, 1, 1, 1), (2, 1, 1, 2), (5, 2, 3, 4), (18, 1, 1, 9), (7, 4, 4, 12))
    ],
    "counter": [{"COUNT": n} for n in (1, 2, 3, 8, 9)],
    "fifo": [{"WIDTH": w, "DEPTH": d, "BLOCK": b} for w in (1, 7) for d in (2, 3, 8, 300) for b in (0, 1)],
    "frame_check": [{"BEATS": n} for n in (1, 2, 5)],
    "loop_nest": [{}, {"N0": 3, "N1": 1, "N2": 2, "N3": 5, "N4": 4}],
    "loop_value": [{"BITS": 9, "MODULUS": m, "START": -5, "N1": 3, "S0": 1, "S1": -7, "S5": 40} for m in (0, 1, 31)],
    "multiplier": [{"A_BITS": 4, "B_BITS": 3, "P_BITS": p, "DSP": d} for p in (2, 7, 9) for d in (0, 1)],
    "pipeline": [{"DEPTH": d, "BEATS": b} for d in (1, 2, 9) for b in (1, 6)],
    "ping_pong": [{"WIDTH": w, "BLOCK": b} for w in (1, 7) for b in (1, 2, 5, 300)],
    "rom": [{"WIDTH": 5, "DEPTH": d, "BLOCK": b, "FILE": "rom.mem"} for d in (1, 2, 3) for b in (0, 1)],
    "running_sum": [{"BITS": 6, "LANES": n, "DEPTH": d} for n in (1, 3) for d in (1, 2, 40)],
    "sdp_ram": [{"WIDTH": w, "DEPTH": d} for w in (1, 9) for d in (1, 2, 5, 600)],
    "stream_fork": [{"WIDTH": 3, "BRANCHES": n} for n in (1, 2, 3)],
    "width_adapter": [
        {"BITS": 3, "IN_LANES": i, "OUT_LANES": o, "IN_BEATS": 24 // i, "OUT_BEATS": 24 // o}
        for i, o in ((1, 1), (6, 6), (1, 4), (2, 6), (12, 3), (8, 1))
    ],
}
"""Parameters of the modules that belong to no operator; an operator's kernel is tried with all its examples."""

BUSES = (32, 64, 128, 256, 512)
BURSTS = {bits: min(256, 4096 * 8 // bits) for bits in BUSES}
KERNEL: Mapping[str, list[Parameters]] = {
    "axi_read_master": [
        {"BUS_BITS": b, "WORDS": w, "PASSES": p, "BURST": BURSTS[b], "DEPTH": 2 * BURSTS[b]}
        for b in BUSES
        for w in (1, 3, 1000)
        for p in (0, 1, 9)
    ],
    "axi_write_master": [{"BUS_BITS": b, "BURST": BURSTS[b], "DEPTH": 2 * BURSTS[b]} for b in BUSES],
    "burst_generator": [
        {"BUS_BYTES": b // 8, "BURST": n, "LEAST": least, "WORD_BITS": 10}
        for b in BUSES
        for n in (1, 16, BURSTS[b])
        for least in (1, n)
    ],
    "edge_monitor": [{"DEPTH": d, "STALLS": s} for d in (2, 300) for s in (0, 1)],
    "fault_log": [{"PORTS": p, "READERS": r, "WEIGHTS": w} for p, r, w in ((2, 1, 0), (3, 1, 0), (5, 3, 0), (5, 2, 2))],
    "frame_words": [
        {"WORDS": w, "LIMIT": n, "WORD_BITS": (n + max(w, 64)).bit_length()}
        for w in (1, 2, 33, 64, 9408)
        for n in (1, 256)
    ],
    "kernel_control": [
        {"PORTS": p, "WEIGHTS": w, "EDGES": e, "STATUS": s, "ADDRESS_BITS": a}
        for p, w, e, s, a in ((2, 0, 1, 256, 12), (25, 0, 300, 512, 13), (4, 1, 1, 256, 12), (9, 7, 3, 256, 12))
    ],
    "kernel_run": [
        {"PORTS": p, "INPUTS": i, "WEIGHTS": w, "EDGES": 9, "BUS_BITS": b}
        for p, i, w in ((2, 1, 0), (5, 2, 0), (5, 2, 2), (3, 1, 1))
        for b in BUSES
    ],
    "pack_words": [
        {"BUS_BITS": b, "WIDTH": w, "BEATS": n}
        for b in (32, 512)
        for w in (1, 5, 8, 24, 32, 48, 512, 784)
        for n in (1, 7)
    ],
    "skid_buffer": [{"WIDTH": w} for w in (1, 65)],
    "unpack_words": [
        {"BUS_BITS": b, "WIDTH": w, "BEATS": n}
        for b in (32, 512)
        for w in (1, 5, 8, 24, 32, 48, 512, 784)
        for n in (1, 7)
    ],
}
"""The same for the modules of the AXI kernel."""

UART: Mapping[str, list[Parameters]] = {
    "axi_read_bank": [{"BITS": b, "BASE": base} for b in (12, 13, 16) for base in (0, 1 << 20)],
    "axi_write_bank": [{"BITS": b, "BASE": base} for b in (12, 13, 16) for base in (0, 1 << 20)],
    "board_lights": [{"MOVES": m, "FAILURES": f, "BITS": b} for m, f, b in ((1, 1, 4), (3, 2, 25))],
    "board_reset": [{"BITS": b} for b in (2, 16)],
    "crc16": [{}],
    "ram_true_dual": [{"ADDRESS_BITS": b} for b in (1, 11, 14)],
    "uart_bridge": [
        {"CLOCK_HZ": hz, "BAUD": baud, "BANKS": n, "BANK_BITS": b, "BASE": base, "CONTROL_BITS": c}
        for hz, baud in ((60_000_000, 1_000_000), (25_000_000, 3_125_000))
        for n, b, base, c in ((1, 12, 0, 12), (2, 13, 0, 12), (3, 13, 1 << 20, 13), (9, 16, 0, 16))
    ],
    "uart_request": [{"CLOCKS": c, "TIMEOUT": t} for c in (8, 60) for t in (32, 65536)],
    "uart_response": [{}],
    "uart_rx": [{"CLOCKS": c} for c in (8, 9, 16, 60, 521)],
    "uart_tx": [{"CLOCKS": c} for c in (2, 3, 8, 60, 521)],
}
"""The same for what is around the kernel on a board without a processor."""

REFUSED: list[tuple[str, Parameters, str]] = [
    ("lib/adder_tree", {"IN_BITS": 9, "OUT_BITS": 8}, "OUT_BITS=8 at least IN_BITS"),
    ("lib/bit_heap", {"N": 0}, "N=0, A_BITS=1"),
    ("lib/bit_heap", {"N": 32, "CYCLES": 1}, "CYCLES=1 does not fit 4 levels"),
    ("lib/counter", {"COUNT": 0}, "COUNT=0 must be at least 1"),
    ("lib/fifo", {"DEPTH": 1}, "DEPTH=1 must be at least 2"),
    ("lib/frame_check", {"BEATS": 0}, "BEATS=0 must be at least 1"),
    ("lib/loop_value", {"MODULUS": 100}, "BITS=8 are too few for MODULUS=100"),
    ("lib/pipeline", {"DEPTH": 0}, "DEPTH=0 must be at least 1"),
    ("lib/width_adapter", {"IN_LANES": 6, "OUT_LANES": 4}, "IN_LANES=6 and OUT_LANES=4 must divide the other"),
    ("lib/width_adapter", {"IN_LANES": 2}, "a frame of 1 beats of 2 lanes does not fill 1 beats of 1 lanes"),
    ("add", {"PE": 2}, "PE=2 must equal IN0_LANES=1"),
    ("add", {"IN1_BEATS": 3}, "IN1_BEATS=3 must equal OUT_BEATS=1"),
    ("add", {"IN0_SIGNED": 1, "IN1_SIGNED": 1}, "needs OUT_SIGNED=1, not 0"),
    ("lib/ping_pong", {"BLOCK": 0}, "BLOCK=0 must be at least 1"),
    ("concat", {"PE": 2}, "PE=2 must equal IN0_LANES=1"),
    ("concat", {"TURN0": 2}, "do not fill OUT_BEATS=2 in turns of 2 and 1"),
    ("concat", {"IN1_BITS": 5}, "OUT_BITS=4 with OUT_SIGNED=0 cannot hold both IN0_BITS=4 and IN1_BITS=5"),
    ("concat", {"IN0_SIGNED": 1}, "OUT_SIGNED=0 cannot hold both"),
    ("lut", {"PE": 2}, "PE=2 must equal IN_LANES=1"),
    ("lut", {"CHANNELS": 3}, "must equal OUT_BEATS=1 and be a multiple of CHANNELS/PE=3"),
    ("lut", {"TABLE_BITS": 3}, "TABLE_BITS=3 must equal OUT_BITS=4"),
    ("lut", {"IN_BITS": 17}, "IN_BITS=17 (IN_SIGNED=0) must be at most 16"),
    ("reshape", {"PE": 2}, "PE=2 must equal IN_LANES=1"),
    ("reshape", {"OUT_BITS": 5}, "must equal OUT_BITS=5"),
    ("reshape", {"N1": 2}, "the loops 1*2*1*1*1 do not make BLOCK=1"),
    ("reshape", {"BLOCK": 2, "N0": 2}, "BLOCK=2 must be at least 1 and divide IN_BEATS=1"),
    ("reshape", {"TABLE": 1, "ORDER_BITS": 2}, "ORDER_BITS=2 must be 1 for BLOCK=1"),
    ("slice", {"PE": 2}, "PE=2 must equal IN_LANES=1"),
    ("slice", {"OUT_LANES": 2}, "hold OUT_LANES=2 from LANE_FIRST=0 by LANE_STEP=1"),
    ("slice", {"N1": 2}, "the loops 1*2*1*1*1 do not make OUT_BEATS=1"),
    ("slice", {"FIRST": 2}, "beats FIRST=2 to 2 do not lie in IN_BEATS=2"),
    ("slice", {"OUT_BITS": 5}, "must equal OUT_BITS=5"),
    ("upsample", {"PE": 2}, "PE=2 must equal IN_LANES=1"),
    ("upsample", {"FACTOR_H": 3}, "OUT_BEATS=4 must be FACTOR_H=3 * FACTOR_W=2 times IN_BEATS=1"),
    ("upsample", {"OUT_SIGNED": 1}, "must equal OUT_BITS=4, OUT_SIGNED=1"),
    ("dense", {"SIMD": 2}, "SIMD=2 must equal IN_LANES=1 and divide COLS=1"),
    ("dense", {"PE": 3}, "PE=3 must equal OUT_LANES=1 and divide ROWS=1"),
    ("dense", {"COLS": 2}, "IN_BEATS=1 of 2 a vector do not match"),
    ("dense", {"ACC_BITS": 7}, "ACC_BITS=7 must be at least OUT_BITS=8"),
    ("dense", {"START_BITS": 7}, "START_BITS=7 must equal ACC_BITS=8"),
    ("dense", {"IN_BIPOLAR": 1}, "IN_BIPOLAR=1 means IN_BITS=1"),
    ("dense", {"WEIGHT_BIPOLAR": 1}, "WEIGHT_BIPOLAR=1 means PLANES=1, not 4"),
    ("dense", {"WEIGHT_BITS": 4}, "WEIGHT_BITS=4 must be PLANES=4 with multipliers, else 1"),
    ("lib/running_sum", {"DEPTH": 0}, "DEPTH=0 must be at least 1"),
    ("argmax", {"PE": 2}, "PE=2 must equal IN_LANES=1 and divide CHANNELS=2"),
    ("argmax", {"IN_BEATS": 3}, "IN_BEATS=3 must be CHANNELS/PE=2 times OUT_BEATS=1"),
    ("argmax", {"CHANNELS": 4, "IN_BEATS": 4}, "OUT_BITS=1 (OUT_SIGNED=0) cannot hold CHANNELS-1=3"),
    ("avgpool", {"PE": 2}, "PE=2 must equal IN_LANES=1"),
    ("avgpool", {"WINDOW": 4}, "IN_BEATS=1 must be WINDOW=4 times OUT_BEATS=1"),
    ("avgpool", {"IN_SIGNED": 1}, "need OUT_SIGNED=1, not 0"),
    ("avgpool", {"IN_BIPOLAR": 1, "OUT_SIGNED": 1}, "IN_BIPOLAR=1 needs IN_BITS=1"),
    ("depthwise", {"PE": 2}, "PE=2 must equal IN_LANES=1"),
    ("depthwise", {"MULTIPLIER": 2}, "be OUT_LANES=1 / MULTIPLIER=2"),
    ("depthwise", {"TAPS": 4}, "IN_BEATS=1 must be TAPS=4 times OUT_BEATS=1"),
    ("depthwise", {"ACC_BITS": 7}, "ACC_BITS=7 must be at least OUT_BITS=8"),
    ("depthwise", {"IN_BIPOLAR": 1}, "IN_BIPOLAR=1 needs IN_BITS=1"),
    ("grouped", {"SIMD": 2}, "SIMD=2 must equal IN_LANES=1 and divide GROUP_IN=1"),
    ("grouped", {"PE": 3}, "PE=3 must equal OUT_LANES=1 and divide GROUP_OUT=1"),
    ("grouped", {"TAPS": 2}, "IN_BEATS=1 of 2 a vector do not match"),
    ("grouped", {"ACC_BITS": 7}, "ACC_BITS=7 must be at least OUT_BITS=8"),
    ("grouped", {"IN_BIPOLAR": 1}, "IN_BIPOLAR=1 needs IN_BITS=1"),
    ("global_avgpool", {"IN_BIPOLAR": 1, "OUT_SIGNED": 1}, "IN_BIPOLAR=1 needs IN_BITS=1"),
    ("global_avgpool", {"PIXELS": 4}, "IN_BEATS=1 must be PIXELS=4 times"),
    ("global_avgpool", {"IN_SIGNED": 1}, "need OUT_SIGNED=1, not 0"),
    ("maxpool", {"WINDOW": 4}, "IN_BEATS=1 must be WINDOW=4 times OUT_BEATS=1"),
    ("maxpool", {"OUT_BITS": 5}, "must equal OUT_BITS=5"),
    ("requant", {"CHANNELS": 3}, "must equal OUT_BEATS=1 and be a multiple of CHANNELS/PE=3"),
    ("requant", {"SHIFT": -1}, "SHIFT=-1 must be at least 0"),
    ("requant", {"HI": 16}, "OUT_BITS=4 cannot hold LO=0 to HI=16"),
    ("requant", {"LO": -1}, "LO=-1 must not exceed HI=15, and needs OUT_SIGNED=1"),
    ("threshold", {"LEVEL_BITS": 7}, "LEVEL_BITS=7 must hold an input"),
    ("threshold", {"HI": 4}, "at most 2**LEVELS=4 codes"),
    ("threshold", {"OUT_BITS": 1}, "LO=0 to HI=3 do not fit OUT_BITS=1"),
    ("threshold", {"OUT_SIGNED": 1}, "LO=0 to HI=3 do not fit OUT_BITS=2 with OUT_SIGNED=1"),
    ("kernel/axi_read_master", {"DEPTH": 511}, "DEPTH=511 must be at least twice BURST=256"),
    ("kernel/axi_write_master", {"DEPTH": 255}, "DEPTH=255 must be at least BURST=256"),
    ("kernel/burst_generator", {"BUS_BYTES": 24}, "BUS_BYTES=24 must be a power of two from 4 to 128"),
    ("kernel/burst_generator", {"BUS_BYTES": 64}, "BURST=256 words of 64 bytes: 1 to 256, at most 4096 bytes"),
    ("kernel/burst_generator", {"LEAST": 257}, "LEAST=257 must be 1 to BURST=256"),
    ("kernel/burst_generator", {"WORD_BITS": 8}, "WORD_BITS=8 cannot hold BURST=256"),
    ("kernel/edge_monitor", {"DEPTH": 1 << 24}, "DEPTH=16777216 must be 1 to 16777215"),
    ("kernel/fault_log", {"READERS": 2}, "READERS=2 must be at least 1 and less than PORTS=2"),
    ("kernel/frame_words", {"WORDS": 0}, "WORDS=0 and LIMIT=256 must be at least 1"),
    ("kernel/frame_words", {"WORDS": 300}, "WORD_BITS=9 cannot hold 555 words"),
    ("kernel/kernel_control", {"PORTS": 20}, "STATUS=256 must be a power of two behind the arguments of PORTS=20"),
    ("kernel/kernel_control", {"EDGES": 233}, "ADDRESS_BITS=12 cannot reach EDGES=233 behind STATUS=256"),
    ("kernel/pack_words", {"BUS_BITS": 24}, "BUS_BITS=24 a power of two from 8 on"),
    ("kernel/skid_buffer", {"WIDTH": 0}, "WIDTH=0 must be at least 1"),
    ("kernel/unpack_words", {"BEATS": 0}, "BEATS=0 must be at least 1"),
    ("uart/axi_read_bank", {"BASE": 4096}, "BASE=4096 must be a multiple of 2^BITS, with BITS=13 from 12 to 30"),
    ("uart/axi_write_bank", {"BITS": 11}, "with BITS=11 from 12 to 30"),
    ("uart/board_lights", {"BITS": 3}, "MOVES=3 and FAILURES=2 must be at least 1, BITS=3 4"),
    ("uart/board_reset", {"BITS": 1}, "BITS=1 must be at least 2"),
    ("uart/ram_true_dual", {"ADDRESS_BITS": 0}, "ADDRESS_BITS=0 must be at least 1"),
    (
        "uart/uart_bridge",
        {"BAUD": 11_000_000},
        "CLOCK_HZ=60000000 gives no BAUD=11000000 within 2 % and with at least 8",
    ),
    ("uart/uart_bridge", {"BASE": 8192}, "BASE=8192 must be a multiple of 2^14, for BANKS=2 of 2^13 bytes"),
    ("uart/uart_bridge", {"CONTROL_BITS": 31}, "CONTROL_BITS=31 must be 3 to 30"),
    ("uart/uart_request", {"CLOCKS": 1}, "CLOCKS=1 must be at least 2 a bit"),
    ("uart/uart_request", {"TIMEOUT": 100}, "TIMEOUT=100 bit times must be a power of two from 32 on"),
    ("uart/uart_rx", {"CLOCKS": 7}, "CLOCKS=7 must be at least 8 a bit"),
    ("uart/uart_tx", {"CLOCKS": 1}, "CLOCKS=1 must be at least 2 a bit"),
    ("window", {"OUT_HEIGHT": 2}, "OUT_HEIGHT=2 does not follow"),
    ("window", {"OUT_WIDTH": 2}, "OUT_WIDTH=2 does not follow"),
    ("window", {"BUFFER_ROWS": 2}, "BUFFER_ROWS=2 must hold the kernel's span of 3 rows"),
    ("window", {"IN_BEATS": 8}, "IN_BEATS=8 and OUT_BEATS=9 do not match"),
    ("window", {"OUT_BITS": 3}, "OUT_BITS=3 with OUT_SIGNED=0 cannot hold IN_BITS=4"),
]


def _of_operator(op: Op, folder: Path, prefix: str) -> Parameters:
    """An example's parameters, as an emitter writes them, its memory files in `folder`."""
    values: dict[str, int | str] = {k.upper(): v for k, v in op.parameters().items()}
    for name, memory in op.memories().items():
        family = isinstance(memory, tuple)
        for i, part in enumerate(memory if isinstance(memory, tuple) else (memory,)):
            file = folder / (f"{prefix}{name}{i}.mem" if family else f"{prefix}{name}.mem")
            file.write_text("\n".join(part.hex_lines()) + "\n")
        values[f"{name.upper()}_FILE"] = f"{prefix}{name}" if family else f"{prefix}{name}.mem"
    return values


def _parameter_sets(source: Path, folder: Path) -> list[Parameters]:
    if source.parent.name == "lib":
        (folder / "rom.mem").write_text("1f\n")
        return LIBRARY[source.stem]
    if source.parent.name == "kernel":
        return KERNEL[source.stem]
    if source.parent.name == "uart":
        return UART[source.stem]
    cls = discover()[source.stem]
    sets = [_of_operator(op, folder, f"example{i}_") for i, op in enumerate(cls.examples())]
    return sets + [{**values, f"STREAM_{name.upper()}": 1} for name in cls.streamable for values in sets]


def _lint(source: Path, parameters: Parameters, *options: str) -> str:
    """Verilator's complaints; empty when there are none."""
    verilator = find_verilator()
    values = [f'-G{k}="{v}"' if isinstance(v, str) else f"-G{k}={v}" for k, v in parameters.items()]
    command = [str(verilator.path), "--lint-only", "-Wall", "--top-module", source.stem, *options, *values]
    done = subprocess.run(
        [*command, "-y", str(RTL / "lib"), "-y", str(RTL / "kernel"), "-y", str(RTL / "uart"), str(source)],
        env=verilator.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_verilator_finds_nothing(source: Path, tmp_path: Path) -> None:
    sets = _parameter_sets(source, tmp_path)
    assert sets
    for parameters in sets:
        assert _lint(source, parameters) == "", parameters
    assert _lint(source, sets[0], "-DSYNTHESIS") == ""


YOSYS = """
import sys
from pyosys import libyosys as ys
for script in sys.stdin.read().split(";;"):
    design = ys.Design()
    for command in script.strip().splitlines():
        ys.run_pass(command, design)
print("all read")
"""


def _yosys(scripts: list[str], folder: Path) -> str:
    """The log of Yosys' scripts, each on a new design; relative paths start in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", YOSYS], input=";;".join(scripts), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return done.stdout


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_yosys_reads_without_warnings(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyosys")
    files = " ".join(
        map(str, sorted({source, *RTL.glob("lib/*.sv"), *RTL.glob("kernel/*.sv"), *RTL.glob("uart/*.sv")}))
    )
    scripts = []
    for i, parameters in enumerate(_parameter_sets(source, tmp_path)):
        values = ", ".join(f'.{k}("{v}")' if isinstance(v, str) else f".{k}({v})" for k, v in parameters.items())
        (tmp_path / f"top{i}.sv").write_text(f"module top;\n  {source.stem} #({values}) i_unit ();\nendmodule\n")
        steps = "hierarchy -check -top top\nproc\ncheck -assert"
        scripts.append(f"read_verilog -sv -defer {files} top{i}.sv\n{steps}")
    log = _yosys(scripts, tmp_path)
    assert "all read" in log  # whose place differs: two libraries buffer what they print
    assert [line for line in log.splitlines() if "arning" in line] == []


@pytest.mark.parametrize(("name", "parameters", "message"), REFUSED, ids=lambda v: v if isinstance(v, str) else None)
def test_bad_parameters_are_refused(name: str, parameters: Parameters, message: str) -> None:
    source = RTL / f"{name}.sv"
    complaint = _lint(source, parameters, "-Wno-lint", "-Wno-style")
    assert "USERFATAL" in complaint
    assert f"{source.stem} %m: " in complaint or f"{source.stem} {source.stem}" in complaint
    assert message in complaint


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_casts_are_in_brackets_behind_an_operator(source: Path) -> None:
    """Yosys 0.70 reads `~BITS'(x)` as `(~BITS)'(x)`, without a word: the operator is lost. `~(BITS'(x))` it reads."""
    assert re.findall(r"[-~!&|^+]\w+'\(", source.read_text()) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_file_is_small_and_says_what_it_is(source: Path) -> None:
    lines = source.read_text().splitlines()
    assert lines[0] == "// SPDX-License-Identifier: Apache-2.0"
    assert lines[1].startswith("// ")
    assert "`default_nettype none" in lines
    assert lines[-1] == "`default_nettype wire"
    assert len(lines) < 300
    assert max(map(len, lines)) <= 120
