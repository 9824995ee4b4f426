# SPDX-License-Identifier: Apache-2.0
"""Every call of PYNQ.remote over a raw connection, without a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from tests.board.parts import Client, Served, design, refused, served

from gatewright.board.files import FIRMWARE, MANAGER
from gatewright.board.protocol import messages


@pytest.fixture(scope="module")
def board() -> Iterator[Served]:
    with served() as it:
        yield it


@pytest.fixture(scope="module")
def connection(board: Served) -> Iterator[Client]:
    with Client(board.server.port) as it:
        yield it


@pytest.fixture
def client(connection: Client) -> Client:
    """With nothing left of the test before."""
    connection.remote_device.shutdown()
    return connection


def test_every_call_that_pynq_declares_is_answered(client: Client) -> None:
    for package, module in messages().items():
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                try:
                    getattr(getattr(client, package), method.name)()
                except grpc.RpcError as error:
                    assert error.code() != grpc.StatusCode.UNIMPLEMENTED, method.full_name
                    assert error.code() != grpc.StatusCode.INTERNAL, (method.full_name, error.details())


def test_files(client: Client, board: Served) -> None:
    assert client.remote_device.existsfile(file_path="/proc/version").exists
    assert not client.remote_device.existsfile(file_path="/proc/cpuinfo").exists
    assert b"armv7l" in client.read_file("/proc/version")
    assert client.read_file("/proc/device-tree/chosen/pynq_board") == b"pynq-z1\0"
    assert "no file '/etc/passwd'" in refused("NOT_FOUND", client.read_file, "/etc/passwd")
    refused("PERMISSION_DENIED", client.write_file, "/etc/passwd", b"x")
    assert "stream of requests is empty" in refused("INVALID_ARGUMENT", client.remote_device.writefile)
    whole = bytes(range(256)) * 12_000
    client.write_file(FIRMWARE + "big.bin", whole[:1_000_000], whole[1_000_000:])
    assert client.read_file(FIRMWARE + "big.bin") == whole


def test_a_file_has_no_more_room_than_that(client: Client) -> None:
    text = refused("RESOURCE_EXHAUSTED", client.write_file, MANAGER + "flags", b"0" * 4000, b"0" * 4000)
    assert "4,096 bytes" in text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda b: b[:-1], "only 2,047 of 2,048 bytes arrived: upload it again"),
        (lambda b: b"", "only 0 of 2,048 bytes arrived"),
        (lambda b: b[:700] + b"\0" + b[701:], "from byte 700 on it is not the bitstream of the bundle that is served"),
        (lambda b: b + b"x", "from byte 2,048 on"),
    ],
)
def test_a_bitstream_that_is_cut_or_changed(client: Client, board: Served, change: Any, text: str) -> None:
    right = design()
    client.write_file(FIRMWARE + right.file, change(right.bitstream))
    client.write_file(MANAGER + "flags", b"0")
    said = refused("FAILED_PRECONDITION", client.write_file, MANAGER + "firmware", right.file.encode())
    assert text in said
    assert client.read_file(MANAGER + "state") == b"write error\n"
    assert not client.remote_device.existsfile(file_path=FIRMWARE + right.file).exists


def test_a_foreign_bitstream(client: Client) -> None:
    client.write_file(FIRMWARE + "other.bin", b"something else")
    said = refused("FAILED_PRECONDITION", client.write_file, MANAGER + "firmware", b"other.bin")
    assert "its 14 bytes are no bitstream of a bundle that is served; those are tiny_00112233.bin" in said


def test_download_without_a_name(client: Client) -> None:
    assert "set_bitstream_attrs" in refused("FAILED_PRECONDITION", client.remote_device.download, [{"buffer": b"x"}])
    assert "partial" in refused(
        "UNIMPLEMENTED", client.remote_device.set_bitstream_attrs, binfile_name="a.bin", partial=True
    )
    assert client.remote_device.set_bitstream_attrs(binfile_name="cut.bin").status
    text = refused("FAILED_PRECONDITION", client.remote_device.download, [{"buffer": b"x"}, {"buffer": b"y"}])
    assert "its 2 bytes are no bitstream" in text


def test_buffers(client: Client, board: Served) -> None:
    size = 5_000_000
    name = client.buffer.allocate(size=size, dtype="<u1", cacheable=True).buffer_id
    whole = bytes(range(250)) * (size // 250)
    client.buffer.write([{"buffer_id": name, "data": whole[i : i + 2_000_000]} for i in range(0, size, 2_000_000)])
    assert client.buffer.cacheable(buffer_id=name).cacheable
    at = client.buffer.physical_address(buffer_id=name).address - board.machine.memory.base
    assert client.buffer.virtual_address(buffer_id=name).address == at + board.machine.memory.base
    assert not board.machine.memory.data[at : at + size].any()
    client.buffer.flush(buffer_id=name)
    assert board.machine.memory.data[at : at + size].tobytes() == whole
    board.machine.memory.data[at] = 77
    assert b"".join(a.data for a in client.buffer.read(buffer_id=name)) == whole
    client.buffer.invalidate(buffer_id=name)
    assert b"".join(a.data for a in client.buffer.read(buffer_id=name)) == b"\x4d" + whole[1:]
    client.buffer.freebuffer(buffer_id=name)
    assert "no buffer" in refused("NOT_FOUND", client.buffer.flush, buffer_id=name)


def test_parts_of_a_buffer(client: Client) -> None:
    name = client.buffer.allocate(size=10).buffer_id
    client.buffer.write([{"buffer_id": name, "data": b"ab", "start": 4, "end": 6}, {"data": b"c"}])
    assert client.buffer.read(buffer_id=name, start=3, end=8)[0].data == b"\0abc\0"
    assert client.buffer.read(buffer_id=name, start=5)[0].data == b"bc\0\0\0"
    for fields, said in (({"start": 4, "end": 7}, "2 bytes for bytes 4 to 7"),
                         ({"start": -1, "end": 1}, "2 bytes for bytes -1 to 1"),
                         ({"start": 9}, f"2 bytes from byte 9 of {name} on, which has 10 bytes")):  # fmt: skip
        text = refused("INVALID_ARGUMENT", client.buffer.write, [{"buffer_id": name, "data": b"ab", **fields}])
        assert text == said
    for start, end in ((-1, 0), (4, 3), (0, 11), (11, 0)):
        text = refused("INVALID_ARGUMENT", client.buffer.read, buffer_id=name, start=start, end=end)
        assert text == f"bytes {start} to {end or 10} of {name}, which has 10"
    text = refused("INVALID_ARGUMENT", client.buffer.write, [{"buffer_id": name}, {"buffer_id": "another"}])
    assert text == "the pieces of one write name several buffers"
    assert refused("INVALID_ARGUMENT", client.buffer.write) == "a write without a piece: say which buffer"


def test_out_of_memory_is_an_error_that_names_sizes(client: Client, board: Served) -> None:
    size = len(board.machine.memory.data)
    text = refused("RESOURCE_EXHAUSTED", client.buffer.allocate, size=size + 1)
    assert f"a buffer of {size + 1:,} bytes" in text
    name = client.buffer.allocate(size=4096).buffer_id
    refused("RESOURCE_EXHAUSTED", client.buffer.allocate, size=size)
    refused("RESOURCE_EXHAUSTED", client.buffer.allocate, size=2**31 - 1)
    client.buffer.freebuffer(buffer_id=name)
    client.buffer.freebuffer(buffer_id=client.buffer.allocate(size=size).buffer_id)


def test_clocks_hold_what_is_written(client: Client, board: Served) -> None:
    window = client.mmio.get_mmio(base_addr=0xF800_0000, length=0x200).mmio_id
    assert client.mmio.read(mmio_id=window, offset=0x108, length=4).data == 20 << 12
    client.mmio.write(mmio_id=window, offset=0x170, data=(1 << 20 | 20 << 8).to_bytes(4, "little"))
    assert client.mmio.read(mmio_id=window, offset=0x170, length=4).data == 1 << 20 | 20 << 8
    assert board.log[-1] == "clock 0 of the programmable logic: 50 MHz"
    assert client.remote_device.set_pl_clk(i=0, clk_mhz=125).status
    assert board.log[-1] == "clock 0 of the programmable logic: 125 MHz"
    client.remote_device.set_pl_clk(i=1, div0=5, div1=8)
    assert board.log[-1] == "clock 1 of the programmable logic: 25 MHz"
    client.remote_device.set_pl_clk(i=1, div0=4, clk_mhz=50)
    assert board.log[-1] == "clock 1 of the programmable logic: 50 MHz"
    for fields, said in (
        ({"i": 4, "clk_mhz": 100}, "clock 4 of the programmable logic: there are 0 to 3"),
        ({"i": -1, "clk_mhz": 100}, "clock -1 of the programmable logic: there are 0 to 3"),
        ({"i": 0}, "clock 0: dividers 0 and 0, 0 MHz: give both dividers or a frequency"),
        ({"clk_mhz": -5}, "clock 0: dividers 0 and 0, -5 MHz: give both dividers or a frequency"),
        ({"div0": 64, "div1": 1}, "clock 0: dividers 64 and 1: give 1 to 63"),
        ({"div0": -1, "div1": -1}, "clock 0: dividers -1 and -1: give 1 to 63"),
        ({"div0": 1, "clk_mhz": 1}, "clock 0: dividers 1 and 1000: give 1 to 63"),
    ):
        assert refused("INVALID_ARGUMENT", client.remote_device.set_pl_clk, **fields) == said


def test_windows_and_words(client: Client) -> None:
    window = client.mmio.get_mmio(base_addr=0xF800_0100, length=0x10).mmio_id
    word = client.mmio.read(mmio_id=window, offset=8, length=4).data
    assert client.mmio.read(mmio_id=window, offset=8, length=2).data == word & 0xFFFF
    assert client.mmio.read(mmio_id=window, offset=8, length=1, word_order="big").data == word & 0xFF
    assert "carries one word" in refused("INVALID_ARGUMENT", client.mmio.read, mmio_id=window, offset=0, length=8)
    text = refused("INVALID_ARGUMENT", client.mmio.read, mmio_id=window, offset=2, length=4)
    assert text == "offset 0x2: give a multiple of 4"
    text = refused("INVALID_ARGUMENT", client.mmio.read, mmio_id=window, length=4, word_order="middle")
    assert text == "word order 'middle': use little or big"
    text = refused("OUT_OF_RANGE", client.mmio.read, mmio_id=window, offset=16, length=4)
    assert text == "4 bytes at offset 0x10 of a window of 16 bytes"
    refused("OUT_OF_RANGE", client.mmio.read, mmio_id=window, offset=2**64 - 4, length=4)
    refused("INVALID_ARGUMENT", client.mmio.write, mmio_id=window, data=b"abc")
    refused("INVALID_ARGUMENT", client.mmio.write, mmio_id=window)
    text = refused("INVALID_ARGUMENT", client.mmio.write, mmio_id=window, offset=0, data=b"12345678")
    assert "write 4 bytes at a time" in text
    refused("OUT_OF_RANGE", client.mmio.write, mmio_id=window, offset=16, data=b"1234")
    refused("NOT_FOUND", client.mmio.read, mmio_id="x" * 1_000_000, length=4)
    for fields in (
        {"base_addr": 2**64 - 4, "length": 8},
        {"length": 0},
        {"length": 2**63},
        {"base_addr": 2, "length": 4},
    ):
        text = refused("INVALID_ARGUMENT", client.mmio.get_mmio, **fields)
        assert text.endswith(": give 4 to 2^32 bytes from a multiple of 4 on"), text


def test_an_access_to_nothing_and_to_a_kernel_that_is_not_there(client: Client) -> None:
    nothing = client.mmio.get_mmio(base_addr=0x1234_5000, length=64).mmio_id
    text = refused("NOT_FOUND", client.mmio.read, mmio_id=nothing, offset=4, length=4)
    assert "nothing answers at address 0x12345004" in text
    refused("NOT_FOUND", client.mmio.write, mmio_id=nothing, data=b"1234")
    kernel = client.mmio.get_mmio(base_addr=0x43C0_0000, length=4096).mmio_id
    text = refused("FAILED_PRECONDITION", client.mmio.read, mmio_id=kernel, length=4)
    assert "tiny is not loaded: download its bitstream" in text
    refused("FAILED_PRECONDITION", client.mmio.write, mmio_id=kernel, data=b"1234")


def test_device_memory_through_a_window(client: Client, board: Served) -> None:
    name = client.buffer.allocate(size=16).buffer_id
    address = client.buffer.physical_address(buffer_id=name).address
    window = client.mmio.get_mmio(base_addr=address, length=16).mmio_id
    client.mmio.write(mmio_id=window, offset=4, data=b"\x01\x02\x03\x04")
    client.mmio.write(mmio_id=window, offset=8, data=b"\x05\x06\x07\x08")
    assert client.mmio.read(mmio_id=window, offset=8, length=4).data == 0x08070605
    client.buffer.invalidate(buffer_id=name)
    assert client.buffer.read(buffer_id=name)[0].data == bytes(4) + b"\x01\x02\x03\x04\x05\x06\x07\x08" + bytes(4)


def test_windows_run_out(client: Client) -> None:
    for i in range(4096):
        client.mmio.get_mmio(base_addr=4 * i, length=4)
    client.mmio.get_mmio(base_addr=0, length=4)
    assert "4,096 windows are open" in refused("RESOURCE_EXHAUSTED", client.mmio.get_mmio, base_addr=4, length=8)
    client.remote_device.shutdown()
    client.mmio.get_mmio(base_addr=4, length=8)


def test_a_pll_that_is_halved() -> None:
    with served("zcu104") as it, Client(it.server.port) as client:
        window = client.mmio.get_mmio(base_addr=0xFF5E_0000, length=0x100).mmio_id
        client.mmio.write(mmio_id=window, offset=0x20, data=(1 << 16 | 60 << 8).to_bytes(4, "little"))
        assert "clock 0 of the programmable logic: 66.666 MHz" in it.log
        client.mmio.write(mmio_id=window, offset=0xC0, data=bytes(4))
        assert "clock 0 of the programmable logic: 0 MHz" in it.log


def test_port_widths_of_ultrascale() -> None:
    with served("kv260") as it, Client(it.server.port) as client:
        for address in (0xFD61_5000, 0xFF41_9000, 0xFD36_0000, 0xFD3B_0014, 0xFF9B_0014):
            window = client.mmio.get_mmio(base_addr=address, length=4).mmio_id
            client.mmio.write(mmio_id=window, data=b"\x00\x03\x00\x00")
            assert client.mmio.read(mmio_id=window, length=4).data == 0x300
        assert b"aarch64" in client.read_file("/proc/version")


def test_pins(client: Client) -> None:
    path = client.gpio.get_gpio_base_path().base_path
    assert path == "/sys/class/gpio/gpiochip906/"
    assert client.gpio.get_gpio_base_path(target_label="zynq_gpio").base_path == path
    assert client.gpio.get_gpio_base_path(target_label="other").base_path == ""
    assert client.gpio.get_gpio_npins().npins == 118
    text = refused("NOT_FOUND", client.gpio.get_gpio_npins, target_label="other")
    assert text == "there is no GPIO driver 'other': the board has zynq_gpio"
    pin = client.gpio.get_gpio(index=960, direction="out").gpio_id
    client.gpio.write(gpio_id=pin, value=1)
    assert refused("INVALID_ARGUMENT", client.gpio.write, gpio_id=pin, value=2) == "value 2 for pin 960: give 0 or 1"
    assert client.gpio.is_exported(gpio_id=pin).is_exported
    again = client.gpio.get_gpio(index=960, direction="in").gpio_id
    assert client.gpio.read(gpio_id=again).value == 1
    text = refused("FAILED_PRECONDITION", client.gpio.write, gpio_id=again, value=0)
    assert text == "pin 960 is an input: take it with direction out"
    client.gpio.unexport(gpio_id=pin)
    assert not client.gpio.is_exported(gpio_id=pin).is_exported
    client.gpio.unexport(gpio_id=pin)
    refused("NOT_FOUND", client.gpio.unexport, gpio_id="960")
    for call in (client.gpio.read, client.gpio.write):
        text = refused("NOT_FOUND", call, gpio_id=pin)
        assert text == "there is no pin 'gpio960': it was given back, or its client's connection had ended"
    for index in (905, 1024, -1):
        text = refused("INVALID_ARGUMENT", client.gpio.get_gpio, index=index, direction="in")
        assert text == f"pin {index}: the board has 906 to 1023"
    for direction in ("inout", ""):
        text = refused("INVALID_ARGUMENT", client.gpio.get_gpio, index=910, direction=direction)
        assert text == f"direction {direction!r} of pin 910: use in or out"
