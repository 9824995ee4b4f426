# SPDX-License-Identifier: Apache-2.0
"""Bitstreams as bytes: the virtual one, for a board that is simulated, and what PYNQ makes of a real one.

The virtual one is a line that says what it is, one line of canonical JSON (which design, for which board, a digest of
what is simulated), and a line with the SHA-256 of all before. PYNQ uploads it as it would a real one; no FPGA takes it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from gatewright.errors import ConfigError

MAGIC = b"GATEWRIGHT VIRTUAL BITSTREAM\n"
FORMAT = 1


@dataclass(frozen=True)
class VirtualBitstream:
    """What a virtual bitstream says.

    Attributes:
        name: of the design.
        hash: of the design with its bus, 32 hexadecimal digits, as the kernel's registers give it.
        board: name of the board that it was made for.
        rtl_sha256: of the files that are simulated; see `sources_digest`.
    """

    name: str
    hash: str
    board: str
    rtl_sha256: str

    def to_bytes(self) -> bytes:
        """The file."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":"))
        head = MAGIC + text.encode() + b"\n"
        return head + hashlib.sha256(head).hexdigest().encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> VirtualBitstream:
        """The inverse of `to_bytes`.

        Raises:
            ConfigError: no virtual bitstream, or one that is cut or damaged.
        """
        if not data.startswith(MAGIC):
            raise ConfigError(f"no virtual bitstream: its {len(data)} bytes begin with {data[:16]!r}")
        head, _, tail = data[:-1].rpartition(b"\n")
        head += b"\n"
        if data[-1:] != b"\n" or hashlib.sha256(head).hexdigest().encode() != tail:
            raise ConfigError(
                f"a virtual bitstream that is cut or damaged: its {len(data)} bytes do not match their own digest"
            )
        content = json.loads(head[len(MAGIC) :])
        if content.pop("format") != FORMAT:
            raise ConfigError(f"a virtual bitstream of another format than {FORMAT}: make the bundle again")
        return cls(**content)


def sources_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over relative paths and contents of what the virtual board simulates, in the order of the paths."""
    whole = hashlib.sha256()
    for path in sorted(files):
        whole.update(f"{path}\0{len(files[path])}\0".encode() + files[path])
    return whole.hexdigest()


def uploaded(bit: bytes) -> bytes:
    """What PYNQ uploads of a .bit file: its data, the bytes of every word in reverse, as FPGA managers want them.

    AMD documents no header of these files. Those that Vivado writes have a field of two bytes of length and as many of
    data, two bytes more, and fields of a letter, a length in two bytes (four for the last, `e`, which is the data) and
    as many bytes.

    Raises:
        ConfigError: no such file, or one that is cut.
    """
    try:
        at = 2 + struct.unpack_from(">H", bit)[0] + 2
        while bit[at : at + 1] != b"e":
            if not bit[at : at + 1].isalpha():
                raise ConfigError(f"no .bit file: its header has no field {bit[at : at + 1]!r}")
            at += 3 + struct.unpack_from(">H", bit, at + 1)[0]
        size = struct.unpack_from(">I", bit, at + 1)[0]
    except struct.error:
        raise ConfigError(f"no .bit file: its {len(bit):,} bytes end within the header") from None
    data = bit[at + 5 :]
    if len(data) != size or size % 4:
        raise ConfigError(f"a .bit file that is cut: it has {len(data):,} bytes of data, and its header says {size:,}")
    return np.frombuffer(data, "<u4").byteswap().tobytes()
