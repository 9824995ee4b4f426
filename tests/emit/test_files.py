# SPDX-License-Identifier: Apache-2.0
"""A design as text: conflicts, digest, and writing without touching what is the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatewright.emit.files import FileSet
from gatewright.errors import ConfigError


def files() -> FileSet:
    made = FileSet()
    made.add("b.txt", "two\n")
    made.add("a/c.txt", "one\n")
    return made


def test_sorted_and_conflicts() -> None:
    made = files()
    assert list(made) == [("a/c.txt", "one\n"), ("b.txt", "two\n")]
    made.add("b.txt", "two\n")
    with pytest.raises(
        ConfigError, match="b.txt is already in this design with different contents: rename a node or an operator"
    ):
        made.add("b.txt", "three\n")
    assert dict(made)["b.txt"] == "two\n"


def test_digest_is_of_paths_and_contents() -> None:
    variants = [
        {},
        {"a": ""},
        {"": "a"},
        {"a": "b"},
        {"ab": ""},
        {"a": "b", "c": "d"},
        {"a": "bc", "d": ""},
        {"a": "c"},
    ]
    assert len({FileSet(dict(v)).digest() for v in variants}) == len(variants)
    one, other = FileSet({"a": "1", "b": "2"}), FileSet({"b": "2", "a": "1"})
    assert one.digest() == other.digest() and len(one.digest()) == 64


def test_write_keeps_time_stamps(tmp_path: Path) -> None:
    files().write(tmp_path)
    assert (tmp_path / "a" / "c.txt").read_text() == "one\n"
    for name in ("a/c.txt", "b.txt"):
        os.utime(tmp_path / name, (1, 1))
    changed = files()
    changed.files["b.txt"] = "new\n"
    changed.write(tmp_path)
    assert (tmp_path / "a" / "c.txt").stat().st_mtime == 1
    assert (tmp_path / "b.txt").stat().st_mtime > 1 and (tmp_path / "b.txt").read_text() == "new\n"
