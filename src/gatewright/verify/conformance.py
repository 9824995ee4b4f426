# SPDX-License-Identifier: Apache-2.0
"""The matrix operators x targets: on how many examples a kernel has been shown to be bit-exact.

The conformance test writes what it has shown to `conformance.json`, with a digest of all that it showed it of: the
kernel and the library that it uses, without comments and pragmas, and of every example the parameters, memories,
schedule and reference. A cell counts only while its digest is that of the kernel as it is now; all else is a gap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatewright.design.structure import Unit, structure
from gatewright.ir.graph import single
from gatewright.ir.op import TARGETS, Memory, Op, discover, kernel_path, package_root
from gatewright.ir.types import IntArray, Tensor
from gatewright.sim.cache import digest
from gatewright.synth.plan import needed

RECORD = Path(__file__).with_name("conformance.json")
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "rtl": ("rtl/lib/*.sv",),
    "hls": ("hls/gatewright/lib/*.hpp",),
    "systemc": ("hls/gatewright/lib/*.hpp", "hls/gatewright/systemc.hpp"),
}
"""What kernels of each target may use; of several, the last is what runs them."""
FRAMES = 4

BEGIN, END = "<!-- made by make matrix -->\n", "<!-- end -->\n"
"""What stands around the matrix in docs/operators.md."""


@dataclass(frozen=True)
class Cell:
    """What is known of an operator's kernel for a target.

    Attributes:
        exact: examples on which it was shown to be bit-exact as it is now; None for a gap.
        gap: why there is none.
    """

    exact: int | None = None
    gap: str = ""

    def __str__(self) -> str:
        return f"gap: {self.gap}" if self.exact is None else str(self.exact)


@dataclass(frozen=True)
class Row:
    """An operator with hardware.

    Attributes:
        cells: by target.
    """

    name: str
    examples: int
    cells: Mapping[str, Cell]


def matrix(record: Path = RECORD) -> list[Row]:
    """All operators that are not composite, sorted by name."""
    shown = load(record)
    return [
        Row(name, len(cls.examples()), {target: _cell(target, name, cls, shown) for target in TARGETS})
        for name, cls in discover().items()
        if not cls.composite
    ]


def _cell(target: str, name: str, cls: type[Op], shown: Mapping[str, Mapping[str, Any]]) -> Cell:
    if kernel_path(name, target) is None:
        return Cell(gap="no kernel")
    entry = shown.get(target, {}).get(name)
    if entry is None:
        return Cell(gap="never run")
    if entry["digest"] != state(target, name, cls):
        return Cell(gap="changed since it was run")
    return Cell(int(entry["exact"]))


def markdown(rows: Sequence[Row]) -> str:
    """The matrix as it stands in the docs."""
    lines = [f"| operator | examples | {' | '.join(TARGETS)} |", f"|---|{'---|' * (len(TARGETS) + 1)}"]
    lines += [f"| `{r.name}` | {r.examples} | {' | '.join(map(str, r.cells.values()))} |" for r in rows]
    return "\n".join(lines) + "\n"


def load(record: Path = RECORD) -> dict[str, dict[str, dict[str, Any]]]:
    """What was shown: by target and operator the examples that were exact, and a digest of what they were."""
    return dict(json.loads(record.read_text())) if record.is_file() else {}


# --- what a run showed it of ------------------------------------------------------------------------------------------


def state(target: str, name: str, cls: type[Op]) -> str:
    """A digest of a kernel, of the library that it uses, and of the operator's examples."""
    sources = {p.stem: p for pattern in LIBRARIES[target] for p in sorted(package_root().glob(pattern))}
    runs = list(sources)[-1:] if len(LIBRARIES[target]) > 1 else []
    kernel = kernel_path(name, target)
    if kernel is not None:
        sources[name] = kernel
    files = {p for module in (name, *runs) for p in needed(module, sources)}
    folder = TARGETS[target].partition("/")[0]
    order = sorted(files, key=lambda p: p.parts[-1 - p.parts[::-1].index(folder) :])  # wherever the roots lie
    return digest([_code(p) for p in order], [_facts(op) for op in cls.examples()])


def _code(path: Path) -> list[str]:
    """A file without comments and layout, and without the pragmas that only Vitis HLS reads."""
    return [path.name, "".join(re.sub(r"//.*|/\*.*?\*/|#pragma HLS .*", "", path.read_text()).split())]


def _facts(op: Op) -> list[Any]:
    """What an example asks of a kernel, and what it must give."""
    rng = np.random.default_rng(0)
    values = op.reference(*(_frames(t, rng) for t in op.inputs))
    return [*(_unit(u) for u in structure(single(op)).units), *(y.tolist() for y in values)]


def _unit(unit: Unit) -> list[Any]:
    arrays = (*unit.schedule.need, *unit.schedule.produce, *(a for a in unit.schedule.after if a is not None))
    memories = [
        [name, [m.hex_lines() for m in ((memory,) if isinstance(memory, Memory) else memory)]]
        for name, memory in sorted(unit.memories.items())
    ]
    return [
        sorted(unit.parameters.items()), memories, [str(s) for s in (*unit.ins, *unit.outs)],
        unit.schedule.depth, [a.tolist() for a in arrays],
    ]  # fmt: skip


def _frames(tensor: Tensor, rng: np.random.Generator) -> IntArray:
    """Frames at both limits, and random ones."""
    if tensor.encoding == "bipolar":
        x = rng.integers(0, 2, (FRAMES, *tensor.shape)) * 2 - 1
    else:
        x = rng.integers(tensor.lo, tensor.hi + 1, (FRAMES, *tensor.shape))
    x[0], x[1] = tensor.lo, tensor.hi
    return np.asarray(x, np.int64)
