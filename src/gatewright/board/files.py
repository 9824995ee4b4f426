# SPDX-License-Identifier: Apache-2.0
"""The files that PYNQ asks a board for. They exist in this process only: no file of the host is read or written."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from gatewright.board.refusal import Refusal, malformed, quoted, unknown

FIRMWARE, SCRATCH = "/lib/firmware/", "/tmp/"
MANAGER = "/sys/class/fpga_manager/fpga0/"
_LONGEST_PATH, _LONGEST_NAME = 4096, 255
_CAPACITY, _MOST = 256 << 20, 256
_SMALL = 4096
"""Bytes that a device's attribute takes at most, as in sysfs."""


@dataclass
class VirtualFiles:
    """Files by path.

    Attributes:
        fixed: contents of what cannot be written.
        program: called with name and contents of a file whose name is written to the FPGA manager; raises `Refusal`
            where that failed.
        uploaded: contents by path.
        state: of the FPGA manager.
        flags: of the FPGA manager, as written.
    """

    fixed: dict[str, bytes]
    program: Callable[[str, bytes], None]
    uploaded: dict[str, bytes] = field(default_factory=dict)
    state: str = "unknown"
    flags: str = "0"

    def read(self, path: str) -> bytes:
        """A file's contents.

        Raises:
            Refusal: no such file, or no path at all.
        """
        path = _plain(path)
        if path in (MANAGER + "state", MANAGER + "flags"):
            return f"{self.state if path.endswith('state') else self.flags}\n".encode()
        there = {**self.fixed, **self.uploaded}
        if path not in there:
            unknown(f"the virtual board has no file {quoted(path)}")
        return there[path]

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        path = _plain(path)
        there = [*self.fixed, *self.uploaded, FIRMWARE, SCRATCH, *(MANAGER + n for n in ("state", "flags", "firmware"))]
        return any(f"{name}/".startswith(f"{path.rstrip('/')}/") for name in there)

    def room(self, path: str) -> int:
        """Bytes that a file may have.

        Raises:
            Refusal: no path at all.
        """
        path = _plain(path)
        others = sum(len(data) for other, data in self.uploaded.items() if other != path)
        return _CAPACITY - others if path.startswith((FIRMWARE, SCRATCH)) else _SMALL

    def write(self, path: str, data: bytes) -> None:
        """Write a whole file, or what an attribute of the FPGA manager does when it is written.

        Raises:
            Refusal: it cannot be written, is too large, or programming failed.
        """
        path = _plain(path)
        if len(data) > self.room(path):
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{quoted(path)} has room for {self.room(path):,} bytes")
        if path == MANAGER + "flags":
            self.flags = _flags(data)
        elif path == MANAGER + "firmware":
            self._program(data)
        elif posixpath.dirname(path) + "/" in (FIRMWARE, SCRATCH):
            file_name(posixpath.basename(path))
            if len(self.uploaded) >= _MOST and path not in self.uploaded:
                raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the virtual board already holds {_MOST} files")
            self.uploaded[path] = data
        else:
            raise Refusal(
                grpc.StatusCode.PERMISSION_DENIED,
                f"the virtual board takes no file {quoted(path)}: it takes {FIRMWARE}NAME, {SCRATCH}NAME, and flags "
                f"and firmware below {MANAGER}",
            )

    def _program(self, written: bytes) -> None:
        name = file_name(written.decode("utf-8", "replace").rstrip("\n\0"))
        path = FIRMWARE + name
        if path not in self.uploaded:
            self.state = "firmware request error"
            unknown(f"{quoted(path)} was not uploaded")
        self.state = "write"
        try:
            if int(self.flags, 16) & 1:
                raise Refusal(
                    grpc.StatusCode.UNIMPLEMENTED, f"partial bitstreams (flags {self.flags}) are not simulated"
                )
            self.program(name, self.uploaded[path])
        except Refusal:
            self.state = "write error"
            # PYNQ uploads nothing over a file of the same name: a cut file would stay for ever.
            del self.uploaded[path]
            raise
        self.state = "operating"


def file_name(name: str) -> str:
    """A name of a file in one of the two folders.

    Raises:
        Refusal: no name of a file.
    """
    if not name or len(name) > _LONGEST_NAME or not re.fullmatch(r"[^/\0\n]+", name) or name in (".", ".."):
        malformed(f"{quoted(name)} is no name of a file: give 1 to {_LONGEST_NAME} characters, no slash")
    return name


def _plain(path: str) -> str:
    """An absolute path without detours; other names than paths stay as they are."""
    if not path or len(path) > _LONGEST_PATH or "\0" in path:
        malformed(f"{quoted(path)} is no path: give 1 to {_LONGEST_PATH} characters, none of them NUL")
    if ".." in path.split("/"):
        malformed(f"{quoted(path)}: give a path without '..'")
    return re.sub("^//", "/", posixpath.normpath(path))


def _flags(written: bytes) -> str:
    text = written.decode("ascii", "replace").strip()
    try:
        if not 0 <= int(text, 16) < 1 << 32:
            raise ValueError
    except ValueError:
        malformed(f"flags {quoted(text)} of the FPGA manager: give a hexadecimal number of 32 bits, such as 0")
    return text
