# SPDX-License-Identifier: Apache-2.0
"""How long work tells what it is doing: a callable, so that no stage knows of terminals."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called at the start of every step, and again as it advances where its length is known."""

    def __call__(self, step: str, done: int = 0, total: int = 0, /) -> None:
        """Step `step` has done `done` of `total`; a total of 0 says that the length is not known."""


def silent(step: str, done: int = 0, total: int = 0, /) -> None:
    """A progress that says nothing."""
