# SPDX-License-Identifier: Apache-2.0
"""The matrix operators x targets: filled, in the docs as it is, and a cell of anything else than what ran is a gap."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gatewright.ir.op import TARGETS, discover
from gatewright.verify import conformance
from gatewright.verify.conformance import BEGIN, END, Cell, load, markdown, matrix

from . import record

DOCS = Path(__file__).parents[2] / "docs" / "operators.md"
FILES = ("rtl/{0}.sv", "hls/gatewright/{0}.hpp")
KERNEL = {"rtl": "// Comment.\nmodule absolute; loop_nest n (); endmodule\n", "hls": "// Comment.\nint absolute;\n"}


def test_every_cell_is_filled_and_of_the_kernels_as_they_are() -> None:
    gaps = [f"{row.name}, {t}: {cell}" for row in matrix() for t, cell in row.cells.items() if cell.exact is None]
    assert not gaps, f"{gaps}: run make matrix, which runs the conformance test where something changed"
    assert [row.name for row in matrix()] == [n for n, cls in discover().items() if not cls.composite]
    assert all(cell.exact == row.examples > 0 for row in matrix() for cell in row.cells.values())
    assert all(tuple(row.cells) == tuple(TARGETS) for row in matrix())


def test_the_docs_hold_what_the_code_makes() -> None:
    section = DOCS.read_text().split(BEGIN)[1].split(END)[0]
    assert section == markdown(matrix()), "run make matrix"


def test_the_record_holds_no_more_than_there_is_and_is_written_as_one_line_a_cell() -> None:
    shown = load()
    names = {row.name for row in matrix()}
    assert {n for cells in shown.values() for n in cells} <= names
    assert conformance.RECORD.read_text() == record.text(shown)


@pytest.fixture
def extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An operator outside the package with a kernel for every target, and an empty record."""
    root = Path(shutil.copytree(Path(__file__).with_name("extension"), tmp_path / "extension"))
    for name in FILES:
        path = root / name.format("absolute")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(KERNEL["rtl" if path.suffix == ".sv" else "hls"])
    monkeypatch.setenv("GATEWRIGHT_PATH", str(root))
    return root


def cells(path: Path) -> dict[str, str]:
    return {t: str(c) for row in matrix(path) if row.name == "absolute" for t, c in row.cells.items()}


def test_only_what_ran_as_it_is_now_counts(extension: Path, tmp_path: Path) -> None:
    path, kernel = tmp_path / "record.json", extension / "rtl" / "absolute.sv"
    never, changed = "gap: never run", "gap: changed since it was run"
    assert cells(path) == {"rtl": never, "hls": never, "systemc": never}
    count = str(len(discover()["absolute"].examples()))
    for target in ("rtl", "systemc"):
        record.note(target, "absolute", path)
    assert cells(path) == {"rtl": count, "hls": never, "systemc": count}
    kernel.write_text(KERNEL["rtl"].replace("// Comment.", "// Another comment."))
    assert cells(path)["rtl"] == count
    kernel.write_text(KERNEL["rtl"].replace("();", "(1);"))
    assert cells(path) == {"rtl": changed, "hls": never, "systemc": count}
    kernel.unlink()
    assert cells(path) == {"rtl": "gap: no kernel", "hls": never, "systemc": count}


def test_a_changed_reference_example_or_library_is_a_gap(
    extension: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, changed = tmp_path / "record.json", "gap: changed since it was run"
    for target in TARGETS:
        record.note(target, "absolute", path)
    cls = discover()["absolute"]
    assert set(cells(path).values()) == {str(len(cls.examples()))}
    with monkeypatch.context() as patch:
        patch.setattr(cls, "reference", lambda self, *xs: (abs(xs[0]) // 2,))
        assert set(cells(path).values()) == {changed}
    with monkeypatch.context() as patch:
        fewer = cls.examples()[:-1]
        patch.setattr(cls, "examples", lambda: fewer)
        assert set(cells(path).values()) == {changed}
    root = Path(shutil.copytree(conformance.package_root() / "rtl", tmp_path / "other" / "rtl")).parent
    shutil.copytree(conformance.package_root() / "hls", root / "hls")
    monkeypatch.setattr(conformance, "package_root", lambda: root)
    assert changed not in cells(path).values()
    unused, used = root / "rtl" / "lib" / "bit_heap.sv", root / "rtl" / "lib" / "loop_nest.sv"
    unused.write_text(unused.read_text() + "wire more;\n")
    assert changed not in cells(path).values()
    used.write_text(used.read_text() + "wire more;\n")
    assert [cells(path)[t] == changed for t in TARGETS] == [True, False, False]
    shim = root / "hls" / "gatewright" / "systemc.hpp"
    shim.write_text(shim.read_text() + "int more;\n")
    assert [cells(path)[t] == changed for t in TARGETS] == [True, False, True]


def test_processes_that_note_at_once_lose_nothing(tmp_path: Path) -> None:
    names = [n for n, cls in discover().items() if not cls.composite]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: record.note("rtl", n, tmp_path / "record.json"), names))
    assert sorted(load(tmp_path / "record.json")["rtl"]) == names


def test_a_gap_is_no_number() -> None:
    assert str(Cell(3)) == "3" and str(Cell(0)) == "0"
    assert str(Cell(gap="no kernel")) == "gap: no kernel"
