# SPDX-License-Identifier: Apache-2.0
"""From a model to a build folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypedDict

from gatewright.boards import load_board
from gatewright.build.folder import Build, check_folder, file_hashes, is_current, write_manifest
from gatewright.build.samples import check_data, store_samples, stored_inputs
from gatewright.config import ALL_TARGETS, CompileConfig, Objective, Target
from gatewright.design.feeds import feeds
from gatewright.design.folding import folding_of
from gatewright.design.plan import Design, make_design
from gatewright.emit import cpp_names, hls_project, kernel_ip, rtl, stream_ip, systemc
from gatewright.emit.files import FileSet
from gatewright.emit.hls_vectors import VECTOR_FRAMES, vectors
from gatewright.errors import ConfigError
from gatewright.frontend.importer import import_model
from gatewright.frontend.reading import model_bytes
from gatewright.ir.graph import Graph
from gatewright.ir.op import resource_roots
from gatewright.ir.serial import save_graph
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove
from gatewright.progress import Progress, silent

EMITTERS: Mapping[Target, Callable[[Design], FileSet]] = {
    "rtl": stream_ip.emit,
    "kernel": lambda design: kernel_ip.emit(design, design.board.memory_bits),
    "hls": lambda design: hls_project.emit(design.structure, design.board, design.mhz),
    "systemc": lambda design: systemc.emit(design.structure, design.mhz),
}
"""What writes each target, into the build's folder of its name."""


class Asked(TypedDict):
    """What a design is asked to reach; see `compile_model`."""

    fps: float | None
    latency_us: float | None
    budget: float | None
    objective: Objective
    mhz: float | None


def compile_model(
    model: str | Path,
    board: str,
    *,
    fps: float | None = None,
    latency_us: float | None = None,
    budget: float | None = None,
    objective: Objective = "throughput",
    mhz: float | None = None,
    folding: str | Path | Mapping[str, Any] | None = None,
    argmax: bool = False,
    targets: Sequence[Target] = ALL_TARGETS,
    bus_bits: int | None = None,
    stream_weights: Sequence[str] = (),
    output: str | Path,
    progress: Progress = silent,
) -> Build:
    """Import, prove, fold and emit a model; nothing is written unless all of it works.

    Args:
        model: a QONNX file.
        board: name of a board record.
        fps: least rate in frames a second. With this or `latency_us` the design is the cheapest that keeps both;
            with neither it is the best that fits.
        latency_us: longest latency of a lone frame in microseconds.
        budget: fraction of the board's resources that the best design may take.
        objective: what the best design that fits is best at: "throughput", or "latency" (at no less than `fps`).
        mhz: clock; the board's by default.
        folding: a `folding.json`, or what it holds, to use instead of a solved one.
        argmax: the hardware gives the top-1 label instead of scores; see `import_model`.
        targets: what the design is written as; folders of targets that the folder holds from before go.
        bus_bits: width of the ports to memory of targets that have them; the board's by default.
        stream_weights: nodes, as `folding.json` calls them, whose weights the kernel reads from memory while it runs.
            With the target "kernel" others follow where no folding fits the board otherwise.
        output: the build folder.
        progress: called with the name of each step.

    Raises:
        GatewrightError: says what was wrong, where, and what to do.
    """
    model, output = Path(model), Path(output)
    wanted = folding if folding is None or isinstance(folding, Mapping) else _read_folding(Path(folding))
    source = "folding" if isinstance(folding, Mapping) else str(folding)
    asked: Asked = {"fps": fps, "latency_us": latency_us, "budget": budget, "objective": objective, "mhz": mhz}
    given = None if folding is None else Path(source)
    config = CompileConfig(
        board=board, output=output, folding=given, argmax=argmax, targets=targets, bus_bits=bus_bits,
        stream_weights=tuple(stream_weights), **asked,
    )  # fmt: skip
    target = load_board(config.board)
    target = replace(target, memory_bits=config.bus_bits or target.memory_bits)
    check_folder(output)
    progress("import")
    graph = import_model(model, argmax=config.argmax)
    if rtl.is_taken(graph.name) or cpp_names.is_taken(graph.name):
        graph = replace(graph, name=f"{graph.name}_net")
    check_data(output, graph)
    inputs = _input_hash(model, config, wanted)
    if is_current(output, inputs):
        progress("up to date")
        store_samples(output / "data", graph, model.parent / "data")
        return Build(output)
    progress("proof")
    lowered = lower(graph)
    certificates = [c.to_json() for c in prove(graph, lowered)]
    design = make_design(
        lowered, target, folding=wanted, source=source, stream=config.stream_weights,
        may_stream="kernel" in config.targets, progress=progress, **asked,
    )  # fmt: skip
    if feeds(design.structure) and "kernel" not in config.targets:
        streamed = ", ".join(f.unit for f in feeds(design.structure))
        raise ConfigError(f"{source}: weights of {streamed} are streamed, which takes the target kernel: add it")
    progress("emission")
    files = {name: EMITTERS[name](design) for name in config.targets}
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_manifest(output, "", {})  # a folder that a broken compilation left is still known as a build's
        _write(output, model, graph, design, certificates, {**asked, "folding": given is not None, "argmax": argmax})
        _write_targets(output, files)
        store_samples(output / "data", graph, model.parent / "data")
        if "hls" in files:
            _write_vectors(output, graph, design)
        write_manifest(output, inputs, file_hashes(output))
    except OSError as error:
        raise ConfigError(f"{output} cannot be written ({error}): choose another output folder") from error
    return Build(output)


