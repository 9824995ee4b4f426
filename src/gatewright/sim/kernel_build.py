# SPDX-License-Identifier: Apache-2.0
"""Compiles a kernel's wrapper and its driver to a program, once per content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewright.errors import ConfigError
from gatewright.sim.cache import cache_folder, cached
from gatewright.sim.kernel_process import KernelModel
from gatewright.sim.tools import find_tool, find_verilator
from gatewright.sim.verilator import Build, Optimise, Pin, compare_pins


def compile_kernel(
    sources: Sequence[Path],
    top: str,
    bus_bits: int,
    reads: Sequence[str],
    writes: Sequence[str],
    *,
    folder: Path | None = None,
    parameters: Mapping[str, int] | None = None,
    optimise: Optimise = "fast_build",
    control_bytes: int = 4096,
    cache: Path | None = None,
) -> KernelModel:
    """Compile a kernel's wrapper, or find it compiled.

    Args:
        sources: SystemVerilog and Verilog files in order of compilation.
        top: module with `ap_clk`, `ap_rst_n`, `interrupt`, `s_axi_control_*` and the masters, pins in lower case.
        bus_bits: of the masters' words.
        reads, writes: names of the masters with the channels AR and R, and of those with AW, W and B (`gmem0`).
        folder: where the kernel runs; by default that of the last source.
        parameters: of the top level.
        optimise: "fast_build" for tests, "fast_run" for long simulations.
        control_bytes: of the window of the registers, a power of two.
        cache: where to keep programs instead of `cache_folder()`.

    Raises:
        ConfigError: the top level's ports are others.
        ToolError: Verilator or g++ is missing, or rejects the kernel.
    """
    sources = [Path(s).resolve() for s in sources]
    build = _KernelBuild(
        find_verilator(), find_tool("g++"), sources, top, dict(parameters or {}), optimise, False,
        bus_bits, tuple(reads), tuple(writes), control_bytes.bit_length() - 1,
    )  # fmt: skip
    program = cached(cache or cache_folder() / "verilator", build.key(), build.run)
    return KernelModel(program / "sim", top, (folder or sources[-1].parent).resolve(), control_bytes)


@dataclass(frozen=True)
class _KernelBuild(Build):
    FILES = "kernel_*.[ch]pp"
    DRIVER = "kernel_main.cpp"
    SHIM = "kernel_model.cpp"

    bus_bits: int
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    control_bits: int

    def pins(self) -> str:
        return "".join(f"{name} {kind} {bits}\n" for name, (kind, bits) in self._expected().items())

    def check_pins(self, found: Mapping[str, Pin]) -> str:
        # Verilator leads a name that some C++ compilers keep for themselves, as `interrupt`, with __SYM__.
        members = {name.removeprefix("__SYM__"): name for name in found}
        found, expected = {name: found[member] for name, member in members.items()}, self._expected()
        compare_pins(self.top, expected, found)
        # What masters without IDs and hosts without privileges leave at 0.
        undriven = [n for n, (kind, _) in found.items() if kind == "IN" and n not in expected and n[-4:] not in _ZERO]
        if undriven:
            raise ConfigError(f"{self.top}: no kernel has the inputs {', '.join(undriven)}")
        return "".join(
            f"PIN({name}, {members[name]}, {str(kind == 'IN').lower()}, {bits})\n"
            for name, (kind, bits) in found.items()
        )

    def _expected(self) -> dict[str, Pin]:
        """All pins that the driver uses; others, such as a hint for caches, may be there."""
        pins: dict[str, Pin] = {"ap_clk": ("IN", 1), "ap_rst_n": ("IN", 1), "interrupt": ("OUT", 1)}
        for reads in (True, False):
            pins |= _channels("s_axi_control", reads, "IN", "OUT", self.control_bits, 32)
        for names, reads in ((self.reads, True), (self.writes, False)):
            for name in names:
                pins |= _channels(f"m_axi_{name}", reads, "OUT", "IN", 64, self.bus_bits)
                pins |= _burst_pins(f"m_axi_{name}", reads)
        return pins


_ZERO = ("_rid", "_bid", "prot")


def _channels(prefix: str, reads: bool, forth: str, back: str, address_bits: int, bits: int) -> dict[str, Pin]:
    """The pins that AXI4-Lite has too; `forth` is the direction of addresses."""
    letter = "r" if reads else "w"
    pins: dict[str, Pin] = {
        f"a{letter}addr": (forth, address_bits),
        f"a{letter}valid": (forth, 1),
        f"a{letter}ready": (back, 1),
    }
    if reads:
        pins |= {"rdata": (back, bits), "rresp": (back, 2), "rvalid": (back, 1), "rready": (forth, 1)}
    else:
        pins |= {"wdata": (forth, bits), "wstrb": (forth, bits // 8), "wvalid": (forth, 1), "wready": (back, 1)}
        pins |= {"bresp": (back, 2), "bvalid": (back, 1), "bready": (forth, 1)}
    return {f"{prefix}_{name}": pin for name, pin in pins.items()}


def _burst_pins(prefix: str, reads: bool) -> dict[str, Pin]:
    """What AXI4 adds to them."""
    address, last = ("ar", ("rlast", "IN")) if reads else ("aw", ("wlast", "OUT"))
    pins: dict[str, Pin] = {f"{prefix}_{address}{n}": ("OUT", b) for n, b in (("len", 8), ("size", 3), ("burst", 2))}
    return pins | {f"{prefix}_{last[0]}": (last[1], 1)}
