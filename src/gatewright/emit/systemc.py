# SPDX-License-Identifier: Apache-2.0
"""Structure -> SystemC: the kernels of `hls/` as clocked processes between FIFOs of the designed depths.

<name>_systemc.hpp    a struct of units, FIFOs and top-level ports
<name>_config.hpp, <name>_memories.hpp, include/gatewright/    as in the HLS project
"""

from __future__ import annotations

from gatewright.design.structure import End, Link, Structure, Unit
from gatewright.emit.files import FileSet
from gatewright.emit.hls import HEADER, beat, operators, space, units
from gatewright.emit.rtl import top_ports
from gatewright.ir.types import Stream


def emit(design: Structure, mhz: float = 100.0) -> FileSet:
    """The model of a design, without a test bench.

    Args:
        mhz: clock, which sets the scale of `sc_time`.

    Raises:
        ConfigError: an operator has no HLS kernel.
    """
    files = units(design, "systemc.hpp")
    files.add(f"{design.name}_systemc.hpp", model(design, mhz))
    return files


def model(design: Structure, mhz: float) -> str:
    """The struct `Network`: all parts of a design as members, in the order in which they refer to each other."""
    fifos = [_fifo(k) for k in design.links if k.depth]
    processes = [f'  Unit unit_{u.name}{{"unit_{u.name}", time, {u.schedule.depth}}};' for u in design.units]
    inputs = [_in(design, u, i, s) for u in design.units for i, s in enumerate(u.ins)]
    drains, outputs = _drains(design), [_out(design, u, i, s) for u in design.units for i, s in enumerate(u.outs)]
    sources = [
        f'  Source<{beat(s)}> {prefix}{{"{prefix}", time, {_sinks(design, End("", i))}}};'
        for i, (prefix, s) in enumerate(top_ports(design)[0])
    ]
    includes = ["systemc", "lib/width_adapter", *operators(design)]  # in front of ap_int.h, which asks for SystemC
    return "\n".join(
        [
            HEADER + "#pragma once\n",
            *(f'#include "gatewright/{name}.hpp"' for name in includes),
            f'\n#include "{design.name}_config.hpp"\n',
            f"namespace {space(design)} {{\n",
            "using namespace gatewright::systemc;\n",
            "struct Network : sc_core::sc_module {",
            f"  Timebase time{{sc_core::sc_time({1000 / mhz!r}, sc_core::SC_NS)}};\n",
            *fifos, *processes, *drains, *sources, *inputs, *outputs,
            "\n  explicit Network(const sc_core::sc_module_name& name) : sc_core::sc_module(name) {",
            *(f"    {end}.join({out});" for end, out in _joined(design)),
            *(_start(u) for u in design.units),
            "  }",
            f"}};\n\n}}  // namespace {space(design)}\n",
        ]
    )  # fmt: skip


def _fifo(link: Link) -> str:
    block = "true" if link.block else "false"
    return f'  Fifo<{beat(link.stream)}> link_{link.name}{{"link_{link.name}", time, {link.depth}, {block}}};'


def _in(design: Structure, unit: Unit, port: int, stream: Stream) -> str:
    (link,) = (k for k in design.links if k.sink == End(unit.name, port))
    name = unit.prefixes[0][port]
    return f"  In<{beat(stream)}> unit_{unit.name}_{name}{{unit_{unit.name}, link_{link.name}}};"


def _out(design: Structure, unit: Unit, port: int, stream: Stream) -> str:
    name = unit.prefixes[1][port]
    sinks = _sinks(design, End(unit.name, port))
    return f"  Out<{beat(stream)}> unit_{unit.name}_{name}{{unit_{unit.name}, {sinks}}};"


def _sinks(design: Structure, source: End) -> str:
    """What takes the beats of an end: FIFOs, or the top level itself."""
    outs = [prefix for prefix, _ in top_ports(design)[1]]
    links = design.links_from(source)
    return "{" + ", ".join(f"&link_{k.name}" if k.depth else f"&{outs[k.sink.port]}" for k in links) + "}"


def _drains(design: Structure) -> list[str]:
    lines = []
    into = {k.sink: k for k in design.links}
    for i, (prefix, stream) in enumerate(top_ports(design)[1]):
        link = into[End("", i)]
        rest = f", time, link_{link.name}" if link.depth else ""
        lines.append(f'  Drain<{beat(stream)}> {prefix}{{"{prefix}"{rest}}};')
    return lines


def _joined(design: Structure) -> list[tuple[str, str]]:
    """Top-level outputs that are the ends of units' pipelines, and those units' ports."""
    prefixes = {u.name: u.prefixes[1] for u in design.units}
    outs = [prefix for prefix, _ in top_ports(design)[1]]
    return [
        (outs[k.sink.port], f"unit_{k.source.unit}_{prefixes[k.source.unit][k.source.port]}")
        for k in design.links
        if not k.depth
    ]


def _start(unit: Unit) -> str:
    ports = ", ".join(f"unit_{unit.name}_{p}" for p in (*unit.prefixes[0], *unit.prefixes[1]))
    call = f"gatewright::{unit.module}<{unit.name}_config>({ports}, FOREVER);"
    return f"    unit_{unit.name}.start([this] {{ {call} }});"
