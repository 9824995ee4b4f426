# SPDX-License-Identifier: Apache-2.0
"""How long work tells what it is doing: a callable, so that no stage knows of terminals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text


class Progress(Protocol):
    """Called at the start of every step, and again as it advances where its length is known."""

    def __call__(self, step: str, done: int = 0, total: int = 0, /) -> None:
        """Step `step` has done `done` of `total`; a total of 0 says that the length is not known."""


def silent(step: str, done: int = 0, total: int = 0, /) -> None:
    """A progress that says nothing."""


@contextmanager
def bars(console: Console) -> Iterator[Progress]:
    """A progress that shows a bar for the running step on a terminal, and elsewhere one line a step."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as display:
        running: list[tuple[str, TaskID]] = []

        def show(name: str, done: int = 0, total: int = 0, /) -> None:
            if running and running[-1][0] == name:
                display.update(running[-1][1], completed=done, total=total or None)
                return
            if running:
                display.remove_task(running.pop()[1])
            if not console.is_terminal:
                console.print(Text(name, style="dim"), soft_wrap=True)
            running.append((name, display.add_task(name, completed=done, total=total or None)))

        yield show