def _write(
    output: Path,
    model: Path,
    graph: Graph,
    design: Design,
    certificates: list[dict[str, Any]],
    asked: Mapping[str, Any],
) -> None:
    if model.resolve() != (output / "model.onnx").resolve():
        (output / "model.onnx").write_bytes(model_bytes(model))
    save_graph(graph, output / "graph.json")
    save_graph(design.graph, output / "design.json")
    for name, content in (
        ("proof.json", certificates),
        ("folding.json", folding_of(design.graph)),
        ("prediction.json", design.summary() | {"asked": asked}),
    ):
        (output / name).write_text(json.dumps(content, indent=1) + "\n")


def _write_targets(output: Path, files: Mapping[Target, FileSet]) -> None:
    """Each target's files alone: what an earlier compilation left goes."""
    for name in ALL_TARGETS:
        if (output / name).is_dir():
            shutil.rmtree(output / name)
    for name, texts in files.items():
        texts.write(output / name)


def _write_vectors(output: Path, graph: Graph, design: Design) -> None:
    """What the test benches of the HLS project run on: the first of the stored frames, with golden's outputs."""
    inputs = graph.quantize(*(x[:VECTOR_FRAMES] for x in stored_inputs(output / "data", graph)))
    files = vectors(design.structure, inputs, graph.reference(*inputs), design.board.memory_bits)
    for path, content in files.items():
        target = output / "hls" / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)


def _read_folding(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a readable folding file: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold an object: node name -> {{field: value}}, as in a build's folding.json")
    return content


def _input_hash(model: Path, config: CompileConfig, folding: Mapping[str, Any] | None) -> str:
    """Over the model, the settings, and all code and kernels that turn one into the other."""
    whole = hashlib.sha256(model_bytes(model))
    settings = {k: v for k, v in asdict(config).items() if k not in ("output", "folding")}
    whole.update(json.dumps([settings, folding], sort_keys=True, default=str).encode())
    kinds = ("rtl/**/*.sv", "hls/**/*.hpp", "ops/*.py", "boards/*/*.toml")
    sources = [
        *Path(__file__).parents[1].rglob("*.py"),
        *(p for r in resource_roots() for k in kinds for p in r.glob(k)),
    ]
    for path in sorted(sources):
        whole.update(path.read_bytes())
    return whole.hexdigest()
