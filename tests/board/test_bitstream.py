# SPDX-License-Identifier: Apache-2.0
"""The virtual bitstream: what it says, and that a cut or damaged one is told."""

from __future__ import annotations

import hashlib
import json

import pytest

from gatewright.board.bitstream import MAGIC, VirtualBitstream, sources_digest
from gatewright.errors import ConfigError

THIS = VirtualBitstream("digits", "0123456789abcdef" * 2, "pynq-z2", "ab" * 32)


def test_it_is_read_as_it_was_written() -> None:
    assert VirtualBitstream.from_bytes(THIS.to_bytes()) == THIS


def test_it_is_three_lines_that_other_programs_can_read() -> None:
    magic, text, digest, rest = THIS.to_bytes().split(b"\n")
    assert magic + b"\n" == MAGIC and rest == b""
    assert json.loads(text) == {
        "format": 1, "name": "digits", "hash": THIS.hash, "board": "pynq-z2", "rtl_sha256": THIS.rtl_sha256,
    }  # fmt: skip
    assert hashlib.sha256(magic + b"\n" + text + b"\n").hexdigest() == digest.decode()


def test_one_cut_anywhere_is_told() -> None:
    for keep in range(len(MAGIC), len(THIS.to_bytes())):
        with pytest.raises(ConfigError, match=f"cut or damaged: its {keep} bytes"):
            VirtualBitstream.from_bytes(THIS.to_bytes()[:keep])


def test_any_changed_byte_is_told() -> None:
    for at in range(len(MAGIC), len(THIS.to_bytes())):
        data = bytearray(THIS.to_bytes())
        data[at] ^= 1
        with pytest.raises(ConfigError, match="cut or damaged"):
            VirtualBitstream.from_bytes(bytes(data))


@pytest.mark.parametrize("data", [b"", b"\x00\x09\x0f\xf0", MAGIC[:10]])
def test_another_file_is_told(data: bytes) -> None:
    with pytest.raises(ConfigError, match=f"no virtual bitstream: its {len(data)} bytes"):
        VirtualBitstream.from_bytes(data)


def test_the_digest_of_sources_tells_paths_and_contents_apart() -> None:
    files = {"rtl/a.sv": b"one", "rtl/b.sv": b"two"}
    swapped = {"rtl/a.sv": b"two", "rtl/b.sv": b"one"}
    moved = {"rtl/a.sv": b"onertl/b.sv", "": b"two"}
    assert len({sources_digest(f) for f in (files, swapped, moved, {})}) == 4
    assert sources_digest(files) == sources_digest(dict(reversed(files.items())))
