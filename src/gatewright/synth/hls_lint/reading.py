# SPDX-License-Identifier: Apache-2.0
"""HLS C++ read by libclang, as Vitis HLS sees it: C++14, with `__SYNTHESIS__` defined."""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clang import cindex
from clang.cindex import Cursor, CursorKind

from gatewright.errors import ToolError
from gatewright.ir.op import package_root
from gatewright.sim.csim import STAND_INS
from gatewright.sim.tools import find_tool
from gatewright.synth.hls_lint.pragma_text import PragmaLine, Probe, find_pragmas, instrument

PRELUDE = """
#include <ap_int.h>
#include <ap_fixed.h>
#include <hls_stream.h>
#define __SYNTHESIS__ 1
"""
"""In front of every file. The open HLS types refuse `__SYNTHESIS__`, so it is defined behind them."""
WARNINGS = ("-Wpedantic", "-Wno-unknown-pragmas", "-Wno-pragma-once-outside-header")
DIALECT = ("-std=c++14", *WARNINGS, "-ferror-limit=0")
_MEMORY = re.compile(r"const (?:unsigned )?(?:char|short|int|long|long long) ?(?:\[\d+\])+")
FUNCTIONS = frozenset(
    {
        CursorKind.FUNCTION_DECL,
        CursorKind.FUNCTION_TEMPLATE,
        CursorKind.CXX_METHOD,
        CursorKind.CONSTRUCTOR,
        CursorKind.DESTRUCTOR,
        CursorKind.CONVERSION_FUNCTION,
    }
)


class _Ranges(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint), ("ranges", ctypes.POINTER(cindex.SourceRange)))


@dataclass
class Source:
    """A file of ours, as it is and as the parser gets it.

    Attributes:
        path: absolute.
        shown: as findings name it.
        text: as it is.
        code: with probes in place of pragmas; offsets of the parser are in it, lines are those of `text`.
    """

    path: str
    shown: str
    text: str
    pragmas: list[PragmaLine] = field(init=False)
    code: str = field(init=False)
    probes: list[Probe] = field(init=False)

    def __post_init__(self) -> None:
        self.pragmas = find_pragmas(self.text)
        self.code, self.probes = instrument(self.text, self.pragmas)

    @functools.cached_property
    def pragma_lines(self) -> frozenset[int]:
        """Lines that hold probes, if anything."""
        return frozenset(p.line for p in self.pragmas)


@dataclass
class Unit:
    """A translation unit.

    Attributes:
        sources: files of ours by absolute path; only they are judged.
        types: folders of the HLS types.
    """

    tu: cindex.TranslationUnit
    sources: Mapping[str, Source]
    types: tuple[Path, ...]
    _skipped: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _top_level: dict[str, list[Cursor]] = field(default_factory=dict)

    def is_library(self, cursor: Cursor) -> bool:
        """Whether something is declared by the C or C++ library: neither by us nor by the HLS types."""
        file = cursor.location.file
        if file is None or normal(file.name) in self.sources:
            return False
        return not any(folder in Path(file.name).parents for folder in self.types)

    def source(self, cursor: Cursor) -> Source | None:
        """The file of ours in which something stands."""
        file = cursor.location.file
        return None if file is None else self.sources.get(normal(file.name))

    def is_probe(self, cursor: Cursor) -> bool:
        """Whether something stands in place of a pragma."""
        source = self.source(cursor)
        return source is not None and cursor.location.line in source.pragma_lines

    def text(self, cursor: Cursor) -> str:
        """The C++ of something that stands in a file of ours."""
        source = self.source(cursor)
        return "" if source is None else source.code[cursor.extent.start.offset : cursor.extent.end.offset]

    def declared(self, cursor: Cursor) -> str:
        """What stands in front of a declaration's name."""
        source = self.source(cursor)
        return "" if source is None else source.code[cursor.extent.start.offset : cursor.location.offset]

    def walk(self, cursor: Cursor) -> Iterator[Cursor]:
        """Everything below something, itself first; not the numbers of a memory, nor probes."""
        yield cursor
        if is_memory(cursor):
            return
        for child in cursor.get_children():
            if not self.is_probe(child):
                yield from self.walk(child)

    def own(self, source: Source) -> Iterator[Cursor]:
        """Everything that a file of ours declares, without what is in it, and without instances of templates."""
        if not self._top_level:
            for cursor in self.tu.cursor.get_children():
                place = self.source(cursor)
                if place is not None and not self.is_probe(cursor) and not _is_instance(cursor):
                    self._top_level.setdefault(place.path, []).append(cursor)
        yield from self._top_level.get(source.path, ())

    def pragmas(self, source: Source) -> list[PragmaLine]:
        """Pragmas that the preprocessor leaves in."""
        return [p for p in source.pragmas if not self.is_left_out(source, p.line)]

    def is_left_out(self, source: Source, line: int) -> bool:
        """Whether the preprocessor skips a line."""
        if source.path not in self._skipped:
            self._skipped[source.path] = _skipped(self.tu, source.path)
        return any(first <= line <= last for first, last in self._skipped[source.path])


