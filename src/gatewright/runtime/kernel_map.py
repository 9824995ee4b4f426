# SPDX-License-Identifier: Apache-2.0
"""What the driver has to know of a kernel, as `kernel.json`: its registers, its memory ports and its FIFOs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Mapping

from .errors import ConfigError
from .types import Stream

FORMAT = 1

# The control block is that of Vitis' `ap_ctrl_hs`.
CONTROL, GLOBAL_INTERRUPT, INTERRUPT_ENABLE, INTERRUPT_STATUS = 0x00, 0x04, 0x08, 0x0C
START, DONE, IDLE, READY = 1, 2, 4, 8
FIRST_ARGUMENT = 0x10

# Relative to `KernelMap.status`.
MAGIC, EDGES, BUS_BITS, ABORT, HASH = 0x00, 0x04, 0x08, 0x0C, 0x10
CYCLES, FIRST_FRAME, LAST_FRAME, FRAMES = 0x20, 0x28, 0x30, 0x38
FAULTS, READ_FAULTS, WRITE_FAULTS, FAULT_ADDRESS, FAULT_MASTER = 0x40, 0x44, 0x48, 0x50, 0x58
EDGE, EDGE_BYTES = 0x80, 16
MAGIC_WORD = 0x314B5747
"""GWK1"""
HAS_STALLS = 1 << 16
"""In the register of the edges: there are stall counters."""
READ_SLVERR, READ_DECERR, WRITE_SLVERR, WRITE_DECERR, UNALIGNED, NO_FRAMES, ABORTED = (1 << i for i in range(7))


@dataclass(frozen=True)
class Argument:
    """A memory port of the kernel, and the frames behind it.

    Attributes:
        name: of the graph's input, or of the first output that leaves by it.
        port: "gmem0", ...
        register: offset of the low word of its 64-bit address.
        frame_bytes: of one frame in memory, padded to whole bus words.
        bits, signed, bipolar: of an element.
        elements: of a frame, without padding.
        outputs: names of the graph's outputs that leave by it; none for an input.
    """

    name: str
    port: str
    register: int
    frame_bytes: int
    bits: int
    signed: bool
    bipolar: bool
    elements: int
    outputs: tuple[str, ...] = ()

    @property
    def stream(self) -> Stream:
        """A frame as one word."""
        return Stream(self.bits, self.elements, 1, self.signed, self.bipolar)


@dataclass(frozen=True)
class Weights:
    """A memory port through which a unit reads weights, again and again, and what has to lie there.

    Attributes:
        name: of the unit and of its memory.
        port: "gmem2", ...
        register: offset of the low word of the 64-bit address.
        image_bytes: of all that lies there, whole bus words.
        file: that holds it, relative to a build or a bundle.
    """

    name: str
    port: str
    register: int
    image_bytes: int
    file: str

    @property
    def frame_bytes(self) -> int:
        """Of all that lies there, which is one frame that is read again and again."""
        return self.image_bytes


@dataclass(frozen=True)
class KernelEdge:
    """A FIFO of the design.

    Attributes:
        name: unique.
        tensor: what it carries.
        source, consumer: the units that it joins; a port of the design has the name of its tensor.
        depth: in words.
        bits: of a word.
    """

    name: str
    tensor: str
    source: str
    consumer: str
    depth: int
    bits: int


@dataclass(frozen=True)
class KernelMap:
    """A kernel.

    Attributes:
        kernel: name of its top module.
        name: of the design.
        bus_bits: width of its memory ports; addresses are multiples of as many bytes.
        hash: 32 hex digits, the first 16 bytes of a SHA-256.
        control_bytes: size of the window of its registers.
        inputs, outputs: its memory ports.
        frames_register, status: offsets of the number of frames and of the status block.
        edges: its FIFOs in the order of their registers.
        sources: its files, relative to a build, in the order of compilation.
        weights: memory ports that only read what never changes; their addresses are written once.
    """

    kernel: str
    name: str
    bus_bits: int
    hash: str
    control_bytes: int
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    frames_register: int
    status: int
    edges: tuple[KernelEdge, ...]
    sources: tuple[str, ...] = ()
    weights: tuple[Weights, ...] = ()

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Inputs, then outputs, as their ports are numbered."""
        return self.inputs + self.outputs

    @property
    def ports(self) -> tuple[str, ...]:
        """All memory ports: of inputs, of outputs, of weights."""
        return tuple(a.port for a in self.arguments) + tuple(w.port for w in self.weights)

    def edge_register(self, edge: int) -> int:
        """Offset of the first of the four registers of an edge."""
        return self.status + EDGE + EDGE_BYTES * edge

    def to_json(self) -> dict[str, Any]:
        """The content of `kernel.json`."""
        return {"format": FORMAT, **json.loads(json.dumps(asdict(self)))}

    @classmethod
    def from_json(cls, text: Mapping[str, Any]) -> KernelMap:
        """The inverse of `to_json`.

        Raises:
            ConfigError: another format, or a field that is missing or unknown.
        """
        if text.get("format") != FORMAT:
            raise ConfigError(f"kernel.json: format {text.get('format')!r} is not {FORMAT}: compile the model again")
        content = {k: v for k, v in text.items() if k != "format"}
        for key, record in (("inputs", Argument), ("outputs", Argument), ("edges", KernelEdge), ("weights", Weights)):
            content[key] = tuple(_record(record, key, entry) for entry in content.get(key, ()))
        kernel: KernelMap = _record(cls, "kernel.json", content)
        return kernel

    @classmethod
    def load(cls, path: str | Path) -> KernelMap:
        """Read `kernel.json`.

        Raises:
            ConfigError: no such file, or not a readable one.
        """
        try:
            text = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: not a readable kernel.json ({error}); compile the model again") from error
        return cls.from_json(text)


def _record(cls: type[Any], where: str, content: Mapping[str, Any]) -> Any:
    """An instance from JSON; lists become tuples."""
    optional = {"outputs"} if cls is Argument else {"sources", "weights"} if cls is KernelMap else set()
    names = {f.name for f in fields(cls)}
    missing, unknown = sorted(names - optional - set(content)), sorted(set(content) - names)
    if missing or unknown:
        what = f"lacks {missing!r}" if missing else f"has {unknown!r}, which nothing here knows"
        raise ConfigError(f"{where}: {what}; compile the model again")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})
