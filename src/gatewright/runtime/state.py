# SPDX-License-Identifier: Apache-2.0
"""What the registers of a kernel hold, in words, and which FIFO holds a run up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Mapping, Sequence

from . import kernel_map as k
from .kernel_map import KernelEdge, KernelMap

Read = Callable[[int], int]
FAULTS = (
    "read SLVERR", "read DECERR", "write SLVERR", "write DECERR", "address not aligned", "no frames", "aborted",
)  # fmt: skip
"""By bit of the fault register."""


@dataclass(frozen=True)
class EdgeState:
    """A FIFO, now and in this run.

    Attributes:
        edge: which.
        fill: words in it.
        offered, accepts: something stands at its input; it has room for it.
        filled, taken: it has a word at its output; the consumer is ready for one.
        stalled: cycles in which something waited at its input.
        starved: cycles in which the consumer waited at its output.
        words: that left it.
    """

    edge: KernelEdge
    fill: int
    offered: bool
    accepts: bool
    filled: bool
    taken: bool
    stalled: int
    starved: int
    words: int

    @property
    def full(self) -> bool:
        """Whether it keeps its source waiting."""
        return self.offered and not self.accepts

    @property
    def empty(self) -> bool:
        """Whether it has nothing for its consumer, which may not say that it waits: a join takes both words or none."""
        return not self.filled

    def __str__(self) -> str:
        e = self.edge
        mood = "full" if self.full else "empty" if self.empty else "waits for its consumer"
        return (
            f"{e.name} ({e.source} -> {e.consumer}): {mood}, {self.fill} of {e.depth} words, {self.words} have left; "
            f"stalled {self.stalled} cycles at its input, starved {self.starved} at its output"
        )


@dataclass(frozen=True)
class KernelState:
    """All registers of a kernel that say what it does.

    Attributes:
        control: of the control register: "start", "done", "idle", "ready".
        frames: that the run was asked for.
        frames_done: that wholly left the design.
        cycles: of this run, or of the last one.
        first_frame, last_frame: cycle at which the first and the newest frame had wholly left.
        faults: what went wrong, in words of `FAULTS`.
        read_faults, write_faults: bursts that memory answered with an error.
        fault_address, fault_port: of the first of them.
        aborting: an abort is going on.
        edges: the FIFOs, in the order of the kernel's map.
        link: what went wrong on a serial line so far and was done again, by name; empty where there is none.
    """

    control: tuple[str, ...]
    frames: int
    frames_done: int
    cycles: int
    first_frame: int
    last_frame: int
    faults: tuple[str, ...]
    read_faults: int
    write_faults: int
    fault_address: int
    fault_port: str
    aborting: bool
    edges: tuple[EdgeState, ...]
    link: Mapping[str, int] = field(default_factory=dict)

    @property
    def cycles_per_frame(self) -> float | None:
        """On average between the first frame and the newest; None where fewer than two have left."""
        more = self.frames_done - 1
        return (self.last_frame - self.first_frame) / more if more > 0 else None

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.frames_done} of {self.frames} frames after {self.cycles} cycles; first at {self.first_frame}, "
            f"newest at {self.last_frame}; control: {', '.join(self.control) or 'busy'}",
            f"faults: {', '.join(self.faults) or 'none'}",
            *map(str, self.edges),
            *link_lines(self.link),
        ]
        return "\n".join(lines)


def link_lines(link: Mapping[str, int]) -> list[str]:
    """What became of a serial line, in a line of text; none where there is no such line."""
    return [f"line: {', '.join(f'{count:,} {what}' for what, count in link.items())}"] if link else []


def read_state(
    kernel: KernelMap, read: Read, control: int | None = None, link: Mapping[str, int] | None = None
) -> KernelState:
    """Read all of it: some 20 registers, and four an edge.

    Args:
        read: reads a register of 32 bits at an offset.
        control: what the control register held; else it is read, which clears "done".
        link: counters of a serial line.
    """
    value = read(k.CONTROL) if control is None else control
    bits = (("start", k.START), ("done", k.DONE), ("idle", k.IDLE), ("ready", k.READY))
    at = kernel.status
    flags = read(at + k.FAULTS)
    masters = dict(enumerate(kernel.ports))
    return KernelState(
        control=tuple(name for name, bit in bits if value & bit),
        frames=read(kernel.frames_register),
        frames_done=read(at + k.FRAMES),
        cycles=read_long(read, at + k.CYCLES),
        first_frame=read_long(read, at + k.FIRST_FRAME),
        last_frame=read_long(read, at + k.LAST_FRAME),
        faults=fault_names(flags),
        read_faults=read(at + k.READ_FAULTS),
        write_faults=read(at + k.WRITE_FAULTS),
        fault_address=read_long(read, at + k.FAULT_ADDRESS),
        fault_port=masters.get(read(at + k.FAULT_MASTER), "?"),
        aborting=bool(read(at + k.ABORT) & 1),
        edges=tuple(_edge_state(kernel, e, read) for e in range(len(kernel.edges))),
        link=dict(link or {}),
    )


def read_long(read: Read, offset: int) -> int:
    """A counter of 64 bits whose halves are read one after the other, while it may go on."""
    high = read(offset + 4)
    while True:
        low, again = read(offset), read(offset + 4)
        if again == high:
            return high << 32 | low
        high = again


def fault_names(flags: int) -> tuple[str, ...]:
    """The set bits of the fault register, in words."""
    return tuple(name for i, name in enumerate(FAULTS) if flags >> i & 1)


def _edge_state(kernel: KernelMap, index: int, read: Read) -> EdgeState:
    at = kernel.edge_register(index)
    now, stalled, starved, words = (read(at + 4 * i) for i in range(4))
    offered, accepts, filled, taken = (bool(now >> bit & 1) for bit in (31, 30, 29, 28))
    return EdgeState(kernel.edges[index], now & 0xFFFFFF, offered, accepts, filled, taken, stalled, starved, words)


@dataclass(frozen=True)
class Culprit:
    """What holds a run up.

    Attributes:
        edge: the FIFO that says so; None where all are still.
        text: in words.
    """

    edge: EdgeState | None
    text: str


def find_culprit(state: KernelState, inputs: Sequence[str]) -> Culprit:
    """The FIFO that holds a run up, from one look at all of them while nothing moves.

    It starts at the units behind which there is only memory. One that has a word on every input and takes none is held
    up by memory. Else one of its FIFOs is empty, and the question is why, unit by unit towards the inputs: a unit that
    lacks a word itself passes it on; a unit another FIFO of which is full is held up by that one, which is too shallow,
    or whose consumer waits for the first; at an input, memory gives nothing; a unit that has what it needs and room for
    its results is itself to blame.

    Args:
        inputs: names of the tensors that come from memory.
    """
    sources = {e.edge.source for e in state.edges}
    last = [e for e in state.edges if e.edge.consumer not in sources]
    if state.frames_done >= state.frames:
        return Culprit(None, "all frames have left the design, but memory has not taken all results")
    for unit in dict.fromkeys(e.edge.consumer for e in last):
        feeding = [e for e in last if e.edge.consumer == unit]
        if not any(e.empty for e in feeding):
            return Culprit(feeding[-1], f"memory takes no results of {unit}: {feeding[-1]}")
    lacking = [e for e in last or state.edges if e.empty]
    return _why(lacking[-1], state, inputs) if lacking else Culprit(None, "no FIFO of this design says why")


def _why(edge: EdgeState, state: KernelState, inputs: Sequence[str]) -> Culprit:
    """Why a FIFO is empty."""
    seen: set[str] = set()
    while edge.edge.name not in seen:
        seen.add(edge.edge.name)
        unit = edge.edge.source
        feeding = [e for e in state.edges if e.edge.consumer == unit]
        held = [e for e in state.edges if e.edge.source == unit and e.full]
        if held:
            return Culprit(held[0], _held(held[0], edge))
        if unit in inputs:
            return Culprit(edge, f"memory gives no more of input {unit!r}: {edge}")
        if not feeding:
            return Culprit(edge, f"{unit} gives nothing: {edge}")
        lacking = [e for e in feeding if e.empty]
        if not lacking:
            return Culprit(feeding[0], f"{unit} takes nothing more and gives nothing, though it has room: {feeding[0]}")
        edge = lacking[0]
    return Culprit(edge, f"units wait for each other in a circle: {edge}")


def _held(full: EdgeState, empty: EdgeState) -> str:
    return (
        f"{full.edge.source} is held up by a FIFO that is full, while another that it feeds is empty. Full is {full}. "
        f"Empty is {empty}. The first is too shallow, or its consumer waits for the second"
    )
