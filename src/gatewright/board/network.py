# SPDX-License-Identifier: Apache-2.0
"""The virtual board on the network: one client at a time, one call at a time, and no call takes the server down.

It speaks gRPC without authentication, as PYNQ.remote does, and therefore listens on the loopback interface unless it
is told another address.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from gatewright.board.machine import Log, Machine
from gatewright.board.protocol import Malformed, Message, handlers
from gatewright.board.refusal import Refusal, malformed, quoted
from gatewright.board.services import BufferService, DeviceService, GpioService, MmioService
from gatewright.board.turns import Turns, connected, shown
from gatewright.errors import ConfigError
from gatewright.sim.kernel import Fault

_THREADS = 64
_REAP_SECONDS = 0.5
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a lottery
    ("grpc.keepalive_time_ms", 20_000),  # a client whose network is gone is gone after half a minute
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class Server:
    """Serves a machine.

    Args:
        machine: the board.
        host, port: where it listens; port 0 takes a free one.
        log: told of clients that come and go, and of faults of the server itself.
        trace: told of every call; None for nobody.
        wait_seconds: how long a client waits for its turn.

    Raises:
        ConfigError: the address is no address, or the port is taken.
    """

    def __init__(
        self,
        machine: Machine,
        host: str,
        port: int,
        log: Log,
        trace: Log | None,
        wait_seconds: float,
    ) -> None:
        self._machine, self._log, self._trace = machine, log, trace
        self._lock, self._stopping = threading.RLock(), threading.Event()
        self._turns = Turns(connected, self._client_gone, wait_seconds)
        self.host = checked_host(host)
        self._pool = ThreadPoolExecutor(_THREADS, "board")
        self._server = grpc.server(self._pool, options=_OPTIONS, maximum_concurrent_rpcs=_THREADS)
        services = {
            "remote_device": DeviceService(machine, self._turns.end),
            "mmio": MmioService(machine, self._stopping.is_set),
            "buffer": BufferService(machine),
            "gpio": GpioService(machine),
        }
        self._server.add_generic_rpc_handlers(tuple(handlers(services, self._around)))
        self.port = self._bind(port)
        self._reaper = threading.Thread(target=self._reap, name="board-reaper", daemon=True)

    @property
    def holder(self) -> str | None:
        """The peer whose turn it is."""
        return self._turns.holder

    @property
    def waiting(self) -> int:
        """Calls that wait for their client's turn."""
        return self._turns.waiting

    def start(self) -> None:
        """Serve from now on, in threads of its own."""
        self._server.start()
        self._reaper.start()

    def inject(self, fault: Fault) -> None:
        """See `Fabric.inject`."""
        with self._lock:
            self._machine.fabric.inject(fault)

    def mend(self) -> None:
        """See `Fabric.mend`."""
        with self._lock:
            self._machine.fabric.mend()

    def stop(self) -> None:
        """Break off calls that are running (their clients get an error), and free everything."""
        self._stopping.set()
        self._turns.close()
        self._server.stop(None).wait()
        self._pool.shutdown()
        if self._reaper.is_alive():
            self._reaper.join()
        self._machine.fabric.close()

    def _bind(self, port: int) -> int:
        host = f"[{self.host}]" if ":" in self.host else self.host
        try:
            bound: int = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise ConfigError(
                f"port {port} of {self.host} cannot be listened on; most likely it is taken: end what has it, or name "
                f"another with --port (0 takes a free one): {error}"
            ) from error
        return bound

    def _around(self, request: Any, context: Any, function: Callable[..., Any]) -> Any:
        """Run a call: its client's turn, nothing else at the same time, and its errors as gRPC's."""
        call = ""
        if self._trace is not None:
            call = f"{shown(context.peer())}: {function.__qualname__}({_told(request)})"
            self._trace(call)
        try:
            return self._answer(request, context, function)
        except Refusal as refusal:
            code, text = refusal.code, refusal.text
            if self._trace is not None:
                self._trace(f"{call}: {code.name}: {text}")
        except grpc.RpcError:
            # The client broke its own stream of requests off.
            code, text = grpc.StatusCode.CANCELLED, "the client broke off"
        except Exception as error:  # whatever it was, the next call is served
            self._log(f"fault of the virtual board in {function.__qualname__}:\n{traceback.format_exc()}")
            code, text = grpc.StatusCode.INTERNAL, f"a fault of the virtual board: {type(error).__name__}: {error}"
        context.abort(code, text)

    def _answer(self, request: Any, context: Any, function: Callable[..., Any]) -> Any:
        peer = context.peer()
        if isinstance(request, Malformed):
            malformed("the request is no message of this call")
        self._turns.enter(peer)
        if hasattr(request, "DESCRIPTOR"):
            with self._exclusive(peer):
                return function(request, context)
        return function(_checked(request), context, lambda: self._exclusive(peer))

    @contextmanager
    def _exclusive(self, peer: str) -> Iterator[None]:
        with self._lock:
            if not self._turns.holds(peer):
                raise Refusal(grpc.StatusCode.CANCELLED, "the client's turn ended while it waited")
            yield

    def _client_gone(self, peer: str) -> None:
        with self._lock:
            self._machine.forget_client()
        self._log(f"{shown(peer)} is gone")

    def _reap(self) -> None:
        while not self._stopping.wait(_REAP_SECONDS):
            try:
                self._turns.reap()
            except Exception:  # the next look may succeed
                self._log(f"fault of the virtual board:\n{traceback.format_exc()}")


def checked_host(host: str) -> str:
    """An address to listen on: a loopback one, by any name, or another that is spelt out.

    Raises:
        ConfigError: no address, or a name of one that others can reach.
    """
    try:
        ipaddress.ip_address(host)
        return host
    except ValueError:
        pass
    try:
        address = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise ConfigError(f"host {host!r} is no address and no known name: give one such as 127.0.0.1") from error
    if not ipaddress.ip_address(address).is_loopback:
        raise ConfigError(
            f"host {host!r} is {address}, which others can reach, and the protocol has no authentication: give the "
            f"address itself to serve there all the same"
        )
    return address


def _told(request: Any) -> str:
    """What a request asks, in a few words; nothing of a stream, which is still to come."""
    fields = request.ListFields() if hasattr(request, "ListFields") else ()
    return ", ".join(f"{field.name}={quoted(value)}" for field, value in fields)


def _checked(requests: Iterator[Message]) -> Iterator[Message]:
    for request in requests:
        if isinstance(request, Malformed):
            malformed("a request of the stream is no message of this call")
        yield request
