# SPDX-License-Identifier: Apache-2.0
"""How a bundle comes to a disk: the same bytes every time, and nothing of the user's is lost."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from gatewright.board.archive import MANIFEST, npz, write_archive, write_folder
from gatewright.errors import ConfigError


def files(**contents: bytes) -> dict[str, bytes]:
    """A small bundle: these files, and a manifest that names them."""
    named = {"run.py": b"print(1)\n", "golden/x.npz": b"\0\1", **contents}
    return named | {MANIFEST: json.dumps({"files": dict.fromkeys(named, "")}).encode()}


def read(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_npz_is_what_numpy_reads_whatever_the_names() -> None:
    arrays = {
        "file": np.arange(6).reshape(2, 3), "dense/BiasAdd:0": np.float32(3.5).reshape(()),
        "t": np.arange(6).reshape(2, 3).T, "none": np.zeros((0, 4), np.uint8),
    }  # fmt: skip
    with np.load(io.BytesIO(npz(arrays)), allow_pickle=False) as back:
        assert sorted(back.files) == sorted(arrays)
        for name, array in arrays.items():
            assert back[name].dtype == array.dtype
            np.testing.assert_array_equal(back[name], array)


def test_no_object_gets_into_an_npz() -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        npz({"x": np.array([None])})


def test_an_archive_is_the_same_bytes_whenever_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_archive(files(), "net", tmp_path / "a.tar.gz")
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    write_archive(dict(reversed(files().items())), "net", tmp_path / "elsewhere" / "b.tar.gz")
    a, b = (tmp_path / "a.tar.gz").read_bytes(), (tmp_path / "elsewhere" / "b.tar.gz").read_bytes()
    assert a == b
    assert a[4:8] == b"\0\0\0\0" and b"net.tar" not in a  # neither time nor name in the head of the file


def test_an_archive_unpacks_into_one_folder_with_any_tar(tmp_path: Path) -> None:
    deep = "rtl/" + "x" * 120 + "/" + "y" * 100 + ".mem"  # longer than old formats hold
    write_archive(files(**{deep: b"1"}), "net", tmp_path / "a.tar.gz")
    done = subprocess.run(["tar", "xzf", "a.tar.gz"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert read(tmp_path / "net") == files(**{deep: b"1"})
    assert (tmp_path / "net" / "run.py").stat().st_mode & 0o777 == 0o755
    with gzip.open(tmp_path / "a.tar.gz") as data, tarfile.open(fileobj=data) as archive:
        assert {(m.uid, m.gid, m.uname, m.mtime) for m in archive} == {(0, 0, "", 315_532_800)}
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("a.tar.gz")] == ["a.tar.gz"]


def test_a_new_bundle_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    write_folder(files(old=b"1"), tmp_path / "b")
    (tmp_path / "b" / "gatewright_runtime" / "__pycache__").mkdir(parents=True)
    (tmp_path / "b" / "gatewright_runtime" / "__pycache__" / "x.pyc").write_bytes(b"of a run")
    write_folder(files(new=b"2"), tmp_path / "b")
    assert read(tmp_path / "b") == files(new=b"2")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("foreign", ["notes.txt", "golden/mine.npz"])
def test_a_file_of_the_user_stops_it(tmp_path: Path, foreign: str) -> None:
    write_folder(files(), tmp_path / "b")
    (tmp_path / "b" / foreign).write_text("mine")
    with pytest.raises(ConfigError, match=f"holds {foreign}, which is of no earlier bundle"):
        write_folder(files(), tmp_path / "b")
    assert (tmp_path / "b" / foreign).read_text() == "mine"


def test_a_folder_of_something_else_stops_it(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"holds bundle\.json, which is of no earlier bundle"):
        write_folder(files(), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file: name a folder with -o, or add --tar"):
        write_folder(files(), tmp_path / "file")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    write_folder(files(), tmp_path)
    assert read(tmp_path) == files()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (lambda p: write_folder(files(), p), lambda p: write_archive(files(), "net", p)):
        with pytest.raises(ConfigError, match=r"file/b cannot be written .*choose another with -o"):
            write(tmp_path / "file" / "b")