def names(reference: Cursor, declaration: Cursor) -> bool:
    """Whether a name stands for a declaration; some names stand for nothing before a template is instantiated."""
    target = reference.referenced
    return target is not None and bool(target == declaration)


def _is_instance(cursor: Cursor) -> bool:
    """Whether something is an instance that the compiler made of a template, at whose place it stands."""
    template = cindex.conf.lib.clang_getSpecializedCursorTemplate(cursor)
    return template is not None and template.location == cursor.location


@functools.cache
def normal(name: str) -> str:
    """A path as the sources are keyed."""
    return os.path.normpath(Path(name).absolute())


def is_memory(cursor: Cursor) -> bool:
    """Whether something is an array of integers with all its values: a memory of a design has many thousands."""
    return cursor.kind == CursorKind.VAR_DECL and _MEMORY.fullmatch(cursor.type.get_canonical().spelling) is not None


def _skipped(tu: cindex.TranslationUnit, path: str) -> list[tuple[int, int]]:
    """First and last lines of what the preprocessor leaves out of a file."""
    file = tu.get_file(path)
    get = cindex.conf.lib.clang_getSkippedRanges
    get.argtypes, get.restype = [cindex.TranslationUnit, cindex.File], ctypes.POINTER(_Ranges)
    found = get(tu, file).contents
    lines = [(found.ranges[i].start.line, found.ranges[i].end.line) for i in range(found.count)]
    return lines


@functools.cache
def search_paths(compiler: Path) -> tuple[str, ...]:
    """Folders of the standard headers: those of g++, because libclang comes without any.

    Raises:
        ToolError: g++ does not name them.
    """
    done = subprocess.run(
        [compiler, "-std=c++14", "-E", "-x", "c++", "-v", os.devnull], capture_output=True, text=True, check=False
    )
    _, _, rest = done.stderr.partition("#include <...> search starts here:\n")
    found, end, _ = rest.partition("End of search list.")
    if not end:
        raise ToolError(f"{compiler} does not say where its headers are: `{compiler} -E -x c++ -v {os.devnull}` should")
    return tuple(line.strip() for line in found.splitlines())


def parse(path: str, sources: Mapping[str, Source], include: Sequence[Path]) -> Unit:
    """Read a file and all that it includes.

    Args:
        path: absolute, one of `sources`.
        sources: files of ours by absolute path; they need not be on the disk.
        include: folders in which `#include` looks for them.

    Raises:
        MissingToolError: g++ or the headers of hls4ml are missing.
        ToolError: libclang cannot start on the file.
    """
    types = (find_tool("ap_types").path, package_root() / STAND_INS)
    system = (*search_paths(find_tool("g++").path), *map(str, types))
    begun = _Prelude.of(system).path
    arguments = ["-x", "c++", *DIALECT, *(f"-I{p}" for p in include), *(f"-isystem{p}" for p in system)]
    files = [(s.path, s.code) for s in sources.values()]
    return Unit(_parse(path, [*arguments, "-include-pch", str(begun)], files), sources, types)


def _parse(path: str, arguments: list[str], files: list[tuple[str, str]], extra: int = 0) -> cindex.TranslationUnit:
    options = cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD | extra
    try:
        return cindex.Index.create(excludeDecls=True).parse(path, arguments, files, options)
    except cindex.TranslationUnitLoadError as error:
        raise ToolError(f"libclang cannot read {path}: {error}") from error


class _Prelude:
    """The prelude, parsed once a process: it takes ten times as long as a kernel."""

    def __init__(self, system: tuple[str, ...]) -> None:
        folder = tempfile.TemporaryDirectory(prefix="gatewright-")
        atexit.register(folder.cleanup)
        source = Path(folder.name) / "prelude.hpp"
        source.write_text(PRELUDE)
        arguments = ["-x", "c++-header", *DIALECT, *(f"-isystem{p}" for p in system)]
        tu = _parse(str(source), arguments, [], cindex.TranslationUnit.PARSE_INCOMPLETE)
        errors = [str(d) for d in tu.diagnostics if d.severity >= cindex.Diagnostic.Error]
        if errors:
            raise ToolError(f"libclang rejects the HLS types of hls4ml: {errors[0]}")
        self.path = source.with_suffix(".pch")
        tu.save(str(self.path))

    @staticmethod
    @functools.cache
    def of(system: tuple[str, ...]) -> _Prelude:
        """The one of these folders of headers."""
        return _Prelude(system)
