# SPDX-License-Identifier: Apache-2.0
"""A design as the list of RTL instances that are synthesised one by one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gatewright.design.structure import Structure, Unit, fork_name
from gatewright.errors import ConfigError
from gatewright.ir.op import Memory
from gatewright.sim.cache import digest, file_digests


@dataclass(frozen=True, eq=False)
class Part:
    """An instance of a module of the RTL.

    Attributes:
        name: in the design.
        module: which module it is an instance of.
        parameters: of the module; a string is a file's name.
        memories: contents of the memory files by file name.
        sources: SystemVerilog of the module and of all that it instantiates.
        operator: whether it computes an operator of the graph (else it only carries data).
        soft: whether products are kept from DSP slices, whatever the parameters say.
        unblocked: whether memories are kept from block RAM, whatever the parameters say.
    """

    name: str
    module: str
    parameters: Mapping[str, int | str]
    memories: Mapping[str, str]
    sources: tuple[Path, ...]
    operator: bool = False
    soft: bool = False
    unblocked: bool = False

    @property
    def dsp(self) -> bool:
        """Whether products may lie in DSP slices: not where it is soft, or the parameter DSP says 0."""
        return not self.soft and self.parameters.get("DSP", 1) != 0

    @property
    def words(self) -> int:
        """Words of its deepest ROM."""
        return max((text.count("\n") for text in self.memories.values()), default=0)

    @cached_property
    def digest(self) -> str:
        """Over everything but the name: parts of one digest are one piece of hardware."""
        parameters = sorted(self.parameters.items())
        return digest(self.module, parameters, sorted(self.memories.items()), file_digests(self.sources))


def plan(design: Structure, kernels: Path) -> tuple[Part, ...]:
    """All instances of a design: units (width adapters among them), FIFOs and forks.

    Args:
        kernels: the folder with the SystemVerilog of every module, one a file.

    Raises:
        ConfigError: a module's file is missing.
    """
    sources = {p.stem: p for p in sorted(kernels.glob("*.sv"))}
    parts = [unit_part(unit, sources) for unit in design.units]
    parts += [
        fifo_part(link.name, link.stream.width, link.depth, link.block, sources) for link in design.links if link.depth
    ]
    parts += [
        fork_part(fork_name(source), links[0].stream.width, len(links), sources)
        for source, links in design.forks().items()
    ]
    return tuple(parts)


def unit_part(unit: Unit, sources: Mapping[str, Path]) -> Part:
    """The part of a unit, its memory files under names of their own.

    Args:
        sources: file of every module by the module's name.
    """
    parameters: dict[str, int | str] = {k.upper(): v for k, v in unit.parameters.items()}
    files: dict[str, str] = {}
    parameters |= {f"STREAM_{name.upper()}": 1 for name in unit.streamed}
    for name, memory in unit.roms.items():
        single = isinstance(memory, Memory)
        parameters[f"{name.upper()}_FILE"] = f"{name}.mem" if single else name
        for i, one in enumerate((memory,) if isinstance(memory, Memory) else memory):
            files[f"{name}.mem" if single else f"{name}{i}.mem"] = "\n".join(one.hex_lines()) + "\n"
    return Part(unit.name, unit.module, parameters, files, needed(unit.module, sources), unit.operator)


def fifo_part(name: str, width: int, depth: int, block: bool, sources: Mapping[str, Path]) -> Part:
    """The part of a FIFO for data of `width` bits and tlast."""
    return Part(name, "fifo", {"WIDTH": width + 1, "DEPTH": depth, "BLOCK": int(block)}, {}, needed("fifo", sources))


def fork_part(name: str, width: int, branches: int, sources: Mapping[str, Path]) -> Part:
    """The part of a fork for data of `width` bits and tlast."""
    return Part(name, "stream_fork", {"WIDTH": width + 1, "BRANCHES": branches}, {}, needed("stream_fork", sources))


def needed(module: str, sources: Mapping[str, Path]) -> tuple[Path, ...]:
    """The file of a module, and those of all modules that it names, directly or not.

    Raises:
        ConfigError: the module has no file.
    """
    if module not in sources:
        raise ConfigError(f"no SystemVerilog file for module {module!r}; there are {', '.join(sorted(sources))}")
    found: dict[str, Path] = {}
    wanted = [module]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = sources[name]
            code = re.sub(r"//.*", "", sources[name].read_text())
            wanted += sorted(set(re.findall(r"\w+", code)) & sources.keys())
    return tuple(found[name] for name in sorted(found))


def choose(parts: Iterable[Part], names: Iterable[str]) -> tuple[Part, ...]:
    """The parts of these names, or all where none is given.

    Raises:
        ConfigError: no part of that name.
    """
    by_name = {p.name: p for p in parts}
    for name in names:
        if name not in by_name:
            raise ConfigError(f"no unit {name!r} in the design; there are {', '.join(by_name)}")
    return tuple(by_name[n] for n in dict.fromkeys(names)) or tuple(by_name.values())
