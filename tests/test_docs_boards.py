# SPDX-License-Identifier: Apache-2.0
"""Every board has a page whose facts are those of its record, and whose commands exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from gatewright.boards import list_boards, load_board
from gatewright.cli import app

PAGES = Path(__file__).parents[1] / "docs" / "boards"


def test_there_is_a_page_for_every_board_and_for_nothing_else() -> None:
    assert sorted(p.stem for p in PAGES.glob("*.md")) == list(list_boards())


@pytest.mark.parametrize("name", list_boards())
def test_facts_are_those_of_the_record(name: str) -> None:
    board, page = load_board(name), (PAGES / f"{name}.md").read_text()
    assert page.startswith(f"# {board.title}\n")
    for fact in (
        f"| part | `{board.part}`",
        *(f"{count:,} {resource}" for resource, count in board.capacity.items()),
        f"| kernel's clock | {board.mhz:g} MHz by default",
        f" {board.memory_bits} bits",
        f"boards/{board.folder.name}/board.toml)",
        f"--board {name} ",
        "## What was and was not run",
    ):
        assert fact in page
    if board.vitis is not None:
        assert f"| platform | `{board.vitis.platform}` |" in page
    for port in board.memory_ports:
        assert port in page


@pytest.mark.parametrize("name", list_boards())
def test_commands_and_options_exist(name: str) -> None:
    found = list(commands((PAGES / f"{name}.md").read_text()))
    assert {"compile", "check", "bitstream"} <= {words[0] for words in found}
    for words in found:
        command = typer.main.get_command(app)
        while isinstance(command, TyperGroup):
            command = command.commands[words.pop(0)]
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        for word in words:
            assert not word.startswith("-") or word.split("=")[0] in known, f"{command.name} has no {word}"


def commands(page: str) -> Iterator[list[str]]:
    """The words behind `gatewright` on each line of the page's blocks."""
    for block in re.findall(r"```\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            if (words := shlex.split(line, comments=True)) and words[0] == "gatewright":
                yield words[1:]
