# SPDX-License-Identifier: Apache-2.0
"""A build folder on disk: what belongs to it, and whether it is still what `compile` wrote."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gatewright.config import ALL_TARGETS
from gatewright.design.structure import Structure, structure
from gatewright.errors import ConfigError, MissingTargetError
from gatewright.ir.graph import Graph
from gatewright.ir.serial import load_graph
from gatewright.runtime.kernel_map import KernelMap


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
        manifest = read_manifest(directory)
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
        manifest = read_manifest(self.directory)
        return [] if manifest is None else _damage(self.directory, manifest)[1]

    def fingerprint(self) -> str:
        """SHA-256 over what `compile` wrote and the stored data, as they are now: a result belongs to one state."""
        manifest = read_manifest(self.directory) or {"files": {}}
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

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """What it was compiled for, in the order of `ALL_TARGETS`."""
        manifest = read_manifest(self.directory) or {"files": {}}
        there = {name.split("/")[0] for name in manifest["files"]}
        return tuple(t for t in ALL_TARGETS if t in there)

    def emitted(self, target: str) -> Path:
        """The folder of a target's files.

        Raises:
            MissingTargetError: it was not compiled for this target.
        """
        if target not in self.targets:
            asked = {*self.targets, target} | ({"rtl"} if target == "kernel" else set())
            wanted = ",".join(t for t in ALL_TARGETS if t in asked)
            raise MissingTargetError(
                f"{self.directory} has no {target}/: it was compiled for {', '.join(self.targets)} alone; "
                f"compile the model again with --target {wanted}"
            )
        return self.directory / target

    @property
    def rtl(self) -> Path:
        """The folder of the emitted SystemVerilog; see `emitted`."""
        return self.emitted("rtl")

    @property
    def bus_bits(self) -> int:
        """Width of its ports to memory.

        Raises:
            ConfigError: the prediction is missing or damaged.
        """
        return int(self.summary()["bus_bits"])

    @cached_property
    def kernel(self) -> KernelMap:
        """What kernel.json says of the AXI kernel.

        Raises:
            MissingTargetError: it was compiled without one.
            ConfigError: it is not readable, or of another design than design.json.
        """
        from gatewright.emit.kernel import kernel_map  # which takes time to load

        kernel = KernelMap.load(self.emitted("kernel") / "kernel.json")
        expected = kernel_map(self.design_graph, self.structure, kernel.bus_bits).hash
        if kernel.hash != expected:
            raise ConfigError(
                f"{self.directory}/kernel is of the design {kernel.hash}, and design.json is {expected}: compile again"
            )
        return kernel

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
            int(prediction["interval_cycles"]), int(prediction["latency_cycles"]), int(prediction["bus_bits"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path}: not a readable prediction ({error!r}); compile the model again") from error
        return prediction

    def streamed_bytes(self) -> list[int]:
        """Of weights that each port reads for every frame."""
        return [w["bytes"] * w["reads_per_frame"] for w in self.summary()["streamed"]]


WRITTEN = ("model.onnx", "graph.json", "design.json", "proof.json", "folding.json", "prediction.json", *ALL_TARGETS)
"""What a compilation replaces in its folder."""


def check_folder(output: Path) -> None:
    """Refuse a folder that cannot be written, or whose contents are not a build's.

    Raises:
        ConfigError: says which.
    """
    parent = next(p for p in (output, *output.absolute().parents) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigError(f"{output} cannot be written: {parent} is no folder that you may write to")
    foreign = [name for name in WRITTEN if (output / name).exists()]
    if foreign and read_manifest(output) is None:
        raise ConfigError(f"{output} holds {foreign[0]}, but no manifest.json of a build: choose another output folder")


def read_manifest(output: Path) -> Mapping[str, Any] | None:
    """A build's manifest, or None where there is none or it is damaged."""
    try:
        manifest = json.loads((output / "manifest.json").read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) and "inputs" in manifest
    return manifest if whole else None


def write_manifest(output: Path, inputs: str, files: Mapping[str, str]) -> None:
    """The manifest of a build: a hash of what went in, and of each file that came out, by relative path."""
    (output / "manifest.json").write_text(json.dumps({"inputs": inputs, "files": files}, indent=1) + "\n")


def file_hashes(output: Path) -> dict[str, str]:
    """Of every file of the build but `data/`, the manifest itself and what comes after it, by relative path."""
    later = {"manifest.json", "check.json", "bundle.tar.gz", "report.html", "trace.npz", "trace.html", "bisect.vcd"}
    emitted = (p for target in ALL_TARGETS for p in (output / target).rglob("*"))
    files = [p for p in sorted([*output.iterdir(), *emitted]) if p.is_file()]
    return {
        str(p.relative_to(output)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.name not in later
    }


def is_current(output: Path, inputs: str) -> bool:
    """Whether the folder holds, unchanged, what these inputs gave."""
    manifest = read_manifest(output)
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
