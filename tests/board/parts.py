# SPDX-License-Identifier: Apache-2.0
"""What tests of the virtual board share: a small kernel's map, designs that are never started, raw clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from gatewright.board.fabric import Design
from gatewright.board.machine import Machine
from gatewright.board.network import Server
from gatewright.board.protocol import messages
from gatewright.boards import load_board
from gatewright.runtime.kernel_map import Argument, KernelMap
from gatewright.sim.kernel import KernelProcess

ZYNQ, ULTRASCALE = ("pynq-z1", "pynq-z2"), ("ultra96-v2", "zcu104", "kv260")


def kernel_map() -> KernelMap:
    """A kernel of two inputs and an output."""
    return KernelMap(
        kernel="tiny_kernel", name="tiny", bus_bits=64, hash="00112233445566778899aabbccddeeff", control_bytes=4096,
        inputs=(Argument("first", "gmem0", 0x10, 64, 4, False, False, 100),
                Argument("second", "gmem1", 0x1C, 8, 1, True, True, 30)),
        outputs=(Argument("labels", "gmem2", 0x28, 8, 8, False, False, 1, ("labels",)),),
        frames_register=0x34, status=0x100, edges=(),
    )  # fmt: skip


def design(start: Any = None, **changes: Any) -> Design:
    """A design; tests that program it say how it starts."""

    def never() -> KernelProcess:
        raise AssertionError("this test starts no simulation")

    values = {
        "name": "tiny", "file": "tiny_00112233.bin", "bitstream": bytes(range(256)) * 8, "base_address": 0x43C0_0000,
        "control_bytes": 4096, "frames_register": 0x34, "status": 0x100, "mhz": 100.0, "interval": 100, "latency": 300,
        "start": start or never,
    }  # fmt: skip
    return Design(**{**values, **changes})


@dataclass
class Served:
    """A server, what it serves, and what it said."""

    server: Server
    machine: Machine
    log: list[str] = field(default_factory=list)


@contextmanager
def served(board: str = "pynq-z1", wait_seconds: float = 60.0, **changes: Any) -> Iterator[Served]:
    """A server on a free port with one design."""
    log: list[str] = []
    machine = Machine(load_board(board), [design(**changes)], log.append)
    server = Server(machine, "127.0.0.1", 0, log.append, lambda text: None, wait_seconds)
    server.start()
    try:
        yield Served(server, machine, log)
    finally:
        server.stop()


class Client:
    """A connection of its own with a method per call, such as `client.buffer.allocate(size=4)`."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        # Channels of one process share connections unless told not to.
        self.channel = grpc.insecure_channel(f"{host}:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
        for package, module in messages().items():
            setattr(self, package, _Service(self.channel, next(iter(module.DESCRIPTOR.services_by_name.values()))))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.channel.close()

    def write_file(self, path: str, *pieces: bytes) -> Any:
        """Write a file in pieces."""
        return self.remote_device.writefile([{"file_path": path, "data": piece} for piece in pieces])

    def read_file(self, path: str) -> bytes:
        """A whole file."""
        return b"".join(answer.data for answer in self.remote_device.readfile(file_path=path))


class _Service:
    def __init__(self, channel: grpc.Channel, service: Any) -> None:
        for method in service.methods:
            setattr(self, method.name, _call(channel, service.full_name, method))


def _call(channel: grpc.Channel, service: str, method: Any) -> Any:
    from google.protobuf.message_factory import GetMessageClass

    request, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    call = getattr(channel, kind)(
        f"/{service}/{method.name}",
        request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
        response_deserializer=answer.FromString,
    )

    def run(several: list[Any] | bytes | None = None, /, timeout: float = 60, **fields: Any) -> Any:
        if method.client_streaming:
            made = [m if isinstance(m, bytes) else request(**m) for m in several or ()]
            return call(iter(made), timeout=timeout)
        answers = call(several if isinstance(several, bytes) else request(**fields), timeout=timeout)
        return list(answers) if method.server_streaming else answers

    return run


def refused(code: str, call: Any, *arguments: Any, **fields: Any) -> str:
    """The text with which a call is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **fields)
    assert caught.value.code().name == code, caught.value.details()
    text: str = caught.value.details()
    return text


def until(condition: Any) -> None:
    """Wait for what another thread or process brings about."""
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came about")
