# SPDX-License-Identifier: Apache-2.0
"""The server itself: garbage, clients in turn, clients that go away, addresses, its end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.board.parts import Client, Served, refused, served, until

from gatewright.board.network import Server, checked_host
from gatewright.board.protocol import messages
from gatewright.board.turns import Turns
from gatewright.errors import ConfigError

_EXPECTED = {"INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
             "PERMISSION_DENIED", "UNIMPLEMENTED"}  # fmt: skip
_CALLS = [(package, method) for package, module in messages().items()
          for service in module.DESCRIPTOR.services_by_name.values() for method in service.methods]  # fmt: skip


@pytest.fixture(scope="module")
def board() -> Iterator[Served]:
    with served() as it:
        yield it


@pytest.fixture(scope="module")
def client(board: Served) -> Iterator[Client]:
    with Client(board.server.port) as it:
        yield it


def ends_well(board: Served, client: Client, package: str, method: Any, sent: Any) -> None:
    call = getattr(getattr(client, package), method.name)
    try:
        call([sent] if method.client_streaming else sent)
    except grpc.RpcError as error:
        assert error.code().name in _EXPECTED, (method.full_name, error.code(), error.details())
    assert not [line for line in board.log if "fault of the virtual board" in line]
    assert client.remote_device.existsfile(file_path="/proc/version").exists


@settings(max_examples=300)
@given(which=st.sampled_from(_CALLS), data=st.binary(max_size=200))
def test_garbage(board: Served, client: Client, which: Any, data: bytes) -> None:
    ends_well(board, client, *which, data)


_NUMBERS = st.one_of(st.sampled_from([0, 1, 4, -1, 2**31 - 1, -(2**31), 2**64 - 1, 2**63]), st.integers(-50, 5000))
_TEXTS = st.one_of(
    st.sampled_from(["", "buffer1", "0x10000000+0x4", "in", "out", "little", "/lib/firmware/a", "..", "x" * 1_000_000]),
    st.text(max_size=50),
)  # fmt: skip
_BYTES = st.one_of(st.binary(max_size=50), st.sampled_from([b"", b"a\0", b"0", b"1" * 1_000_000]))


@st.composite
def _requests(draw: Any) -> tuple[str, Any, bytes]:
    from google.protobuf.message_factory import GetMessageClass

    package, method = draw(st.sampled_from(_CALLS))
    message = GetMessageClass(method.input_type)()
    for field in method.input_type.fields:
        kinds = {field.CPPTYPE_STRING: _BYTES if field.type == field.TYPE_BYTES else _TEXTS,
                 field.CPPTYPE_BOOL: st.booleans()}  # fmt: skip
        value = draw(kinds.get(field.cpp_type, _NUMBERS))
        bits = {field.CPPTYPE_INT32: (-(2**31), 2**31 - 1), field.CPPTYPE_UINT64: (0, 2**64 - 1)}.get(field.cpp_type)
        setattr(message, field.name, min(max(value, bits[0]), bits[1]) if bits else value)
    return package, method, message.SerializeToString()


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(sent=_requests())
def test_messages_that_make_no_sense(board: Served, client: Client, sent: Any) -> None:
    ends_well(board, client, *sent)


def test_text_that_is_no_unicode(client: Client) -> None:
    text = refused("INVALID_ARGUMENT", client.remote_device.existsfile, b"\x0a\x02\xff\xfe")
    assert text == "the request is no message of this call"
    text = refused("INVALID_ARGUMENT", client.remote_device.writefile, [b"\x0a\x02\xff\xfe"])
    assert text == "a request of the stream is no message of this call"


def test_a_message_that_is_too_large(client: Client) -> None:
    refused("RESOURCE_EXHAUSTED", client.mmio.write, mmio_id="x", data=b"1" * (5 << 20))
    assert client.remote_device.existsfile(file_path="/proc/version").exists


def test_no_http_at_all(board: Served, client: Client) -> None:
    with socket.create_connection(("127.0.0.1", board.server.port)) as raw:
        raw.sendall(b"\xff" * 10_000)
        raw.settimeout(60)
        while raw.recv(4096):
            pass
    assert client.remote_device.existsfile(file_path="/proc/version").exists


def test_one_client_at_a_time_and_the_next_finds_nothing_of_the_last() -> None:
    with served(wait_seconds=0.3) as it:
        first, second = Client(it.server.port), Client(it.server.port)
        name = first.buffer.allocate(size=len(it.machine.memory.data)).buffer_id
        window = first.mmio.get_mmio(base_addr=0xF800_0000, length=512).mmio_id
        pin = first.gpio.get_gpio(index=960, direction="out").gpio_id
        text = refused("UNAVAILABLE", second.buffer.allocate, size=4096)
        assert "serves one client at a time, and 127.0.0.1:" in text
        assert first.buffer.flush(buffer_id=name) is not None
        first.channel.close()
        until(lambda: it.server.holder is None)
        with second:
            refused("NOT_FOUND", second.buffer.flush, buffer_id=name)
            refused("NOT_FOUND", second.mmio.read, mmio_id=window, length=4)
            refused("NOT_FOUND", second.gpio.read, gpio_id=pin)
            second.buffer.allocate(size=len(it.machine.memory.data))
        assert any("1 buffers freed that the client left behind" in line for line in it.log)


def test_a_client_that_waits_gets_its_turn_when_the_other_one_goes() -> None:
    with served(wait_seconds=60) as it, Client(it.server.port) as second:
        first = Client(it.server.port)
        first.buffer.allocate(size=4096)
        threading.Timer(0.5, first.channel.close).start()
        assert second.buffer.allocate(size=4096).buffer_id


def test_shutdown_frees_all_and_lets_the_next_one_in() -> None:
    with served(wait_seconds=0.3) as it, Client(it.server.port) as first, Client(it.server.port) as second:
        name = first.buffer.allocate(size=4096).buffer_id
        assert first.remote_device.shutdown().status
        refused("NOT_FOUND", second.buffer.flush, buffer_id=name)
        refused("UNAVAILABLE", first.buffer.flush, buffer_id=name)


def test_many_waiting_clients_do_not_block_the_one_that_is_served() -> None:
    with served(wait_seconds=60) as it, Client(it.server.port) as holder:
        holder.buffer.allocate(size=4096)
        others = [Client(it.server.port) for _ in range(20)]
        results: list[str] = []

        def wait(client: Client) -> None:
            try:
                client.buffer.allocate(size=4096)
            except grpc.RpcError as error:
                results.append(error.code().name)

        threads = [threading.Thread(target=wait, args=(client,)) for client in others]
        for thread in threads:
            thread.start()
        until(lambda: len(results) >= 4)
        assert set(results) == {"UNAVAILABLE"}
        holder.buffer.allocate(size=4096)
        for client in others:
            client.channel.close()
        for thread in threads:
            thread.join()


def test_a_client_that_breaks_off_in_mid_stream(board: Served, client: Client) -> None:
    name = client.buffer.allocate(size=10).buffer_id

    def pieces() -> Iterator[Any]:
        yield messages()["buffer"].BufferWriteRequest(buffer_id=name, data=b"abc")
        raise RuntimeError("the network is gone")

    call = client.channel.stream_unary(
        "/buffer.RemoteBuffer/write", request_serializer=lambda m: m.SerializeToString(), response_deserializer=bytes
    )
    with pytest.raises(grpc.RpcError):
        call(pieces())
    client.buffer.freebuffer(buffer_id=name)
    assert not [line for line in board.log if "fault of the virtual board" in line]


def test_a_fault_of_our_own_is_an_error_of_that_call_and_stands_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    with served() as it, Client(it.server.port) as client:
        monkeypatch.setattr(it.machine.memory, "flush", lambda name: 1 / 0)
        text = refused("INTERNAL", client.buffer.flush, buffer_id="x")
        assert text == "a fault of the virtual board: ZeroDivisionError: division by zero"
        assert any("ZeroDivisionError" in line and "BufferService.flush" in line for line in it.log)
        assert client.buffer.allocate(size=1).buffer_id


def test_the_end_of_the_server_is_an_error_for_its_clients() -> None:
    with served() as it, Client(it.server.port) as client:
        client.buffer.allocate(size=4096)
        it.server.stop()
        refused("UNAVAILABLE", client.buffer.allocate, size=4096)


def test_the_end_of_the_server_is_the_end_of_all_that_wait() -> None:
    before = threading.enumerate()
    with served(wait_seconds=3600) as it, Client(it.server.port) as first, Client(it.server.port) as second:
        first.buffer.allocate(size=4096)
        waiting = threading.Thread(target=lambda: refused("UNAVAILABLE", second.buffer.allocate, size=4096))
        waiting.start()
        until(lambda: it.server.waiting == 1)
        it.server.stop()
        waiting.join()
        until(lambda: not [t for t in threading.enumerate() if t.name.startswith("board") and t not in before])


def test_a_port_that_is_taken() -> None:
    with (
        served() as it,
        pytest.raises(ConfigError, match=f"port {it.server.port} of 127.0.0.1 cannot be listened on.*--port"),
    ):
        Server(it.machine, "127.0.0.1", it.server.port, it.log.append, it.log.append, 1.0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.0.0.5", "0.0.0.0", "10.0.0.1"])
def test_addresses_that_are_spelt_out(host: str) -> None:
    assert checked_host(host) == host


def test_names_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"near": "127.0.0.1", "far": "192.0.2.7"}

    def look_up(host: str, *rest: object, **more: object) -> list[Any]:
        if host not in table:
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (table[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert checked_host("near") == "127.0.0.1"
    with pytest.raises(ConfigError, match=r"host 'far' is 192.0.2.7, which others can reach.*give the address itself"):
        checked_host("far")
    with pytest.raises(ConfigError, match="host 'nowhere' is no address and no known name"):
        checked_host("nowhere")


def test_a_turn_that_ends_lets_nobody_in_before_it_is_cleaned_up() -> None:
    order: list[str] = []
    cleaning, clean = threading.Event(), threading.Event()

    def ended(peer: str) -> None:
        cleaning.set()
        clean.wait()
        order.append("clean")

    turns = Turns(lambda peer: False, ended, wait_seconds=60)
    turns.enter("a:1")
    reaper = threading.Thread(target=turns.reap)
    reaper.start()
    cleaning.wait()
    assert not turns.holds("a:1")
    other = threading.Thread(target=lambda: (turns.enter("b:2"), order.append("in")))
    other.start()
    clean.set()
    reaper.join()
    other.join()
    assert order == ["clean", "in"]
    assert turns.holder == "b:2"
