# SPDX-License-Identifier: Apache-2.0
"""The files that PYNQ asks a board for. They exist in this process only: no file of the host is read or written."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from gatewright.board.refusal import Refusal, malformed, quoted, unknown

FIRMWARE = "/lib/firmware/"
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
        program: called with a file's name when it is written to the FPGA manager; raises `Refusal` where that failed.
        firmware: contents of what was uploaded, by name.
        state: of the FPGA manager.
        flags: of the FPGA manager, as written.
    """

    fixed: dict[str, bytes]
    program: Callable[[str], None]
    firmware: dict[str, bytes] = field(default_factory=dict)
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
        if path.startswith(FIRMWARE) and path[len(FIRMWARE) :] in self.firmware:
            return self.firmware[path[len(FIRMWARE) :]]
        if path not in self.fixed:
            unknown(f"the virtual board has no file {quoted(path)}")
        return self.fixed[path]

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder."""
        path = _plain(path)
        there = [*self.fixed, *(FIRMWARE + name for name in ("", *self.firmware)), MANAGER + "state", MANAGER + "flags",
                 MANAGER + "firmware"]  # fmt: skip
        return any(f"{name}/".startswith(f"{path.rstrip('/')}/") for name in there)

    def room(self, path: str) -> int:
        """Bytes that a file may have.

        Raises:
            Refusal: no path at all.
        """
        path = _plain(path)
        others = sum(len(data) for name, data in self.firmware.items() if FIRMWARE + name != path)
        return _CAPACITY - others if path.startswith(FIRMWARE) else _SMALL

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
        elif path.startswith(FIRMWARE):
            name = firmware_name(path[len(FIRMWARE) :])
            if len(self.firmware) >= _MOST and name not in self.firmware:
                raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{FIRMWARE} already holds {_MOST} files")
            self.firmware[name] = data
        else:
            raise Refusal(
                grpc.StatusCode.PERMISSION_DENIED,
                f"the virtual board takes no file {quoted(path)}: it takes {FIRMWARE}NAME, and flags and firmware "
                f"below {MANAGER}",
            )

    def _program(self, written: bytes) -> None:
        name = firmware_name(written.decode("utf-8", "replace").rstrip("\n\0"))
        if name not in self.firmware:
            self.state = "firmware request error"
            unknown(f"{FIRMWARE}{quoted(name)[1:-1]} was not uploaded")
        self.state = "write"
        try:
            if int(self.flags, 16) & 1:
                raise Refusal(
                    grpc.StatusCode.UNIMPLEMENTED, f"partial bitstreams (flags {self.flags}) are not simulated"
                )
            self.program(name)
        except Refusal:
            self.state = "write error"
            # PYNQ uploads nothing over a file of the same name: a cut file would stay for ever.
            del self.firmware[name]
            raise
        self.state = "operating"


def firmware_name(name: str) -> str:
    """The name of a file in /lib/firmware.

    Raises:
        Refusal: no name of a file.
    """
    if not name or len(name) > _LONGEST_NAME or not re.fullmatch(r"[^/\0\n]+", name) or name in (".", ".."):
        malformed(f"{quoted(name)} is no name of a file in {FIRMWARE}: give 1 to {_LONGEST_NAME} characters, no slash")
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
