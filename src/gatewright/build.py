# SPDX-License-Identifier: Apache-2.0
"""A build folder: what `compile` makes of a model, and what every later stage starts from.

model.onnx                       the model as given, with weights in it that lay in files beside it
graph.json, graph.npz            the imported graph: the definitions, in the model's own steps
proof.json                       a certificate per layer
folding.json                     PE and SIMD of every unit, to edit and give back
design.json, design.npz          the lowered and folded graph with its FIFO depths
prediction.json                  interval, latency and resources, written before any RTL runs
rtl/                             the SystemVerilog top level, its memories and kernels
data/                            inputs, and where known labels and the reference models' outputs
manifest.json                    hashes of what went in and of what came out
check.json                       the last result of every stage that `check` ran
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.boards import load_board
from gatewright.config import CompileConfig, Objective
from gatewright.design.folding import folding_of
from gatewright.design.plan import Design, make_design
from gatewright.design.structure import Structure, structure
from gatewright.emit import rtl
from gatewright.errors import ConfigError, GatewrightError
from gatewright.frontend.importer import import_model
from gatewright.frontend.reading import model_bytes
from gatewright.ir.chain import affine_form
from gatewright.ir.graph import Graph, GraphInput
from gatewright.ir.importing import unique_name
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
        manifest = _read_manifest(directory)
        if manifest is None:
            raise ConfigError(
                f"{directory} is no build folder (no readable manifest.json): "
                "make one with gatewright compile MODEL.onnx --board BOARD -o DIR"
            )
        missing, _ = _damage(directory, manifest)
        if missing or not manifest["files"]:
            lost = missing[0] if missing else "everything: its compilation broke off"
            raise ConfigError(f"{directory} lacks {lost}; compile the model again")
        return cls(directory)

    def changed(self) -> list[str]:
        """Files that are no longer what `compile` wrote."""
        manifest = _read_manifest(self.directory)
        return [] if manifest is None else _damage(self.directory, manifest)[1]

    def fingerprint(self) -> str:
        """SHA-256 over what `compile` wrote and the stored data, as they are now: a result belongs to one state."""
        manifest = _read_manifest(self.directory) or {"files": {}}
        data = (p for p in self.data.glob("*.npy"))
        whole = hashlib.sha256()
        for path in sorted({*(self.directory / name for name in manifest["files"]), *data}):
            whole.update(str(path.relative_to(self.directory)).encode() + b"\0")
            whole.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"")
        return whole.hexdigest()

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
            prediction = dict(json.loads(path.read_text()))
            int(prediction["interval_cycles"]), int(prediction["latency_cycles"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path}: not a readable prediction ({error!r}); compile the model again") from error
        return prediction


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
        output: the build folder.
        progress: called with the name of each step.

    Raises:
        GatewrightError: says what was wrong, where, and what to do.
    """
    model, output = Path(model), Path(output)
    wanted = folding if folding is None or isinstance(folding, Mapping) else _read_folding(Path(folding))
    source = "folding" if isinstance(folding, Mapping) else str(folding)
    config = CompileConfig(
        board=board,
        output=output,
        fps=fps,
        latency_us=latency_us,
        budget=budget,
        objective=objective,
        mhz=mhz,
        folding=None if folding is None else Path(source),
        argmax=argmax,
    )
    target = load_board(config.board)
    _check_folder(output)
    progress("import")
    graph = import_model(model, argmax=config.argmax)
    if rtl.is_taken(graph.name):
        graph = replace(graph, name=f"{graph.name}_net")
    _check_data(output, graph)
    inputs = _input_hash(model, config, wanted)
    if _is_current(output, inputs):
        progress("up to date")
        _store_samples(output / "data", graph, model.parent / "data")
        return Build(output)
    progress("proof")
    lowered = lower(graph)
    certificates = prove(graph, lowered)
    design = make_design(
        lowered,
        target,
        fps=fps,
        latency_us=latency_us,
        budget=budget,
        objective=objective,
        mhz=mhz,
        folding=wanted,
        source=source,
        progress=progress,
    )
    progress("emission")
    files = rtl.emit(design.structure)
    try:
        output.mkdir(parents=True, exist_ok=True)
        _write_manifest(output, "", {})  # a folder that a broken compilation left is still known as a build's
        _write(output, model, graph, design, [c.to_json() for c in certificates], config)
        if (output / "rtl").is_dir():
            shutil.rmtree(output / "rtl")
        files.write(output / "rtl")
        _store_samples(output / "data", graph, model.parent / "data")
        _write_manifest(output, inputs, _file_hashes(output))
    except OSError as error:
        raise ConfigError(f"{output} cannot be written ({error}): choose another output folder") from error
    return Build(output)


WRITTEN = ("model.onnx", "graph.json", "design.json", "proof.json", "folding.json", "prediction.json", "rtl")
"""What a compilation replaces in its folder."""


