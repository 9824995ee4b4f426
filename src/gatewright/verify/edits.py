# SPDX-License-Identifier: Apache-2.0
"""What was edited in a build: fields of its graphs that are not what they are made from, and files of its RTL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.build import Build
from gatewright.errors import GatewrightError
from gatewright.ir.op import Memory
from gatewright.ir.serial import graph_to_files, load_graph
from gatewright.passes.lower import lower
from gatewright.runtime.records import Arrays
from gatewright.verify.divergence import list_some
from gatewright.verify.trace import imported

Leaves = Mapping[str, Mapping[str, Any]]
"""Per node, input and output of a graph its fields, nested ones by path: numbers, text and arrays."""


def edited_fields(build: Build, file: str) -> dict[str, list[str]]:
    """Per node, input and output of a build's graph, which of its fields are not what they would be made to now.

    Args:
        file: "graph.json", compared with an import of `model.onnx`; or "design.json", with a lowering of `graph.json`.
    """
    try:
        have = _leaves(json.loads((build.directory / file).read_text()), _arrays(build.directory / file))
        whole, source = file == "graph.json", "model.onnx" if file == "graph.json" else "graph.json"
        graph = imported(build).graph if whole else lower(load_graph(build.directory / "graph.json"))
        if graph is None:
            return {}
        text, arrays = graph_to_files(graph)
    except (GatewrightError, OSError, ValueError, KeyError, TypeError):
        return {}
    folded = {n.name: set(n.op.foldings()) if not n.op.composite else set() for n in graph.nodes}
    found: dict[str, list[str]] = {}
    for name, fields in _leaves(json.loads(json.dumps(text)), arrays).items():
        for path, want in fields.items():
            if path in folded.get(name, ()) or name not in have:
                continue
            said = _difference(want, have[name].get(path), source)
            if said:
                found.setdefault(name, []).append(f"{file}: {name}.{path}{said}")
    return found


def _arrays(path: Path) -> Arrays:
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as held:
        return dict(held)


def _leaves(text: Mapping[str, Any], arrays: Arrays) -> Leaves:
    nodes = {n["name"]: dict(_flat("", n["fields"], arrays)) for n in text["nodes"]}
    ports = {p["name"]: dict(_flat("", p, arrays)) for p in (*text["inputs"], *text["outputs"])}
    return ports | nodes


def _flat(path: str, value: Any, arrays: Arrays) -> Iterator[tuple[str, Any]]:
    """Everything in a packed value that holds no further values."""
    if isinstance(value, dict) and "array" in value:
        yield path, arrays[value["array"]]
    elif isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(f"{path}.{key}" if path else str(key), item, arrays)
    else:
        yield path, value


def _difference(want: Any, have: Any, source: str) -> str:
    """In which way a field differs, in words; nothing where it does not."""
    if not isinstance(want, np.ndarray) or not isinstance(have, np.ndarray):
        same = type(want) is type(have) and want == have
        return "" if same else f" is {have!r}, where {source} gives {want!r}"
    if want.shape != have.shape:
        return f" has shape {have.shape}, where {source} gives {want.shape}"
    wrong = np.argwhere(want != have)
    if not len(wrong):
        return ""
    at = tuple(int(i) for i in wrong[0])
    text = f": {len(wrong)} of {want.size} elements, first {list(at)}: {have[at]}, where {source} gives {want[at]}"
    return text + _permuted(want, have)


def _permuted(want: npt.NDArray[Any], have: npt.NDArray[Any]) -> str:
    """Whether rows or columns only changed places."""
    for axis, name in ((-1, "columns"), (0, "rows")) if want.ndim > 1 else ((0, "elements"),):
        first, second = (np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in (want, have))
        if np.array_equal(first[np.lexsort(first.T)], second[np.lexsort(second.T)]):
            return f"; its {name} are in another order"
    return ""


# --- files of the RTL -------------------------------------------------------------------------------------------------


def edited_hardware(build: Build, unit: str, module: str) -> list[str]:
    """What in `rtl/` is not the design's, of one unit or FIFO: its kernel, the library, its memories, the top level."""
    changed, top = build.changed(), f"rtl/{build.design_graph.name}.sv"
    kernel = f"rtl/kernels/{module}.sv"
    hints = [f"{kernel}, its kernel, was changed since it was compiled"] if kernel in changed else []
    hints += edited_memories(build, unit)
    if top in changed:
        hints += _depth(build, unit) or [f"{top}, the top level, was changed since it was compiled"]
    others = [c for c in changed if c.startswith("rtl/kernels/") and c != kernel]
    return hints or [f"{c} was changed since it was compiled" for c in others]


def edited_memories(build: Build, unit: str) -> list[str]:
    """Words of a unit's memory files that are not the design's."""
    found = next((u for u in build.structure.units if u.name == unit), None)
    hints = []
    for name, memory in found.roms.items() if found else ():
        parts = (memory,) if isinstance(memory, Memory) else memory
        for i, part in enumerate(parts):
            file = f"rtl/{unit}_{name}{'' if isinstance(memory, Memory) else i}.mem"
            path = build.directory / file
            have = path.read_text().split() if path.is_file() else []
            hints += _words(file, part.hex_lines(), have)
    return hints


def _words(file: str, want: list[str], have: list[str]) -> list[str]:
    if len(want) != len(have):
        return [f"{file} holds {len(have)} words, where the design has {len(want)}"]
    odd = next((w for w in have if not re.fullmatch("[0-9a-fA-F]+", w)), None)
    if odd is not None:
        return [f"{file} holds {odd!r}, which is no hexadecimal word"]
    wrong = [i for i, (a, b) in enumerate(zip(want, have, strict=True)) if int(a, 16) != int(b, 16)]
    if not wrong:
        return []
    first = int(want[wrong[0]], 16) ^ int(have[wrong[0]], 16)
    bits = list_some([b for b in range(first.bit_length()) if first >> b & 1])
    return [
        f"{file}: word {wrong[0]} differs from the design's in bit {bits}; {len(wrong)} of {len(want)} words differ"
    ]


def _depth(build: Build, name: str) -> list[str]:
    """A FIFO whose depth in the top level is not the design's."""
    link = next((k for k in build.structure.links if k.name == name), None)
    text = (build.rtl / f"{build.design_graph.name}.sv").read_text()
    found = re.search(rf"fifo #\([^)]*\)[^;]*?\bi_{re.escape(name)} \(", text)
    depth = re.search(r"\.DEPTH\((\d+)\)", text[: found.end()].rpartition("fifo #(")[2]) if found else None
    if link is None or depth is None or int(depth[1]) == link.depth:
        return []
    return [f"rtl/{build.design_graph.name}.sv gives {name} a depth of {depth[1]}, where the design has {link.depth}"]
