# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: the virtual board serves one client at a time, from its first call until its connection is gone.

A client is a connection, as gRPC tells peers apart. Channels of one process to one address share a connection, so that
several devices of one process are one client.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable
from urllib.parse import unquote

import grpc
import psutil

from gatewright.board.refusal import Refusal

_LOOK_SECONDS = 0.1
"""Between two looks at the connection of the client that another one waits for."""
_MOST_WAITING = 16
"""Calls that wait at once; each holds a thread."""


class Turns:
    """Lets calls of one client through.

    Args:
        connected: whether a peer's connection is still there.
        ended: called when a client's turn is over, before the next one's begins.
        wait_seconds: how long a call of another client waits.
    """

    def __init__(
        self, connected: Callable[[str], bool], ended: Callable[[str], None], wait_seconds: float = 10.0
    ) -> None:
        self._connected, self._ended, self._wait_seconds = connected, ended, wait_seconds
        self._condition = threading.Condition()
        self._holder: str | None = None
        self._since = 0.0
        self._ending = self._closed = False
        self._waiting = 0

    @property
    def holder(self) -> str | None:
        """The peer whose turn it is."""
        return self._holder

    @property
    def waiting(self) -> int:
        """Calls of other peers that wait."""
        return self._waiting

    def enter(self, peer: str) -> None:
        """Return when it is this peer's turn.

        Raises:
            Refusal: it was another one's for too long.
        """
        until = time.monotonic() + self._wait_seconds
        with self._condition:
            if self._busy(peer) and self._waiting >= _MOST_WAITING:
                self._refuse()
            while self._busy(peer):
                if self._closed or time.monotonic() >= until:
                    self._refuse()
                self._waiting += 1
                self._condition.wait(_LOOK_SECONDS)
                self._waiting -= 1
            if self._holder is None:
                self._holder, self._since = peer, time.monotonic()

    def holds(self, peer: str) -> bool:
        """Whether it is still this peer's turn."""
        with self._condition:
            return self._holder == peer and not self._ending

    def reap(self) -> None:
        """End the turn of a client whose connection is gone."""
        holder = self._holder
        if holder is not None and not self._connected(holder):
            self.end(holder)

    def end(self, peer: str) -> None:
        """End this peer's turn, if it is its."""
        with self._condition:
            if self._holder != peer or self._ending:
                return
            self._ending = True
        try:
            self._ended(peer)
        finally:
            with self._condition:
                self._holder, self._ending = None, False
                self._condition.notify_all()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True

    def _busy(self, peer: str) -> bool:
        return self._ending or self._holder not in (None, peer)

    def _refuse(self) -> None:
        raise Refusal(
            grpc.StatusCode.UNAVAILABLE,
            f"the virtual board serves one client at a time, and {shown(self._holder or '')} has had it for "
            f"{time.monotonic() - self._since:.0f} s: end that client, or serve another board on another port",
        )


def shown(peer: str) -> str:
    """A peer without the name of its kind of address."""
    return unquote(peer).partition(":")[2]


def connected(peer: str) -> bool:
    """Whether this process has an established connection from a peer such as "ipv4:127.0.0.1:40000"."""
    host, _, port = shown(peer).rpartition(":")
    there = (_address(host.strip("[]")), int(port))
    return any(
        c.raddr and c.status == psutil.CONN_ESTABLISHED and (_address(c.raddr.ip), c.raddr.port) == there
        for c in psutil.Process().net_connections("tcp")
    )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its zone; one of IPv4 also where a socket of IPv6 shows it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