def _check_folder(output: Path) -> None:
    """Refuse a folder that cannot be written, or whose contents are not a build's.

    Raises:
        ConfigError: says which.
    """
    parent = next(p for p in (output, *output.absolute().parents) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigError(f"{output} cannot be written: {parent} is no folder that you may write to")
    foreign = [name for name in WRITTEN if (output / name).exists()]
    if foreign and _read_manifest(output) is None:
        raise ConfigError(f"{output} holds {foreign[0]}, but no manifest.json of a build: choose another output folder")


def _read_manifest(output: Path) -> Mapping[str, Any] | None:
    """A build's manifest, or None where there is none or it is damaged."""
    try:
        manifest = json.loads((output / "manifest.json").read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) and "inputs" in manifest
    return manifest if whole else None


def _write_manifest(output: Path, inputs: str, files: Mapping[str, str]) -> None:
    (output / "manifest.json").write_text(json.dumps({"inputs": inputs, "files": files}, indent=1) + "\n")


def _write(
    output: Path,
    model: Path,
    graph: Graph,
    design: Design,
    certificates: list[dict[str, Any]],
    config: CompileConfig,
) -> None:
    if model.resolve() != (output / "model.onnx").resolve():
        (output / "model.onnx").write_bytes(model_bytes(model))
    save_graph(graph, output / "graph.json")
    save_graph(design.graph, output / "design.json")
    asked = {n: getattr(config, n) for n in ("fps", "latency_us", "budget", "objective", "mhz")}
    asked |= {"folding": config.folding is not None, "argmax": config.argmax}
    for name, content in (
        ("proof.json", certificates),
        ("folding.json", folding_of(design.graph)),
        ("prediction.json", design.summary() | {"asked": asked}),
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


SAMPLES = ("inputs", "labels", "float", "qat")
"""Arrays that belong together in `data/`."""


def _holds_inputs(directory: Path, graph: Graph) -> bool:
    """Whether the folder holds inputs that fit the network."""
    try:
        graph.quantize(*(np.load(directory / _input_name(graph, i), allow_pickle=False) for i in graph.inputs))
    except (OSError, ValueError, GatewrightError):
        return False
    return True


def _check_data(output: Path, graph: Graph) -> None:
    """Refuse a folder without a manifest whose arrays do not fit: compiling would replace them.

    Raises:
        ConfigError: names the folder.
    """
    foreign = any((output / "data" / f"{name}.npy").exists() for name in SAMPLES)
    if foreign and _read_manifest(output) is None and not _holds_inputs(output / "data", graph):
        raise ConfigError(f"{output / 'data'} holds arrays that do not fit the network: choose another output folder")


def _store_samples(directory: Path, graph: Graph, beside: Path) -> None:
    """The samples that training left `beside` the model; else those that the folder holds already; else random inputs.

    Random ones cover the quantisers' whole range. Labels and reference outputs of other inputs go; nothing else in the
    folder is touched.
    """
    trained = beside.resolve() != directory.resolve() and _holds_inputs(beside, graph)
    if not trained and _holds_inputs(directory, graph):
        return
    for name in SAMPLES:
        (directory / f"{name}.npy").unlink(missing_ok=True)
    if trained:
        names = (*SAMPLES, *(_input_name(graph, item)[:-4] for item in graph.inputs))
        store_data(directory, **{n: np.load(beside / f"{n}.npy") for n in names if (beside / f"{n}.npy").is_file()})
        return
    rng = np.random.default_rng(0)
    for item in graph.inputs:
        store_data(directory, **{_input_name(graph, item)[:-4]: _sample(item, rng)})


def _input_name(graph: Graph, item: GraphInput) -> str:
    """The file of an input in `data/`; names such as those of TensorFlow hold what no file's may."""
    names: dict[str, str] = {}
    for i in graph.inputs:
        names[i.name] = unique_name(i.name, set(names.values()))
    return "inputs.npy" if len(names) == 1 else f"inputs_{names[item.name]}.npy"


def load_inputs(build: Build, data: str | Path | Array | None = None) -> tuple[Array, ...]:
    """A network's float inputs: an array, a `.npy` (one input), a `.npz` (by input name), else those stored.

    Raises:
        ConfigError: no such file, or not an array file.
    """
    graph = build.model_graph
    if data is None:
        return tuple(load_array(build.data / _input_name(graph, i)) for i in graph.inputs)
    if not isinstance(data, (str, Path)):
        return (np.asarray(data),)
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
        raise ConfigError(f"{path}: not a readable array file ({error}); write it with numpy.save") from error


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
    whole = hashlib.sha256(model_bytes(model))
    settings = {k: v for k, v in asdict(config).items() if k not in ("output", "folding")}
    whole.update(json.dumps([settings, folding], sort_keys=True, default=str).encode())
    kinds = ("rtl/**/*.sv", "ops/*.py", "boards/*/*.toml")
    sources = [*Path(__file__).parent.rglob("*.py"), *(p for r in resource_roots() for k in kinds for p in r.glob(k))]
    for path in sorted(sources):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def _file_hashes(output: Path) -> dict[str, str]:
    """Of every file of the build but `data/`, the manifest itself and what comes after it, by relative path."""
    later = {"manifest.json", "check.json", "report.html", "trace.npz", "trace.html", "bisect.vcd"}
    files = [p for p in sorted([*output.iterdir(), *(output / "rtl").rglob("*")]) if p.is_file()]
    return {
        str(p.relative_to(output)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.name not in later
    }


def _is_current(output: Path, inputs: str) -> bool:
    """Whether the folder holds, unchanged, what these inputs gave."""
    manifest = _read_manifest(output)
    return manifest is not None and manifest["inputs"] == inputs and not any(_damage(output, manifest))


def _damage(output: Path, manifest: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Files of the manifest that are missing, and those that changed."""
    missing = [name for name in manifest["files"] if not (output / name).is_file()]
    changed = [
        name
        for name, digest in manifest["files"].items()
        if name not in missing and hashlib.sha256((output / name).read_bytes()).hexdigest() != digest
    ]
    return missing, changed
