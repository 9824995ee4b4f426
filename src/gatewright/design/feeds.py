# SPDX-License-Identifier: Apache-2.0
"""Memories of a design that do not lie on the chip: what the RTL's top level reads through ports of its own."""

from __future__ import annotations

from dataclasses import dataclass

from gatewright.design.structure import Structure, Unit
from gatewright.ir.op import Memory
from gatewright.ir.types import Stream


@dataclass(frozen=True, eq=False)
class Feed:
    """An input of the RTL's top level through which a unit gets the words of a memory.

    Attributes:
        unit: whose memory it is.
        memory: its name there.
        content: what it holds; a frame of the stream is all of its words.
        passes: how often a frame of the network reads all of it, word 0 first.
    """

    unit: str
    memory: str
    content: Memory
    passes: int

    @property
    def prefix(self) -> str:
        """Of the top level's pins."""
        return feed_prefix(self.unit, self.memory)

    @property
    def stream(self) -> Stream:
        """Its words on a wire."""
        return self.content.stream


def feeds(design: Structure) -> tuple[Feed, ...]:
    """The memories that are streamed, in the order of the top level's ports, which follow those of the inputs."""
    return tuple(_feed(unit, name) for unit in design.units for name in unit.streamed)


def _feed(unit: Unit, name: str) -> Feed:
    memory = unit.memories[name]
    assert isinstance(memory, Memory)  # noqa: S101  # a family of memories is not streamable
    return Feed(unit.name, name, memory, unit.schedule.steps // len(memory.words))


def feed_prefix(unit: str, memory: str) -> str:
    """Of the top level's pins for a memory of a unit."""
    return f"{unit}_{memory}_axis"
