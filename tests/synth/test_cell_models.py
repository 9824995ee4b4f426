# SPDX-License-Identifier: Apache-2.0
"""Models of cells against Python written from the vendor's guides (UG473, UG474, UG573, UG574), in both simulators."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from gatewright.boards import Family
from gatewright.errors import ToolError
from gatewright.ir.types import Stream
from gatewright.sim.model import Group, Port
from gatewright.sim.netlist import SIMULATORS
from gatewright.synth.cell_models import cell_models, own_cells
from gatewright.synth.cells import FREE, WEIGHTS

BEATS = 1500
Bits = list[int]


@pytest.mark.parametrize(
    ("family", "unmodelled"),
    [
        # DSP slices become LUTs before they are simulated, and synthesis is not asked for URAM.
        ("xcup", {"DSP48E2", "URAM288"}),
        # The same with block RAM.
        ("ecp5", {"DP16KD", "PDPW16KD", "MULT18X18D", "ALU54B"}),
    ],
)
def test_every_cell_that_is_counted_has_a_model_but_for_those_that_are_not_used(
    family: Family, unmodelled: set[str]
) -> None:
    counted = {*WEIGHTS[family], *FREE[family]} - {"$scopeinfo", "BUFG"}
    without = set()
    for name in counted:
        try:
            cell_models([name], "cxxrtl", family)
        except ToolError:
            without.add(name)
    assert without == unmodelled
    assert own_cells() == {"RAMB18E1", "RAMB36E1", "RAMB18E2", "RAMB36E2"}


def test_a_cell_without_a_model_is_named() -> None:
    with pytest.raises(ToolError, match=r"no simulation model of cells of type 'URAM288': add one to .*cells\.v"):
        cell_models(["LUT2", "URAM288"], "verilator")


def test_only_what_is_used_is_there() -> None:
    assert cell_models(["LUT2", "$scopeinfo"], "cxxrtl").count("endmodule") == 1
    assert cell_models(["RAMB18E1"], "cxxrtl").count("endmodule") == 2
    # Verilator looks LUTs up, CXXRTL takes the trees of multiplexers that Yosys ships.
    assert "INIT[{I1, I0}]" in cell_models(["LUT2"], "verilator")
    assert "INIT[{I1, I0}]" not in cell_models(["LUT2"], "cxxrtl")
    # A cell of the same name in another family is another cell, and one that is made of others brings them.
    assert "assign Z = INIT[{D, C, B, A}]" in cell_models(["LUT4"], "verilator", "ecp5")
    assert cell_models(["CCU2C"], "cxxrtl", "ecp5").count("endmodule") == 3


# --- a cell behind AXI4-Stream ports ----------------------------------------------------------------------------------


@dataclass
class Bench:
    """A cell whose inputs are the bits of a word, and what it must give one clock edge later.

    Attributes:
        cell: its Verilog, with `in` and `out` for the bits and `go` for the cycles that count.
        step: output bits from input bits; keeps the cell's state.
    """

    cell: str
    inputs: int
    outputs: int
    step: Callable[[Bits], Bits]

    def module(self, name: str) -> str:
        ins, outs = self.inputs + -self.inputs % 8, self.outputs + -self.outputs % 8
        return f"""
