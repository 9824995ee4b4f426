# SPDX-License-Identifier: Apache-2.0
"""When a unit takes and gives each beat of a frame: the exact contract between an operator and its kernel.

A unit is a step machine in front of a pipeline. Left alone it makes one *step* a cycle. A step happens when its inputs
are there and the pipeline moves; the whole pipeline stands still while its last register holds a beat that the
consumer does not take. Whatever a step produces is offered `depth` cycles (of a moving pipeline) later.

An input is either *direct*: its beats are taken in the very steps that need them; or *buffered*: a writer takes
a beat as soon as its place in the buffer is free, and steps wait until what they need has been written.
Cycles, latency, FIFO depths and the timing of every simulation derive from this one record.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gatewright.ir.types import IntArray


@dataclass(frozen=True, eq=False)
class Schedule:
    """One frame of one unit, unstalled.

    Attributes:
        steps: cycles of one frame at full speed (the unit's interval).
        depth: cycles from a step to the cycle in which its beat is offered at the output; 1 to 63.
        need: per input, int64 of shape (steps,): beats of this frame that must have been taken when the step ends
            (direct) or before it starts (buffered); never decreasing, and for a direct input by at most 1 a step.
        produce: per output, bool of shape (steps,): whether the step launches a beat.
        after: per input, None when it is direct; else int64 of shape (beats,): the beat is accepted once this
            many steps are complete, counted from the start of its own frame (0 or less: steps of earlier frames).
    """

    steps: int
    depth: int
    need: tuple[IntArray, ...]
    produce: tuple[npt.NDArray[np.bool_], ...]
    after: tuple[IntArray | None, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.after:
            object.__setattr__(self, "after", (None,) * len(self.need))


def streaming(beats: int, depth: int, inputs: int = 1) -> Schedule:
    """The schedule of a unit that takes one beat of each input and gives one beat in every step."""
    need = np.arange(1, beats + 1)
    return Schedule(beats, depth, (need,) * inputs, (np.ones(beats, np.bool_),))
