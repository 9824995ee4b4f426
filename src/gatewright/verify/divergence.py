# SPDX-License-Identifier: Apache-2.0
"""What `bisect` says: where two stages of a network part, and what was compared before that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from gatewright.frontend.origin import Origin
from gatewright.ir.types import IntArray, Tensor

Kind = Literal["value", "output", "damage", "beats", "last", "protocol", "assertion", "stall", "timing"]
Status = Literal["agree", "differ", "not_run"]


@dataclass(frozen=True)
class Place:
    """An element of a tensor.

    Attributes:
        frame: of the inputs.
        index: in the frame, channels last.
        first, second: the value in either stage.
        bits: positions in which the two differ, 0 the lowest; empty where they are no integers.
    """

    frame: int
    index: tuple[int, ...]
    first: int | float
    second: int | float
    bits: tuple[int, ...] = ()

    @property
    def channel(self) -> int:
        """The last index."""
        return self.index[-1]

    @property
    def pixel(self) -> tuple[int, ...]:
        """Row and column, or whatever stands before the channel."""
        return self.index[:-1]

    def __str__(self) -> str:
        names = {1: ("column",), 2: ("row", "column")}.get(len(self.pixel), tuple("axis" for _ in self.pixel))
        where = [f"frame {self.frame}", *(f"{n} {i}" for n, i in zip(names, self.pixel, strict=True))]
        return ", ".join([*where, f"channel {self.channel}"])


@dataclass(frozen=True)
class Divergence:
    """The first difference between two stages.

    Attributes:
        stages: the two.
        kind: "value" of a tensor; "output" of the model; "damage" of a file; number or order of "beats"; "last" on a
            wrong beat; breach of the stream "protocol"; an "assertion" of a kernel; a "stall"; "timing" that was not
            predicted.
        node: of the graph that the unit or FIFO belongs to; empty for an input or output of the network.
        operator: of the node.
        part: the piece of hardware, or the node itself.
        tensor: that differs.
        text: what was seen.
        place: the first element that differs.
        cycle: in which it passed.
        origin: the model's nodes, with source lines.
        hints: what else was found that explains it.
        wave: a waveform around the cycle.
        outputs_equal: whether the network's outputs are equal all the same.
    """

    stages: tuple[str, str]
    kind: Kind
    node: str
    operator: str
    part: str
    tensor: str
    text: str
    place: Place | None = None
    cycle: int | None = None
    origin: tuple[Origin, ...] = ()
    hints: tuple[str, ...] = ()
    wave: str | None = None
    outputs_equal: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """All fields by name; those of the place with channel and pixel."""
        out = asdict(self)
        if self.place is not None:
            out["place"] |= {"channel": self.place.channel, "pixel": list(self.place.pixel)}
        return out


@dataclass(frozen=True)
class Step:
    """Two stages, compared.

    Attributes:
        stages: the two.
        status: "agree" only if both ran and nothing differs.
        frames: compared.
        tensors: compared, or streams of the hardware.
        ties: differences within 1e-6 of a rounding boundary, which float32 makes.
        reason: why it was not run.
    """

    stages: tuple[str, str]
    status: Status
    frames: int = 0
    tensors: int = 0
    ties: int = 0
    reason: str = ""
    divergence: Divergence | None = None


@dataclass(frozen=True)
class Bisection:
    """What `bisect` found.

    Attributes:
        steps: pairs of stages in the order of the chain; the last one differs, or all agree.
        changed: files of the build that are no longer what `compile` wrote.
    """

    steps: tuple[Step, ...]
    changed: tuple[str, ...] = field(default=())

    @property
    def divergence(self) -> Divergence | None:
        """The first difference."""
        return next((s.divergence for s in self.steps if s.divergence is not None), None)

    def to_json(self) -> dict[str, Any]:
        """All fields by name."""
        steps = [asdict(s) | {"divergence": s.divergence and s.divergence.to_json()} for s in self.steps]
        return {"steps": steps, "changed": list(self.changed)}


def first_place(first: IntArray, second: IntArray, tensor: Tensor, frame: int = 0) -> Place | None:
    """The first element in which frames of a tensor differ; None where none does.

    Args:
        first, second: int64 of shape (frames, elements).
        frame: number of the first.
    """
    wrong = np.argwhere(first != second)
    if not len(wrong):
        return None
    f, element = (int(i) for i in wrong[0])
    return element_place(frame + f, element, int(first[f, element]), int(second[f, element]), tensor)


def element_place(frame: int, element: int, first: int, second: int, tensor: Tensor) -> Place:
    """An element by its position in the stream."""
    index = tuple(int(i) for i in np.unravel_index(element, tensor.shape))
    return Place(frame, index, first, second, differing_bits(first, second, tensor))


def differing_bits(first: int, second: int, tensor: Tensor) -> tuple[int, ...]:
    """Positions of the stored bits in which two values of a tensor differ; those beyond its bits count too."""
    if tensor.encoding == "bipolar":
        return (0,)
    mask = (1 << max(tensor.bits, abs(first).bit_length() + 1, abs(second).bit_length() + 1)) - 1
    changed = (first ^ second) & mask
    if tensor.lo <= first <= tensor.hi and tensor.lo <= second <= tensor.hi:
        changed &= (1 << tensor.bits) - 1
    return tuple(i for i in range(changed.bit_length()) if changed >> i & 1)


def extent(first: IntArray, second: IntArray, channels: int) -> str:
    """How much of a tensor differs, in words; both of shape (frames, elements)."""
    wrong = first != second
    count, frames = int(wrong.sum()), int(wrong.any(axis=1).sum())
    per_channel = wrong.reshape(-1, channels).any(axis=0)
    listed = list_some(np.flatnonzero(per_channel).tolist())
    text = f"{count} of {wrong.size} elements differ, in {frames} of {len(wrong)} frames and "
    return text + (f"channel{'s' * (int(per_channel.sum()) != 1)} {listed}" if count else "no channel")


def list_some(items: Sequence[int], most: int = 8) -> str:
    """Numbers with commas, cut where there are many."""
    return ", ".join(map(str, items[:most])) + (", ..." if len(items) > most else "")