module {name} (
  input clk, input rst_n,
  input [{ins - 1}:0] s_axis_tdata, input s_axis_tvalid, input s_axis_tlast, output s_axis_tready,
  output [{outs - 1}:0] m_axis_tdata, output reg m_axis_tvalid, output reg m_axis_tlast, input m_axis_tready
);
  wire go = s_axis_tvalid && s_axis_tready && rst_n;
  wire [{self.inputs - 1}:0] in = s_axis_tdata[{self.inputs - 1}:0];
  wire [{self.outputs - 1}:0] out;
  assign s_axis_tready = !m_axis_tvalid || m_axis_tready;
  assign m_axis_tdata = out;
  always @(posedge clk) m_axis_tvalid <= rst_n && (go || (m_axis_tvalid && !m_axis_tready));
  always @(posedge clk) if (go) m_axis_tlast <= s_axis_tlast;
{self.cell}
endmodule
"""


def to_bits(value: int, count: int) -> Bits:
    return [value >> i & 1 for i in range(count)]


def to_int(bits: Sequence[int]) -> int:
    return sum(bit << i for i, bit in enumerate(bits))


def run(benches: Sequence[Bench], used: Sequence[str], simulator: str, seed: int, family: Family = "xc7") -> None:
    """The same random words through cells and their definitions."""
    rng = np.random.default_rng(seed)
    groups, texts, wires, bodies, words = [], [], [], [], []
    for i, bench in enumerate(benches):
        ins, outs = (Stream(1, n, BEATS, False) for n in (bench.inputs, bench.outputs))
        groups.append(Group((Port(f"u{i}_s_axis", ins),), (Port(f"u{i}_m_axis", outs),)))
        texts.append(bench.module(f"bench{i}"))
        pins = []
        for prefix, stream, forth, back in (("s", ins, "input", "output"), ("m", outs, "output", "input")):
            wires.append(f"{forth} [{stream.padded_width - 1}:0] u{i}_{prefix}_axis_tdata")
            wires += [f"{forth} u{i}_{prefix}_axis_{n}" for n in ("tvalid", "tlast")]
            wires.append(f"{back} u{i}_{prefix}_axis_tready")
            pins += [f".{prefix}_axis_{n}(u{i}_{prefix}_axis_{n})" for n in ("tdata", "tvalid", "tlast", "tready")]
        bodies.append(f"bench{i} u{i} (.clk(clk), .rst_n(rst_n), {', '.join(pins)});")
        words.append(rng.integers(0, 2, (1, BEATS * bench.inputs)))
    texts.append(f"module tops (input clk, input rst_n, {', '.join(wires)});\n" + "\n".join(bodies) + "\nendmodule\n")
    model = SIMULATORS[simulator]("\n".join(texts), cell_models(used, simulator, family), "tops", groups)
    results = model.run_groups([[w] for w in words])
    for bench, word, result in zip(benches, words, results, strict=True):
        have = result.outputs[0].reshape(BEATS, bench.outputs)
        want = [bench.step([int(b) for b in row]) for row in word.reshape(BEATS, bench.inputs)]
        np.testing.assert_array_equal(have, want, bench.cell.strip().splitlines()[0])


# --- cells without a clock, registers, LUT RAM ------------------------------------------------------------------------


def before(cell: str, inputs: int, outputs: int, step: Callable[[Bits], Bits]) -> Bench:
    """A cell whose outputs `o` follow its inputs at once: what they are in front of the clock edge."""
    return Bench(
        f"  wire [{outputs - 1}:0] o; reg [{outputs - 1}:0] q; assign out = q;\n"
        f"  always @(posedge clk) if (go) q <= o;\n  {cell}",
        inputs, outputs, step,
    )  # fmt: skip


def lut(count: int, init: int) -> Bench:
    pins = ", ".join(f".I{i}(in[{i}])" for i in range(count))
    cell = f"LUT{count} #(.INIT({1 << count}'h{init:x})) lut (.O(o[0]), {pins});"
    return before(cell, count, 1, lambda x: [init >> to_int(x) & 1])


def carry(count: int) -> Bench:
    """Inputs are the carry, then as many of DI and of S."""

    def step(x: Bits) -> Bits:
        into, di, s = x[0], x[1 : count + 1], x[count + 1 :]
        sums, carries = [], []
        for d, select in zip(di, s, strict=True):
            sums.append(select ^ into)
            into = into if select else d
            carries.append(into)
        return sums + carries

    rest = ".CYINIT(1'b0)" if count == 4 else ".CI_TOP(1'b0)"
    cell = (
        f"CARRY{count} chain (.CI(in[0]), {rest}, .DI(in[1+:{count}]), .S(in[{count + 1}+:{count}]), "
        f".O(o[0+:{count}]), .CO(o[{count}+:{count}]));"
    )
    return before(cell, 1 + 2 * count, 2 * count, step)


def mux(name: str) -> Bench:
    cell = f"{name} mux (.I0(in[0]), .I1(in[1]), .S(in[2]), .O(o[0]));"
    return before(cell, 3, 1, lambda x: [x[1] if x[2] else x[0]])


def register(name: str, pin: str, value: int) -> Bench:
    """A register with clock enable, and a synchronous pin that sets it to a value."""
    state = [1]

    def step(x: Bits) -> Bits:
        state[0] = value if x[1] else x[2] if x[0] else state[0]
        return list(state)

    cell = f"{name} #(.INIT(1'b1)) r (.C(clk), .CE(go && in[0]), .{pin}(go && in[1]), .D(in[2]), .Q(out[0]));"
    return Bench(cell, 3, 1, step)


def shift(name: str, address: int) -> Bench:
    """A shift register with an addressed tap; the long one shows its last bit too."""
    state = [0] * (1 << address)

    def step(x: Bits) -> Bits:
        outs = [state[to_int(x[2:])]] + [state[-1]] * (address == 5)
        if x[0]:
            state[:] = [x[1], *state[:-1]]
        return outs

    taps = ".A(in[6:2]), .Q31(o[1])" if address == 5 else ", ".join(f".A{i}(in[{i + 2}])" for i in range(4))
    cell = f"{name} s (.CLK(clk), .CE(go && in[0]), .D(in[1]), {taps}, .Q(o[0]));"
    return before(cell, 2 + address, 1 + (address == 5), step)


def lut_ram(name: str, letters: str, address: int, width: int) -> Bench:
    """Memories that are written at the address of the last of them, all at a time, and read at one of their own."""
    n = len(letters)
    memory = [[[0] * width for _ in range(1 << address)] for _ in letters]

    def step(x: Bits) -> Bits:
        at = [to_int(x[1 + address * i :][:address]) for i in range(n)]
        words = x[1 + address * n :]
        outs = [bit for m, a in zip(memory, at, strict=True) for bit in m[a]]
        if x[0]:
            for i, m in enumerate(memory):
                m[at[-1]] = words[width * i :][:width]
        return outs

    pins = [
        f".ADDR{c}(in[{1 + address * i}+:{address}]), .DI{c}(in[{1 + address * n + width * i}+:{width}]), "
        f".DO{c}(o[{width * i}+:{width}])"
        for i, c in enumerate(letters)
    ]
    cell = f"{name} m (.WCLK(clk), .WE(go && in[0]), {', '.join(pins)});"
    return before(cell, 1 + (address + width) * n, width * n, step)


def dual_port(name: str, address: int, buses: bool) -> Bench:
    """One memory with a port for writing and reading and one for reading."""
    memory = [0] * (1 << address)

    def step(x: Bits) -> Bits:
        at, other = to_int(x[2:][:address]), to_int(x[2 + address :])
        outs = [memory[at], memory[other]]
        if x[0]:
            memory[at] = x[1]
        return outs

    if buses:
        pins = f".A(in[2+:{address}]), .DPRA(in[{2 + address}+:{address}])"
    else:
        pins = ", ".join(f".A{i}(in[{2 + i}]), .DPRA{i}(in[{2 + address + i}])" for i in range(address))
    cell = f"{name} m (.WCLK(clk), .WE(go && in[0]), .D(in[1]), {pins}, .SPO(o[0]), .DPO(o[1]));"
    return before(cell, 2 + 2 * address, 2, step)


def other_benches() -> list[Bench]:
    rng = np.random.default_rng(2)
    luts = [lut(n, int.from_bytes(rng.bytes(8), "little") % (1 << (1 << n))) for n in range(1, 7)]
    return [
        *luts, carry(4), carry(8), *(mux(f"MUXF{n}") for n in (7, 8, 9)),
        register("FDRE", "R", 0), register("FDSE", "S", 1), shift("SRL16E", 4), shift("SRLC32E", 5),
        lut_ram("RAM32M", "ABCD", 5, 2), lut_ram("RAM64M", "ABCD", 6, 1),
        lut_ram("RAM32M16", "ABCDEFGH", 5, 2), lut_ram("RAM64M8", "ABCDEFGH", 6, 1),
        dual_port("RAM32X1D", 5, False), dual_port("RAM64X1D", 6, False),
        dual_port("RAM128X1D", 7, True), dual_port("RAM256X1D", 8, True),
    ]  # fmt: skip


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_luts_registers_and_lut_ram(simulator: str) -> None:
    benches = other_benches()
    run(benches, [re.findall(r"\b[A-Z]\w+", b.cell)[0] for b in benches], simulator, 1)


def ecp5_lut(init: int) -> Bench:
    pins = ", ".join(f".{c}(in[{i}])" for i, c in enumerate("ABCD"))
    cell = f"LUT4 #(.INIT(16'h{init:x})) lut (.Z(o[0]), {pins});"
    return before(cell, 4, 1, lambda x: [init >> to_int(x) & 1])


def ecp5_carry(init: int, inject: bool) -> Bench:
    """Two LUTs and the carry through both: FPGA-DS-02012 (data sheet), the slice in ripple mode.

    A LUT propagates the carry, or, where it is 0, generates that of the LUT of its first two inputs; without INJECT1
    the sum is the LUT's output with the carry added.
    """

    def step(x: Bits) -> Bits:
        into, outs = x[0], []
        for i in range(2):
            pins = x[1 + 4 * i :][:4]
            propagate, generate = init >> to_int(pins) & 1, 0 if inject else init >> to_int(pins[:2]) & 1
            outs.append(propagate ^ (0 if inject else into))
            into = into if propagate else generate
        return [*outs, into]

    pins = ", ".join(f".{c}{i}(in[{1 + 4 * i + n}])" for i in range(2) for n, c in enumerate("ABCD"))
    said = '"YES"' if inject else '"NO"'
    values = ", ".join(f".INIT{i}(16'h{init:x}), .INJECT1_{i}({said})" for i in range(2))
    cell = f"CCU2C #({values}) chain (.CIN(in[0]), {pins}, .S0(o[0]), .S1(o[1]), .COUT(o[2]));"
    return before(cell, 9, 3, step)


def ecp5_register(value: int, over: str) -> Bench:
    """A register with clock enable and a synchronous set or reset, which counts without the enable too."""
    state = [value]

    def step(x: Bits) -> Bits:
        state[0] = value if x[1] else x[2] if x[0] else state[0]
        return list(state)

    kind = "SET" if value else "RESET"
    cell = (
        f'TRELLIS_FF #(.GSR("DISABLED"), .CEMUX("CE"), .CLKMUX("CLK"), .LSRMUX("LSR"), .REGSET("{kind}"), '
        f'.SRMODE("{over}")) r (.CLK(clk), .CE(go && in[0]), .LSR(go && in[1]), .DI(in[2]), .Q(out[0]));'
    )
    return Bench(cell, 3, 1, step)


def ecp5_lut_ram() -> Bench:
    memory = [[0] * 4 for _ in range(16)]

    def step(x: Bits) -> Bits:
        out = memory[to_int(x[9:13])]
        if x[0]:
            memory[to_int(x[5:9])] = x[1:5]
        return list(out)

    cell = "TRELLIS_DPR16X4 m (.WCK(clk), .WRE(go && in[0]), .DI(in[4:1]), .WAD(in[8:5]), .RAD(in[12:9]), .DO(o[3:0]));"
    return before(cell, 13, 4, step)


def ecp5_benches() -> list[Bench]:
    select = [".C0(in[2]), .ALUT(in[1]), .BLUT(in[0])", ".SD(in[2]), .D1(in[1]), .D0(in[0])"]
    wide = [
        before(f"{name} m ({pins}, .Z(o[0]));", 3, 1, lambda x: [x[1] if x[2] else x[0]])
        for name, pins in zip(("PFUMX", "L6MUX21"), select, strict=True)
    ]
    return [
        ecp5_lut(0x8CA7), ecp5_lut(0x0001), *wide, ecp5_carry(0x96AA, False), ecp5_carry(0x5A3C, True),
        ecp5_register(0, "LSR_OVER_CE"), ecp5_register(1, "LSR_OVER_CE"), ecp5_lut_ram(),
    ]  # fmt: skip


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_cells_of_an_ecp5(simulator: str) -> None:
    benches = ecp5_benches()
    run(benches, [re.findall(r"\b[A-Z]\w+", b.cell)[0] for b in benches], simulator, 3, "ecp5")


# --- block RAM --------------------------------------------------------------------------------------------------------


@dataclass
class Side:
    """One port of a block RAM: widths with parity, as in the parameters; 0 where a direction is not used."""

    read: int
    write: int
    word: Bits = field(default_factory=list)

    @staticmethod
    def shape(width: int) -> tuple[int, int]:
        """Bits of data and of parity."""
        return (width, 0) if width < 9 else (width // 9 * 8, width // 9)


@dataclass
class BlockRam:
    """UG473: data bits at the address, parity bits at an eighth of it; a word read is the one before any write."""

    address: int
    a: Side
    b: Side
    data: Bits
    parity: Bits

    def step(self, en: Bits, we: tuple[Bits, Bits], at: tuple[int, int], words: tuple[Bits, Bits],
             parities: tuple[Bits, Bits]) -> None:  # fmt: skip
        reads = [self.read(side.read, address) for side, address in zip((self.a, self.b), at, strict=True)]
        for side, enabled, word in zip((self.a, self.b), en, reads, strict=True):
            if enabled and side.read:
                side.word = word
        for i, side in enumerate((self.a, self.b)):
            if en[i] and side.write:
                self.write(side.write, at[i], we[i], words[i], parities[i])

    def read(self, width: int, at: int) -> Bits:
        data, parity = Side.shape(width)
        start = at - at % data if data else 0
        return self.data[start : start + data] + self.parity[start // 8 : start // 8 + parity]

    def write(self, width: int, at: int, we: Bits, word: Bits, parity: Bits) -> None:
        data, bytes_ = Side.shape(width)
        start = at - at % data
        for i in range(data):
            if we[i // 8]:
                self.data[start + i] = word[i]
        for i in range(bytes_):
            if we[i]:
                self.parity[start // 8 + i] = parity[i]


def block_ram(cell: str, a: tuple[int, int], b: tuple[int, int], seed: int) -> Bench:
    """A cell with (read, write) widths of its ports; a read of the full 36 or 72 bits is on port A, a write on B."""
    rng = np.random.default_rng(seed)
    half, plus = "18" in cell, cell.endswith("E2")
    address, side = (14, 16) if half else (15, 32)
    ports = Side(*a), Side(*b)
    data = [int(v) for v in rng.integers(0, 2, 1 << address)]
    parity = [int(v) for v in rng.integers(0, 2, 1 << address - 3)]
    ram = BlockRam(address, *ports, data, parity)
    for port in ports:
        port.word = [0] * sum(Side.shape(port.read))
    both_read, both_write = a[0] > side // 8 * 9, b[1] > side // 8 * 9
    busy = 6  # few addresses, so that words are read after they were written
    widths = [2, side // 8, side // 4, busy, busy, 2 * side, side // 4]
    params = {"READ_WIDTH_A": a[0], "WRITE_WIDTH_A": a[1], "READ_WIDTH_B": b[0], "WRITE_WIDTH_B": b[1],
              "DOA_REG": 0, "DOB_REG": 0, "WRITE_MODE_A": '"READ_FIRST"', "WRITE_MODE_B": '"READ_FIRST"'}  # fmt: skip
    for prefix, bits in (("INIT", data), ("INITP", parity)):
        for i in range(0, len(bits), 256):
            params[f"{prefix}_{i // 256:02X}"] = f"256'h{to_int(bits[i : i + 256]):x}"

    def step(word: Bits) -> Bits:
        fields, rest = [], word
        for width in widths:
            fields.append(rest[:width])
            rest = rest[width:]
        en, we_a, we_b, at_a, at_b, words, parities = fields
        # The vendor leaves two writes of one word in one cycle open: then port B stands still.
        en = [en[0], en[1] and not (a[1] and b[1] and en[0])]
        low, low_p = words[:side], parities[: side // 8]
        high, high_p = words[side:], parities[side // 8 :]
        b_word = (low + high, low_p + high_p) if both_write else (high, high_p)
        ram.step(en, (we_a, we_b), (to_int(at_a) << 3, to_int(at_b) << 3), (low, b_word[0]), (low_p, b_word[1]))
        outs: list[Bits] = []
        for port in ports:
            count, bits = Side.shape(port.read)
            outs += [port.word[:count], port.word[count : count + bits]]
        if both_read:
            d, p = outs[0], outs[1]
            outs = [d[:side], p[: side // 8], d[side:], p[side // 8 :]]
        pads = (side, side // 8) * 2
        return [bit for out, pad in zip(outs, pads, strict=True) for bit in (out + [0] * pad)[:pad]]

    at = [0]
    for width in widths:
        at.append(at[-1] + width)
    en, we_a, we_b, adr_a, adr_b, words, parities = (f"in[{lo}+:{n}]" for lo, n in zip(at, widths, strict=False))
    del en, words, parities
    names = ("DINADIN", "DINBDIN", "DINPADINP", "DINPBDINP", "DOUTADOUT", "DOUTBDOUT", "DOUTPADOUTP", "DOUTPBDOUTP")
    if not plus:
        names = ("DIADI", "DIBDI", "DIPADIP", "DIPBDIP", "DOADO", "DOBDO", "DOPADOP", "DOPBDOP")
    top = "1'b1, " if cell == "RAMB36E1" else ""  # the cascade's address bit
    zeros = address - busy - 3
    n = side // 8
    pins = {
        "CLKARDCLK": "clk", "CLKBWRCLK": "clk", "ENARDEN": f"go && in[{at[0]}]",
        "ENBWREN": f"go && in[{at[0] + 1}]" + (f" && !in[{at[0]}]" if a[1] and b[1] else ""),
        "WEA": we_a, "WEBWE": we_b,
        "ADDRARDADDR": f"{{{top}{zeros}'d0, {adr_a}, 3'd0}}", "ADDRBWRADDR": f"{{{top}{zeros}'d0, {adr_b}, 3'd0}}",
        names[0]: f"in[{at[5]}+:{side}]", names[1]: f"in[{at[5] + side}+:{side}]",
        names[2]: f"in[{at[6]}+:{n}]", names[3]: f"in[{at[6] + n}+:{n}]",
        names[4]: f"out[0+:{side}]", names[6]: f"out[{side}+:{n}]",
        names[5]: f"out[{side + n}+:{side}]", names[7]: f"out[{2 * side + n}+:{n}]",
        "RSTRAMARSTRAM": "1'b0", "RSTRAMB": "1'b0",
    }  # fmt: skip
    values = ", ".join(f".{k}({v})" for k, v in params.items())
    wires = ", ".join(f".{k}({v})" for k, v in pins.items())
    return Bench(f"  {cell} #({values}) ram ({wires});", at[-1], 2 * (side + n), step)


BLOCK_RAMS = [
    ("RAMB18E1", (9, 0), (0, 9)), ("RAMB18E1", (36, 0), (0, 36)), ("RAMB18E1", (18, 18), (18, 18)),
    ("RAMB36E1", (36, 36), (9, 18)), ("RAMB36E1", (72, 0), (0, 72)), ("RAMB36E1", (0, 9), (36, 0)),
    ("RAMB18E2", (4, 0), (0, 2)), ("RAMB18E2", (36, 0), (0, 36)), ("RAMB18E2", (0, 18), (9, 0)),
    ("RAMB36E2", (36, 18), (18, 36)), ("RAMB36E2", (72, 0), (0, 72)), ("RAMB36E2", (1, 0), (0, 1)),
]  # fmt: skip


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_block_ram(simulator: str) -> None:
    benches = [block_ram(cell, a, b, i) for i, (cell, a, b) in enumerate(BLOCK_RAMS)]
    run(benches, sorted(own_cells()), simulator, 0)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("parameter", ['.WRITE_MODE_A("NO_CHANGE")', ".DOB_REG(1)", '.RAM_EXTENSION_A("LOWER")'])
def test_block_ram_that_is_not_modelled_is_refused(parameter: str, simulator: str) -> None:
    bench = block_ram("RAMB36E1", (36, 36), (0, 0), 0)
    name = parameter[1:].split("(")[0]
    whole = bench.cell.replace(f".{name}(0)", parameter).replace(f'.{name}("READ_FIRST")', parameter)
    bench.cell = whole if parameter in whole else whole.replace("#(", f"#({parameter}, ", 1)
    with pytest.raises(ToolError, match=r"RAMB36E1|FATAL"):
        run([bench], ["RAMB36E1"], simulator, 0)
