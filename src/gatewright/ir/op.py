# SPDX-License-Identifier: Apache-2.0
"""What an operator says of itself, and how operators are found.

An operator is a frozen dataclass in `ops/<operator>.py`. Its integer and boolean fields become parameters of the same
name in every target (`pe` in Python, `PE` in SystemVerilog, `Cfg::pe` in C++); nothing else in the project names it.
A file is all it takes: `discover` imports every module of `gatewright.ops`, and every `ops/*.py` of the folders
in the environment variable `GATEWRIGHT_PATH`, whose kernels lie in `rtl/` and `hls/` beside `ops/`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gatewright.errors import ConfigError
from gatewright.ir.cost import Features, estimate
from gatewright.ir.hls4ml import Layers, Windows
from gatewright.ir.schedule import Schedule
from gatewright.ir.types import IntArray, Stream, Tensor

if TYPE_CHECKING:
    from gatewright.ir.importing import ImportContext, OnnxNode

TARGETS = {"rtl": "rtl/{}.sv", "hls": "hls/gatewright/{}.hpp", "systemc": "hls/gatewright/{}.hpp"}
"""Where each target's kernel of an operator lies, below a resource root."""

EXTENSIONS = "gatewright_extensions"
"""Package name under which operators from `GATEWRIGHT_PATH` are imported."""

_registry: dict[str, type[Op]] = {}


