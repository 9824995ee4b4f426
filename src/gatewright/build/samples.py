# SPDX-License-Identifier: Apache-2.0
"""The frames of a build: what `compile` stores in `data/`, and what a stage runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gatewright.build.folder import Build, read_manifest
from gatewright.errors import ConfigError, GatewrightError
from gatewright.ir.chain import affine_form
from gatewright.ir.graph import Graph, GraphInput
from gatewright.ir.importing import unique_name

Array = npt.NDArray[np.generic]

SAMPLE_FRAMES = 8
"""Random frames that `compile` stores, so that `check` has something to run."""


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


def check_data(output: Path, graph: Graph) -> None:
    """Refuse a folder without a manifest whose arrays do not fit: compiling would replace them.

    Raises:
        ConfigError: names the folder.
    """
    foreign = any((output / "data" / f"{name}.npy").exists() for name in SAMPLES)
    if foreign and read_manifest(output) is None and not _holds_inputs(output / "data", graph):
        raise ConfigError(f"{output / 'data'} holds arrays that do not fit the network: choose another output folder")


def store_samples(directory: Path, graph: Graph, beside: Path) -> None:
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
        return stored_inputs(build.data, graph)
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


def stored_inputs(directory: Path, graph: Graph) -> tuple[Array, ...]:
    """A network's float inputs in a build's `data/`.

    Raises:
        ConfigError: no such file, or not an array file.
    """
    return tuple(load_array(directory / _input_name(graph, i)) for i in graph.inputs)


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
