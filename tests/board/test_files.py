# SPDX-License-Identifier: Apache-2.0
"""Files of the virtual board: what is there, what can be written, and nothing of the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from gatewright.board.files import FIRMWARE, MANAGER, VirtualFiles
from gatewright.board.refusal import Refusal

PROGRAMMED: list[tuple[str, bytes]] = []


def files(program: Any = None) -> VirtualFiles:
    PROGRAMMED.clear()
    fixed = {"/proc/version": b"Linux\n", "xrt_device": b"edge"}
    return VirtualFiles(fixed, program or (lambda *given: PROGRAMMED.append(given)))


def test_what_is_there() -> None:
    f = files()
    for path in ("/proc/version", "//proc/./version", "/proc", "/", FIRMWARE, "/lib/firmware", MANAGER + "state",
                 MANAGER + "firmware", "/sys/class/fpga_manager/", "xrt_device"):  # fmt: skip
        assert f.exists(path), path
    for path in ("/proc/versio", "/pro", "/etc/passwd", "/proc/self/environ", FIRMWARE + "a.bin", "a"):
        assert not f.exists(path), path
    assert f.read("/proc/version") == b"Linux\n"
    assert (f.read(MANAGER + "state"), f.read(MANAGER + "flags")) == (b"unknown\n", b"0\n")


def test_nothing_of_the_host(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.write_text("secret")
    f = files()
    for path in ("/etc/passwd", "/proc/self/environ", str(here), __file__, "/proc/1/status"):
        assert not f.exists(path)
        with pytest.raises(Refusal, match="the virtual board has no file"):
            f.read(path)
        with pytest.raises(Refusal, match="the virtual board takes no file") as caught:
            f.write(path, b"x")
        assert caught.value.code == grpc.StatusCode.PERMISSION_DENIED
    assert here.read_text() == "secret"


@pytest.mark.parametrize("path", ["", "a\0b", "/" + "a" * 5000, "/lib/firmware/../../etc/passwd", "../x", "/.."])
def test_no_path(path: str) -> None:
    for action in (files().read, files().exists, files().room, lambda p: files().write(p, b"")):
        with pytest.raises(
            Refusal, match=r"is no path: give 1 to 4096 characters|: give a path without '\.\.'"
        ) as caught:
            action(path)
        assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["sub/a.bin", "", "x" * 256, "a\nb"])
def test_no_name_of_firmware(name: str) -> None:
    with pytest.raises(Refusal, match="is no name of a file: give 1 to 255 characters|takes no file") as caught:
        files().write(FIRMWARE + name, b"x")
    assert caught.value.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED)


def test_scratch_files() -> None:
    f = files()
    f.write("/tmp/a", b"1")
    assert f.read("/tmp/a") == b"1"
    with pytest.raises(Refusal, match="takes no file '/tmp/a/b'"):
        f.write("/tmp/a/b", b"1")


def test_programming() -> None:
    f = files()
    f.write(FIRMWARE + "a.bin", b"data")
    assert f.read(FIRMWARE + "a.bin") == b"data"
    f.write(MANAGER + "flags", b"0")
    f.write(MANAGER + "firmware", b"a.bin")
    assert PROGRAMMED == [("a.bin", b"data")]
    assert f.read(MANAGER + "state") == b"operating\n"


def test_programming_with_what_was_not_uploaded() -> None:
    f = files()
    with pytest.raises(Refusal, match="'/lib/firmware/a.bin' was not uploaded"):
        f.write(MANAGER + "firmware", b"a.bin\n")
    assert f.state == "firmware request error"


def test_a_refused_bitstream_is_removed_so_that_the_next_is_uploaded() -> None:
    def refuse(name: str, data: bytes) -> None:
        raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, "cut")

    f = files(refuse)
    f.write(FIRMWARE + "a.bin", b"data")
    with pytest.raises(Refusal, match="cut"):
        f.write(MANAGER + "firmware", b"a.bin")
    assert f.state == "write error"
    assert not f.exists(FIRMWARE + "a.bin")


def test_partial_bitstreams_are_refused() -> None:
    f = files()
    f.write(FIRMWARE + "a.bin", b"data")
    f.write(MANAGER + "flags", b"1")
    with pytest.raises(Refusal, match="partial bitstreams"):
        f.write(MANAGER + "firmware", b"a.bin")
    assert f.state == "write error"
    assert not PROGRAMMED


@pytest.mark.parametrize("flags", [b"", b"x", b"-1", b"1" * 40, b"\xff"])
def test_flags_are_a_number(flags: bytes) -> None:
    f = files()
    with pytest.raises(Refusal, match="give a hexadecimal number"):
        f.write(MANAGER + "flags", flags)
    assert f.flags == "0"


def test_there_is_room_for_so_much() -> None:
    f = files()
    with pytest.raises(Refusal, match="has room for 4,096 bytes"):
        f.write(MANAGER + "firmware", b"a" * 4097)
    whole = f.room(FIRMWARE + "a.bin")
    f.write(FIRMWARE + "a.bin", b"12345")
    assert f.room(FIRMWARE + "b.bin") == whole - 5
    assert f.room(FIRMWARE + "a.bin") == whole
    for i in range(255):
        f.write(FIRMWARE + f"{i}.bin", b"")
    with pytest.raises(Refusal, match="already holds 256 files"):
        f.write(FIRMWARE + "one_more.bin", b"")
    f.write(FIRMWARE + "a.bin", b"again")
