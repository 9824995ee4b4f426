# SPDX-License-Identifier: Apache-2.0
"""A bundle as the driver reads it: what comes back, and every way in which it can be damaged, named."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.runtime.conftest import Made, rebundled

from gatewright.board.archive import MANIFEST, write_folder
from gatewright.emit.files import packed
from gatewright.errors import BundleError
from gatewright.runtime import Bundle


def test_what_it_says_is_what_the_build_says(mlp: Made) -> None:
    read, graph = Bundle(mlp.folder), mlp.build.model_graph
    assert read.name == "mlp" and read.mhz == 100 and read.base_address == 0x43C0_0000
    assert read.bitstream.name == f"mlp_{read.kernel.hash[:8]}.bin" and read.bitstream.is_file()
    summary = mlp.build.summary()
    assert (read.interval_cycles, read.latency_cycles) == (summary["interval_cycles"], summary["latency_cycles"])
    integers = graph.quantize(mlp.x)[0]
    np.testing.assert_array_equal(read.inputs[0].quantize(mlp.x), integers)
    np.testing.assert_array_equal(read.outputs[0].dequantize(graph.reference(integers)[0]), graph.predict(mlp.x)[0])
    np.testing.assert_array_equal(read.golden("inputs")[read.inputs[0].name], mlp.x[:20])
    np.testing.assert_array_equal(read.golden("integers_out")[read.outputs[0].name], graph.reference(integers[:20])[0])


def test_an_archive_is_unpacked_and_removed_again(mlp: Made, archive: Path) -> None:
    read = Bundle(archive)
    assert read.folder != mlp.folder and read.kernel == Bundle(mlp.folder).kernel
    folder = read.folder
    read.close()
    read.close()
    assert not folder.exists() and archive.exists()


def test_a_folder_stays(copy: Path) -> None:
    Bundle(copy).close()
    assert Bundle(copy).name == "mlp"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def changed_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [cut, changed_byte])
def test_every_damaged_file_is_named(mlp: Made, copy: Path, damage: Callable[[Path], None]) -> None:
    for name in json.loads(mlp.files[MANIFEST])["files"]:
        if not mlp.files[name]:
            continue
        damage(copy / name)
        with pytest.raises(BundleError, match=rf"{name} is damaged: its SHA-256 is not the one in bundle.json; copy"):
            Bundle(copy)
        (copy / name).write_bytes(mlp.files[name])
    Bundle(copy)


def test_every_missing_file_is_named(mlp: Made, copy: Path) -> None:
    for name in json.loads(mlp.files[MANIFEST])["files"]:
        (copy / name).unlink()
        with pytest.raises(BundleError, match=rf"{name} is missing; copy the bundle again"):
            Bundle(copy)
        (copy / name).write_bytes(mlp.files[name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"bundle.json: damaged \(Expecting property name"),
        ("[]", r"bundle.json: format \[\] is not 1"),
        ('{"format": 2}', "bundle.json: format 2 is not 1; copy the bundle again, or make it anew"),
        ('{"format": 1, "name": "x"}', r"bundle.json: damaged: it lacks \['board', 'mhz', 'kernel', "),
        ("\xff", "bundle.json: damaged"),
    ],
)
def test_a_manifest_that_is_none(copy: Path, text: str, message: str) -> None:
    (copy / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(BundleError, match=message):
        Bundle(copy)


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle.json here: give the folder or .tar.gz that `gatewright bundle`"):
        Bundle(tmp_path)
    with pytest.raises(BundleError, match="no bundle.json here"):
        Bundle(tmp_path / "nowhere")


def test_parts_that_do_not_fit(mlp: Made, tmp_path: Path) -> None:
    write_folder(rebundled(mlp.files, {"host.json": b'{"format": 1, "inputs": [{"record": "Foo"}]}'}), tmp_path / "a")
    with pytest.raises(BundleError, match="host.json and bundle.json do not fit together .*Foo"):
        Bundle(tmp_path / "a")
    write_folder(rebundled(mlp.files, {"host.json": b'{"format": 7}'}), tmp_path / "b")
    with pytest.raises(BundleError, match="host format 7 is not 1: make the bundle again"):
        Bundle(tmp_path / "b")
    write_folder(rebundled(mlp.files, {"host.npz": b"PK"}), tmp_path / "c")
    with pytest.raises(BundleError, match=r"host.npz: not readable \(.*\); copy the bundle again"):
        Bundle(tmp_path / "c")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_archive(archive: Path, tmp_path: Path, share: float) -> None:
    data = archive.read_bytes()
    path = tmp_path / "cut.tar.gz"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BundleError, match="not a whole .tar.gz|is missing|is damaged|no bundle.json in this archive"):
        Bundle(path)


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        tar.addfile(info)
    return out.getvalue()


MEMBERS = {
    "above": (("../outside",), r"'\.\./outside' lies outside the bundle"),
    "absolute": (("/etc/outside",), "'/etc/outside' lies outside the bundle"),
    "by a detour": (("a/../../b",), "lies outside the bundle"),
    "as on Windows": (("a\\x",), "lies outside the bundle"),
    "symbolic link": (("link", tarfile.SYMTYPE, "/etc/passwd"), "'link' is no file and no folder"),
    "hard link": (("hard", tarfile.LNKTYPE, "/etc/passwd"), "'hard' is no file and no folder"),
    "pipe": (("fifo", tarfile.FIFOTYPE), "'fifo' is no file and no folder"),
    "no manifest": (("mlp/other",), "no bundle.json in this archive"),
    "no archive": (None, r"not a whole .tar.gz \(not a gzip file\)"),
}


@pytest.mark.parametrize("kind", MEMBERS)
def test_archives_that_are_no_bundles(tmp_path: Path, kind: str) -> None:
    given, message = MEMBERS[kind]
    path = tmp_path / "strange.tar.gz"
    path.write_bytes(b"not an archive" if given is None else member(*given))
    with pytest.raises(BundleError, match=message):
        Bundle(path)
    assert sorted(p.name for p in tmp_path.parent.glob("**/outside")) == []


def test_a_manifest_that_names_files_elsewhere(mlp: Made, copy: Path) -> None:
    record = json.loads(mlp.files[MANIFEST])
    record["files"]["../secret"] = "0" * 64
    (copy / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(BundleError, match=r"'\.\./secret' lies outside the bundle"):
        Bundle(copy)


def test_a_card_without_bitstream(mlp: Made, copy: Path) -> None:
    record = json.loads(mlp.files[MANIFEST])
    record["bitstream"] = None
    (copy / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(BundleError, match="there is no bitstream in this bundle: pynq-z2 needs one"):
        _ = Bundle(copy).bitstream


def test_nothing_is_left_behind(mlp: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    files = dict(mlp.files)
    del files["host.json"]
    (tmp_path / "b.tar.gz").write_bytes(packed(files, "mlp"))
    with pytest.raises(BundleError, match="host.json is missing"):
        Bundle(tmp_path / "b.tar.gz")
    assert list((tmp_path / "temporary").iterdir()) == []
    shutil.rmtree(tmp_path / "temporary")