@dataclass(frozen=True, eq=False)
class Memory:
    """Contents of a ROM in the order in which the kernel reads it.

    Attributes:
        words: int64 of shape (depth, elements): one row a word, element 0 in the low bits.
        bits: of one element; negative elements are stored in two's complement.
    """

    words: IntArray
    bits: int

    @property
    def stream(self) -> Stream:
        """The words on a wire, one a beat and all of them a frame."""
        return Stream(self.bits, self.words.shape[1], len(self.words), bool((self.words < 0).any()))

    def hex_lines(self) -> list[str]:
        """One hexadecimal word a row, for `$readmemh`."""
        width = self.bits * self.words.shape[1]
        bits = np.empty((*self.words.shape, self.bits), np.uint8)
        for i in range(self.bits):
            bits[..., i] = self.words >> i & 1
        rows = np.packbits(bits.reshape(len(bits), width), axis=1, bitorder="little")[:, ::-1]
        digits = -(-width // 4)
        return [row.tobytes().hex()[-digits:] for row in np.ascontiguousarray(rows)]


@dataclass(frozen=True, eq=False)
class Bounds:
    """Exact limits per channel of one output: `lo[c]` and `hi[c]` are reached by some input.

    Attributes:
        lo, hi: Python integers, one per channel.
        partial_lo, partial_hi: limits of every partial sum in any order; equal to lo and hi where nothing is summed.
        witness: what reaches a bound, in words.
    """

    lo: tuple[int, ...]
    hi: tuple[int, ...]
    partial_lo: int | None = None
    partial_hi: int | None = None
    witness: str = ""


class Op(ABC):
    """Base of all operators. Subclasses are frozen dataclasses with one class per file."""

    composite: ClassVar[bool] = False
    """Has a reference but no kernel: a pass lowers it to operators that have one."""
    gives_positions: ClassVar[bool] = False
    """Gives positions of channels, such as labels, and not numbers on a scale."""
    streamable: ClassVar[tuple[str, ...]] = ()
    """Memories that the RTL kernel can do without: with parameter `STREAM_<NAME>` 1 it reads their words from a port
    `<name>_axis`, one in every step in their order, again and again. Such an operator has a field `streamed`."""

    def __init_subclass__(cls) -> None:
        folder, _, name = cls.__module__.rpartition(".")
        if folder in ("gatewright.ops", EXTENSIONS):  # a subclass made elsewhere, as in a notebook, is no operator
            _registry[name] = cls

    # --- what it computes -------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Types of the inputs; by default the one field `source`."""
        return (self.source,)  # type: ignore[attr-defined]  # a subclass without it overrides this property

    @property
    @abstractmethod
    def outputs(self) -> tuple[Tensor, ...]:
        """Types of the outputs."""

    @abstractmethod
    def reference(self, *xs: IntArray) -> tuple[IntArray, ...]:
        """The golden integers: int64 arrays of shape (frames, *shape) in, the same out."""

    @abstractmethod
    def bounds(self) -> tuple[Bounds, ...]:
        """Exact limits of every output from the exact limits of the inputs, in Python integers."""

    @classmethod
    def from_onnx(cls, node: OnnxNode, ctx: ImportContext) -> bool:
        """Take `node` from a model if it is this operator's, and say whether it was.

        Raises:
            UnsupportedError: it is this operator's, but in a form that has no hardware.
        """
        return False

    @classmethod
    @abstractmethod
    def examples(cls) -> list[Op]:
        """Small instances for tests: every field takes several values, edges included."""

    def lower(self) -> tuple[Op, ...] | None:
        """For an operator with one input and output: the chain of operators that equals it; None to keep it."""
        return None

    def step_positions(self) -> IntArray | None:
        """For an elementwise operator that is monotone per channel: where its output changes.

        int64 of shape (channels, steps), ascending; `source.hi + 1` for steps that are never reached. What the proof
        compares a lowered operator by.
        """
        return None

    # --- in hls4ml --------------------------------------------------------------------------------------------------

    def hls4ml(self) -> Layers | None:
        """The layers of hls4ml that compute it; None where hls4ml has none.

        Raises:
            ConfigError: hls4ml has none for this instance, and why.
        """
        return None

    def hls4ml_of_windows(self, windows: Windows) -> Layers | None:
        """The same for an operator whose input is made of windows, which its layers read themselves."""
        return None

    # --- its hardware -----------------------------------------------------------------------------------------------

    @property
    def in_lanes(self) -> tuple[int, ...]:
        """Elements a beat of each input; by default `pe` on all."""
        return (getattr(self, "pe", 1),) * len(self.inputs)

    @property
    def out_lanes(self) -> tuple[int, ...]:
        """Elements a beat of each output; by default `pe` on all."""
        return (getattr(self, "pe", 1),) * len(self.outputs)

    @property
    def in_streams(self) -> tuple[Stream, ...]:
        """The inputs on wires, as folded."""
        return tuple(t.stream(n) for t, n in zip(self.inputs, self.in_lanes, strict=True))

    @property
    def out_streams(self) -> tuple[Stream, ...]:
        """The outputs on wires, as folded."""
        return tuple(t.stream(n) for t, n in zip(self.outputs, self.out_lanes, strict=True))

    def foldings(self) -> Mapping[str, tuple[int, ...]]:
        """Legal values of each folding field, ascending."""
        return {}

    @property
    def cycles(self) -> int:
        """Cycles of one frame at full speed; must equal `schedule().steps` and be cheap."""
        return self.schedule().steps

    def schedule(self) -> Schedule:
        """When the kernel takes and gives each beat."""
        raise NotImplementedError(f"{self.name()} has no hardware")

    def features(self) -> Features | None:
        """What the kernel is built of, for the resource model; None leaves the model the widths of the ports alone."""
        return None

    def resources(self, family: str = "xc7") -> Mapping[str, float]:
        """Estimated LUT, FF, block RAM and DSP of the kernel on a family of chips ("xc7", "xcup" or "ecp5")."""
        features = self.features() or Features({})
        sides = {"in_bits": self.in_streams, "out_bits": self.out_streams}
        ports = {name: float(sum(s.width for s in streams)) for name, streams in sides.items()}
        return estimate(self.name(), replace(features, counts=ports | dict(features.counts)), family)

    def memories(self) -> Mapping[str, Memory | tuple[Memory, ...]]:
        """ROM contents by name; a tuple is a family of ROMs numbered from 0."""
        return {}

    def memory_shape(self, name: str) -> tuple[int, int]:
        """Words of a memory and bits of a word; of one that is streamable, overridden so that it is cheap."""
        memory = self.memories()[name]
        first = memory if isinstance(memory, Memory) else memory[0]
        return first.words.shape[0], first.words.shape[1] * first.bits

    @property
    def streamed(self) -> tuple[str, ...]:
        """Memories, of `streamable`, whose words come through a port of the RTL kernel; none unless a field says so."""
        return ()

    def parameters(self) -> dict[str, int]:
        """Parameters of the kernel: integer fields, then bits, lanes, beats and sign of every stream."""
        own = {f.name: int(v) for f in fields(self) if isinstance(v := getattr(self, f.name), int)}  # type: ignore[arg-type]  # subclasses are dataclasses
        for side, streams in (("in", self.in_streams), ("out", self.out_streams)):
            for i, s in enumerate(streams):
                prefix = side if len(streams) == 1 else f"{side}{i}"
                own |= {f"{prefix}_{k}": int(getattr(s, k)) for k in ("bits", "lanes", "beats", "signed")}
        for name, memory in self.memories().items():
            own[f"{name}_bits"] = (memory if isinstance(memory, Memory) else memory[0]).bits
        return own

    @classmethod
    def name(cls) -> str:
        """The operator's name: that of its module and of its kernel in every target."""
        return cls.__module__.rpartition(".")[2]

    def check_streamed(self) -> None:
        """Refuse memories in `streamed` that cannot be.

        Raises:
            ConfigError: names those that can.
        """
        for name in self.streamed:
            if name not in self.streamable:
                raise ConfigError(f"{self.name()}: streamed={self.streamed!r}: choose from {self.streamable!r}")

    def check_folding(self, **limits: tuple[int, str]) -> None:
        """Refuse a folding field that does not divide what it folds.

        Args:
            limits: per field, the number it must divide and what that counts.

        Raises:
            ConfigError: names the field, its value and the legal values.
        """
        for name, (total, what) in limits.items():
            value = getattr(self, name)
            if value < 1 or total % value:
                legal = divisors(total)
                text = ", ".join(map(str, legal[:-1])) + f" or {legal[-1]}" if len(legal) > 1 else str(legal[0])
                raise ConfigError(f"{self.name()}: {name}={value!r} does not divide {total} {what}: use {text}")


def step_probes(positions: IntArray, source: Tensor) -> IntArray:
    """Inputs that decide a monotone function: both limits, and each step with the value before it.

    Args:
        positions: int64 of shape (channels, steps).

    Returns:
        int64 of shape (probes, channels), within the limits of `source`.
    """
    ends = np.broadcast_to(np.array([[source.lo], [source.hi]]), (2, len(positions)))
    probes = np.concatenate([ends, positions.T, positions.T - 1])
    return as_int64(np.clip(probes, source.lo, source.hi))


def divisors(n: int) -> tuple[int, ...]:
    """The divisors of n, ascending."""
    return tuple(d for d in range(1, n + 1) if n % d == 0)


def port_prefixes(op: Op) -> tuple[list[str], list[str]]:
    """AXI4-Stream prefixes of a kernel's ports: `s_axis`/`m_axis`, numbered (`s0_axis`) where there are several."""

    def names(letter: str, count: int) -> list[str]:
        return [f"{letter}_axis"] if count == 1 else [f"{letter}{i}_axis" for i in range(count)]

    return names("s", len(op.inputs)), names("m", len(op.outputs))


def extension_roots() -> tuple[Path, ...]:
    """Folders with further operators, from `GATEWRIGHT_PATH`."""
    return tuple(Path(p) for p in os.environ.get("GATEWRIGHT_PATH", "").split(os.pathsep) if p)


@functools.cache
def package_root() -> Path:
    """The folder that holds `rtl/`, `hls/` and `boards/`: inside the wheel, else the checkout."""
    package = Path(__file__).resolve().parents[1]
    return package / "_data" if (package / "_data").is_dir() else package.parents[1]


def resource_roots() -> tuple[Path, ...]:
    """Where kernels and boards are looked for, in this order."""
    return (package_root(), *extension_roots())


def kernel_path(operator: str, target: str) -> Path | None:
    """The hand-written kernel of an operator for a target, or None where there is none."""
    paths = (root / TARGETS[target].format(operator) for root in resource_roots())
    return next((p for p in paths if p.is_file()), None)


def discover() -> dict[str, type[Op]]:
    """Every operator by name, sorted. A new file in an `ops` folder is a new operator."""
    import gatewright.ops

    for module in pkgutil.iter_modules(gatewright.ops.__path__):
        importlib.import_module(f"gatewright.ops.{module.name}")
    for root in extension_roots():
        for path in sorted((root / "ops").glob("*.py")):
            _import_extension(path)
    known = set(extension_roots())
    return {n: c for n, c in sorted(_registry.items()) if _is_current(c, known)}


def _import_extension(path: Path) -> None:
    name = f"{EXTENSIONS}.{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return
    if path.stem in _registry and _registry[path.stem].__module__.startswith("gatewright.ops."):
        raise ConfigError(f"{path}: an operator called {path.stem!r} is built in: rename the file and its kernels")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported as an operator")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _is_current(cls: type[Op], roots: set[Path]) -> bool:
    """Whether a registered class is built in or comes from a folder that is still on the path."""
    if not cls.__module__.startswith(f"{EXTENSIONS}."):
        return True
    file = sys.modules[cls.__module__].__file__ if cls.__module__ in sys.modules else None
    return file is not None and Path(file).parents[1] in roots


def describe(cls: type[Op]) -> str:
    """One line on an operator: the first sentence of its docstring."""
    return re.sub(r"\s+", " ", (cls.__doc__ or "").strip().split("\n\n")[0])


def field_values(op: Op) -> dict[str, Any]:
    """The fields of an operator by name, in order."""
    return {f.name: getattr(op, f.name) for f in fields(op)}  # type: ignore[arg-type]  # subclasses are dataclasses


def as_int64(x: Any) -> IntArray:
    """`x` as a read-only int64 array."""
    out = np.array(x, np.int64)
    out.setflags(write=False)
    return out
