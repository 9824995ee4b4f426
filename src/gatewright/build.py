# SPDX-License-Identifier: Apache-2.0
"""A build folder: what `compile` makes of a model, and what every later stage starts from.

model.onnx                       the model as given
graph.json, graph.npz            the imported graph: the definitions, in the model's own steps
proof.json                       a certificate per layer
folding.json                     PE and SIMD of every unit, to edit and give back
design.json, design.npz          the lowered and folded graph with its FIFO depths
prediction.json                  interval, latency and resources, written before any RTL runs
rtl/                             the SystemVerilog top level, its memories and kernels
data/                            inputs, and where known labels and the reference models' outputs
manifest.json                    hashes of what went in and of what came out
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.boards import load_board
from gatewright.config import CompileConfig
from gatewright.design.folding import folding_of
from gatewright.design.plan import Design, make_design
from gatewright.design.structure import Structure, structure
from gatewright.emit import rtl
from gatewright.errors import ConfigError, GatewrightError
from gatewright.frontend.importer import import_model
from gatewright.ir.chain import affine_form
from gatewright.ir.graph import Graph, GraphInput
from gatewright.ir.op import resource_roots
from gatewright.ir.serial import load_graph, save_graph
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove
from gatewright.progress import Progress, silent

Array = npt.NDArray[np.generic]

SAMPLE_FRAMES = 8
"""Random frames that `compile` stores, so that `check` has something to run."""


@dataclass(frozen=True)
class Build:
    """A build folder on disk."""

    directory: Path

    @classmethod
    def open(cls, directory: Path) -> Build:
        """An existing build folder.

        Raises:
            ConfigError: it is none.
        """
        if not (directory / "manifest.json").is_file() or not (directory / "design.json").is_file():
            raise ConfigError(
                f"{directory} is no build folder (no design.json and manifest.json): "
                "make one with gatewright compile MODEL.onnx --board BOARD -o DIR"
            )
        return cls(directory)

    @cached_property
    def model_graph(self) -> Graph:
        """The imported graph: what golden computes."""
        return load_graph(self.directory / "graph.json")

    @cached_property
    def design_graph(self) -> Graph:
        """The lowered and folded graph."""
        return load_graph(self.directory / "design.json")

    @cached_property
    def structure(self) -> Structure:
        """Units and FIFOs of the design."""
        return structure(self.design_graph)

    @property
    def rtl(self) -> Path:
        """The folder of the emitted SystemVerilog."""
        return self.directory / "rtl"

    @property
    def data(self) -> Path:
        """The folder of stored inputs."""
        return self.directory / "data"

    def summary(self) -> dict[str, Any]:
        """The prediction: units, rates, resources.

        Raises:
            ConfigError: the file is missing or damaged.
        """
        path = self.directory / "prediction.json"
        try:
            return dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path}: not a readable prediction ({error}); compile the model again") from error


def compile_model(
    model: str | Path,
    board: str,
    *,
    fps: float | None = None,
    budget: float | None = None,
    mhz: float | None = None,
    folding: str | Path | None = None,
    output: str | Path,
    progress: Progress = silent,
) -> Build:
    """Import, prove, fold and emit a model; nothing is written unless all of it works.

    Args:
        model: a QONNX file.
        board: name of a board record.
        fps: target in frames a second; by default the design is made as fast as fits.
        budget: fraction of the board's resources to use.
        mhz: clock; the board's by default.
        folding: a `folding.json` to use instead of a solved one.
        output: the build folder.
        progress: called with the name of each step.

    Raises:
        GatewrightError: says what was wrong, where, and what to do.
    """
    model, output, folding = Path(model), Path(output), None if folding is None else Path(folding)
    config = CompileConfig(board=board, output=output, fps=fps, budget=budget, mhz=mhz, folding=folding)
    target = load_board(config.board)
    wanted = _read_folding(folding) if folding is not None else None
    progress("import")
    graph = import_model(model)
    if rtl.is_taken(graph.name):
        graph = replace(graph, name=f"{graph.name}_net")
    inputs = _input_hash(model, config, wanted)
    if _is_current(output, inputs):
        progress("up to date")
        _store_samples(output / "data", graph)
        return Build(output)
    _check_folder(output)
    progress("proof")
    lowered = lower(graph)
    certificates = prove(graph, lowered)
    design = make_design(
        lowered, target, fps=fps, budget=budget, mhz=mhz, folding=wanted, source=str(folding), progress=progress
    )
    progress("emission")
    files = rtl.emit(design.structure)
    output.mkdir(parents=True, exist_ok=True)
    _write_manifest(output, "", {})  # a folder that a broken compilation left is still known as a build's
    _write(output, model, graph, design, [c.to_json() for c in certificates])
    if (output / "rtl").is_dir():
        shutil.rmtree(output / "rtl")
    files.write(output / "rtl")
    _store_samples(output / "data", graph)
    _write_manifest(output, inputs, _file_hashes(output))
    return Build(output)


def _check_folder(output: Path) -> None:
    """Refuse a folder whose contents are not a build's: compiling replaces `rtl/`.

    Raises:
        ConfigError: it holds an `rtl/`, but no manifest.
    """
    if (output / "rtl").exists() and not (output / "manifest.json").is_file():
        raise ConfigError(f"{output} holds an rtl/ that no build made: choose another output folder")


def _write_manifest(output: Path, inputs: str, files: Mapping[str, str]) -> None:
    (output / "manifest.json").write_text(json.dumps({"inputs": inputs, "files": files}, indent=1) + "\n")


def _write(output: Path, model: Path, graph: Graph, design: Design, certificates: list[dict[str, Any]]) -> None:
    if model.resolve() != (output / "model.onnx").resolve():
        shutil.copyfile(model, output / "model.onnx")
    save_graph(graph, output / "graph.json")
    save_graph(design.graph, output / "design.json")
    for name, content in (
        ("proof.json", certificates),
        ("folding.json", folding_of(design.graph)),
        ("prediction.json", design.summary()),
    ):
        (output / name).write_text(json.dumps(content, indent=1) + "\n")


def _read_folding(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a readable folding file: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold an object: node name -> {{field: value}}, as in a build's folding.json")
    return content


def store_data(directory: Path, **arrays: Array) -> None:
    """Keep arrays in a build's `data/`: `inputs`, `labels`, and outputs of reference models (`float`, `qat`)."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", array)


