# SPDX-License-Identifier: Apache-2.0
"""How a bundle comes to a disk: the same bytes every time, and nothing of the user's is lost."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import subprocess
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from tests.board.small import small_bundle

from gatewright.board.archive import MANIFEST, npz, read_files, write_archive, write_folder
from gatewright.errors import BundleError, ConfigError


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


# --- reading ----------------------------------------------------------------------------------------------------------


def whole(**contents: bytes) -> dict[str, bytes]:
    """A small bundle with true digests."""
    return small_bundle({"run.py": b"print(1)\n", **contents})


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """The same bundle as a folder and as an archive."""
    write_folder(whole(), tmp_path / "folder")
    write_archive(whole(), "net", tmp_path / "net.tar.gz")
    return tmp_path / "folder", tmp_path / "net.tar.gz"


def test_folder_and_archive_are_read_alike(both: tuple[Path, Path]) -> None:
    assert read_files(both[0]) == read_files(both[1]) == whole()


def test_what_lies_beside_the_bundles_own_files_is_left_out(both: tuple[Path, Path]) -> None:
    (both[0] / "__pycache__").mkdir()
    (both[0] / "__pycache__" / "x.pyc").write_bytes(b"")
    assert read_files(both[0]) == whole()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\x"])
def test_a_name_outside_is_refused(tmp_path: Path, name: str) -> None:
    write_archive(whole(**{name: b""}), "net", tmp_path / "net.tar.gz")
    with pytest.raises(BundleError, match="lies outside the bundle: not a bundle of ours"):
        read_files(tmp_path / "net.tar.gz")


def test_an_archive_cut_anywhere_is_told(both: tuple[Path, Path], tmp_path: Path) -> None:
    data = both[1].read_bytes()
    for keep in range(0, len(data), 7):
        (tmp_path / "cut").write_bytes(data[:keep])
        with pytest.raises(BundleError, match=r"cut: not a whole \.tar\.gz .*copy the bundle again, or make it anew"):
            read_files(tmp_path / "cut")


def test_a_changed_byte_of_an_archive_is_told_or_does_no_harm(both: tuple[Path, Path], tmp_path: Path) -> None:
    data = both[1].read_bytes()
    for at in range(0, len(data), 3):
        (tmp_path / "x").write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with contextlib.suppress(BundleError):
            assert read_files(tmp_path / "x") == whole()


def test_a_missing_file_and_a_damaged_one_are_named(both: tuple[Path, Path]) -> None:
    (both[0] / "run.py").write_bytes(b"print(2)\n")
    with pytest.raises(BundleError, match=r"run\.py is damaged: its SHA-256 is not the one in bundle\.json"):
        read_files(both[0])
    (both[0] / "run.py").unlink()
    with pytest.raises(BundleError, match=r"run\.py is missing; copy the bundle again"):
        read_files(both[0])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"files": ["run.py"]}'])
def test_a_damaged_manifest_is_told(both: tuple[Path, Path], text: str) -> None:
    (both[0] / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.json: (damaged \(|format .* is not 1)"):
        read_files(both[0])


@pytest.mark.parametrize("files", [3, ["run.py"]])
def test_a_manifest_without_digests_is_told(both: tuple[Path, Path], files: object) -> None:
    record = json.loads((both[0] / MANIFEST).read_text())
    (both[0] / MANIFEST).write_text(json.dumps(record | {"files": files}))
    with pytest.raises(BundleError, match=r"host\.json and bundle\.json do not fit together"):
        read_files(both[0])
