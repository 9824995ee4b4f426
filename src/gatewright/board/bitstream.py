# SPDX-License-Identifier: Apache-2.0
"""The virtual bitstream: what a bundle holds in place of a real one, for a board that is simulated.

A line that says what it is, one line of canonical JSON (which design, for which board, a digest of what is simulated),
and a line with the SHA-256 of all before. PYNQ uploads it as it would a real one; no FPGA takes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

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