def _store_samples(directory: Path, graph: Graph) -> None:
    """Random inputs over the quantisers' whole range, unless the folder holds inputs that fit already.

    Labels and reference outputs of other inputs go; nothing else in the folder is touched.
    """
    try:
        stored = [np.load(directory / _input_name(graph, i), allow_pickle=False) for i in graph.inputs]
        graph.quantize(*stored)
    except (OSError, ValueError, GatewrightError):
        for name in ("inputs", "labels", "float", "qat"):
            (directory / f"{name}.npy").unlink(missing_ok=True)
        rng = np.random.default_rng(0)
        for item in graph.inputs:
            store_data(directory, **{_input_name(graph, item)[:-4]: _sample(item, rng)})


def _input_name(graph: Graph, item: GraphInput) -> str:
    return "inputs.npy" if len(graph.inputs) == 1 else f"inputs_{item.name}.npy"


def load_inputs(build: Build, data: str | Path | Array | None = None) -> tuple[Array, ...]:
    """A network's float inputs: an array, a `.npy` (one input), a `.npz` (by input name), else those stored.

    Raises:
        ConfigError: no such file, or not an array file.
    """
    graph = build.model_graph
    if isinstance(data, np.ndarray):
        return (data,)
    if data is None:
        return tuple(load_array(build.data / _input_name(graph, i)) for i in graph.inputs)
    content = load_array(Path(data))
    if isinstance(content, np.ndarray):
        return (content,)
    missing = [i.name for i in graph.inputs if i.name not in content]
    if missing:
        names = [i.name for i in graph.inputs]
        raise ConfigError(f"{data} has no array {missing[0]!r}; the network's inputs are {names}")
    return tuple(content[i.name] for i in graph.inputs)


def load_array(path: Path) -> Any:
    """What `numpy.load` gives for a file that somebody named.

    Raises:
        ConfigError: no such file, or not an array file.
    """
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path}: not a readable array file ({error}); save it with numpy.save") from error


def _sample(item: GraphInput, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Frames whose integers cover the tensor's range, taken back through the steps before the quantiser."""
    codes = rng.integers(item.tensor.lo, item.tensor.hi + 1, (SAMPLE_FRAMES, *item.tensor.shape))
    real = codes * np.asarray(item.tensor.scale)
    if all(s.affine for s in item.steps):
        factor, offset = affine_form(item.steps, item.tensor.channels)
        real = (real - offset) / np.where(factor == 0, 1, factor)
    frames = np.zeros((SAMPLE_FRAMES, item.tensor.size))
    frames[:, item.index.ravel()] = real.reshape(SAMPLE_FRAMES, -1)
    return frames.reshape(SAMPLE_FRAMES, *item.shape).astype(np.float32)


def _input_hash(model: Path, config: CompileConfig, folding: Mapping[str, Any] | None) -> str:
    """Over the model, the settings, and all code and kernels that turn one into the other."""
    whole = hashlib.sha256(model.read_bytes())
    settings = {k: v for k, v in asdict(config).items() if k not in ("output", "folding")}
    whole.update(json.dumps([settings, folding], sort_keys=True, default=str).encode())
    kinds = ("rtl/**/*.sv", "ops/*.py", "boards/*/*.toml")
    sources = [*Path(__file__).parent.rglob("*.py"), *(p for r in resource_roots() for k in kinds for p in r.glob(k))]
    for path in sorted(sources):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def _file_hashes(output: Path) -> dict[str, str]:
    """Of every file of the build but the manifest itself and `data/`, by relative path."""
    files = [p for p in sorted([*output.iterdir(), *(output / "rtl").rglob("*")]) if p.is_file()]
    return {
        str(p.relative_to(output)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
        if p.name != "manifest.json"
    }


def _is_current(output: Path, inputs: str) -> bool:
    """Whether the folder holds, unchanged, what these inputs gave."""
    try:
        manifest = json.loads((output / "manifest.json").read_text())
        return manifest["inputs"] == inputs and all(
            hashlib.sha256((output / name).read_bytes()).hexdigest() == digest
            for name, digest in manifest["files"].items()
        )
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return False
