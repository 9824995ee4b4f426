# SPDX-License-Identifier: Apache-2.0
"""A serial line that loses, flips, doubles, delays and invents bytes: what the driver reads is right all the same, and
what it writes is done once."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime import uart_peer
from tests.runtime.conftest import Made
from tests.runtime.test_serial import BANK, banked
from tests.runtime.uart_peer import Peer, Words

from gatewright.errors import DeviceError
from gatewright.runtime import serial_protocol as p
from gatewright.runtime.bundle import Bundle
from gatewright.runtime.serial_device import SerialDevice
from gatewright.runtime.serial_line import ATTEMPTS

REQUEST_FAULTS = ("lose", "flip", "cut", "double", "noise before", "vanish")
ANSWER_FAULTS = (*REQUEST_FAULTS, "slow", "late", "noise after", "damaged")


@pytest.fixture(scope="module")
def bundle(mlp: Made, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle(banked(mlp, tmp_path_factory.mktemp("serial") / "bundle"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends give up sooner than 65,536 bit times, so that the tests take less."""
    monkeypatch.setattr(p, "DROP_BITS", 4096)
    monkeypatch.setattr(uart_peer, "DROP_BITS", 4096)


class Spoiler:
    """Spoils requests and answers by a list, one entry each; without one it lets them pass."""

    def __init__(self, seed: int = 0) -> None:
        self.requests: list[str] = []
        self.answers: list[str] = []
        self.random = random.Random(seed)
        self.met = 0

    def request(self, data: bytes) -> bytes:
        return b"".join(piece for piece in self._spoilt(data, self.requests) if isinstance(piece, bytes))

    def answer(self, data: bytes) -> list[bytes | float]:
        return self._spoilt(data, self.answers)

    def _spoilt(self, data: bytes, faults: list[str]) -> list[bytes | float]:
        if not faults:
            return [data]
        self.met += 1
        fault, at = faults.pop(0), self.random.randrange(len(data))
        noise = bytes(self.random.choice((0x5A, 0xA5, 0, 1, 255)) for _ in range(self.random.randrange(1, 40)))
        found: dict[str, list[bytes | float]] = {
            "lose": [data[:at] + data[at + 1 :]],
            "flip": [data[:at] + bytes([data[at] ^ 1 << self.random.randrange(8)]) + data[at + 1 :]],
            "cut": [data[:at]],
            "double": [data, data],
            "noise before": [noise + data],
            "noise after": [data + noise],
            "vanish": [],
            "slow": [data[:at], 0.02, data[at:]],
            "late": [0.1, data],
            "damaged": [uart_answer(data[1], 4)],
            "pass": [data],
        }
        return found[fault]


def uart_answer(number: int, status: int) -> bytes:
    body = bytes([number, status, 0])
    return b"\x5a" + body + uart_peer.crc16(body).to_bytes(2, "little")


@pytest.fixture
def line(bundle: Bundle) -> Iterator[tuple[Words, Spoiler, Peer, SerialDevice]]:
    memory, spoiler = Words(2 * BANK), Spoiler()
    with Peer(memory, requests=spoiler.request, answers=spoiler.answer) as peer:
        device = SerialDevice(bundle, peer.path)
        yield memory, spoiler, peer, device
        device.close()


ACCESS = st.tuples(st.booleans(), st.integers(0, 300), st.integers(1, 200))
FAULTS = st.lists(st.tuples(st.sampled_from(("pass", *REQUEST_FAULTS)), st.sampled_from(("pass", *ANSWER_FAULTS))),
                  max_size=6)  # fmt: skip


@settings(max_examples=25, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(st.lists(ACCESS, min_size=1, max_size=5), FAULTS, st.integers(0, 1000))
def test_reads_are_right_and_writes_are_done_once_whatever_happens_on_the_way(
    bundle: Bundle, accesses: list[tuple[bool, int, int]], faults: list[tuple[str, str]], seed: int
) -> None:
    memory, spoiler = Words(2 * BANK), Spoiler(seed)
    want, written = [0] * len(memory.memory), [0] * len(memory.memory)
    rng = random.Random(seed)
    with Peer(memory, requests=spoiler.request, answers=spoiler.answer) as peer:
        device = SerialDevice(bundle, peer.path)
        spoiler.requests, spoiler.answers = [r for r, _ in faults], [a for _, a in faults]
        for writes, at, count in accesses:
            if writes:
                words = [rng.choice((0x5A5A_A5A5, rng.getrandbits(32))) for _ in range(count)]
                device.write_memory("writing", 4 * at, b"".join(w.to_bytes(4, "little") for w in words))
                want[at : at + count] = words
                written[at : at + count] = [n + 1 for n in written[at : at + count]]
            else:
                data = device.read_memory("reading", 4 * at, 4 * count)
                assert data == b"".join(w.to_bytes(4, "little") for w in want[at : at + count])
        whole = device.read_memory("reading", 0, 8 * BANK // 4)
        assert whole == b"".join(w.to_bytes(4, "little") for w in want[: 2 * BANK // 4])
        assert memory.memory == want and memory.writes == written
        device.close()


@pytest.mark.parametrize("fault", ANSWER_FAULTS)
def test_each_fault_of_an_answer_is_met(line: tuple[Words, Spoiler, Peer, SerialDevice], fault: str) -> None:
    memory, spoiler, _, device = line
    spoiler.answers = [fault] * 3
    for i in range(8):
        device.write_memory("writing", 4 * i, i.to_bytes(4, "little"))
    assert device.read_memory("reading", 0, 32) == b"".join(i.to_bytes(4, "little") for i in range(8))
    assert spoiler.met == 3 and memory.writes[:8] == [1] * 8
    if fault not in ("double", "slow", "late", "noise before", "noise after"):
        assert device.line.unanswered + device.line.damaged > 0
    assert device.counters()["requests"] >= 9


@pytest.mark.parametrize("fault", REQUEST_FAULTS)
def test_each_fault_of_a_request_is_met(line: tuple[Words, Spoiler, Peer, SerialDevice], fault: str) -> None:
    memory, spoiler, peer, device = line
    spoiler.requests = [fault] * 3
    for i in range(8):
        device.write_memory("writing", 4 * i, i.to_bytes(4, "little"))
    assert device.read_memory("reading", 0, 32) == b"".join(i.to_bytes(4, "little") for i in range(8))
    assert spoiler.met == 3 and memory.writes[:8] == [1] * 8
    counters = device.counters()
    assert counters["requests with a wrong CRC at the board"] == peer.counts["bad_crc"]
    if fault in ("lose", "flip", "cut", "vanish"):
        assert counters["repeated for want of an answer"] + counters["repeated because they came damaged"] > 0


def test_a_line_of_nothing_but_noise_ends(line: tuple[Words, Spoiler, Peer, SerialDevice]) -> None:
    _, spoiler, peer, device = line
    spoiler.requests = ["flip"] * 1000
    remedy = r"see to the cable, or load its bitstream: `openFPGALoader \S+\.bin`; the next run connects anew"
    with pytest.raises(DeviceError, match=rf"{peer.path} gave no good answer to {ATTEMPTS} requests .* {remedy}"):
        device.read_memory("reading", 0, 256)
    assert device.lost


def test_a_session_does_not_begin_with_the_number_that_the_last_one_ended_with(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its first write would pass for one that was done already; here all sessions have the same numbers."""
    monkeypatch.setattr(random, "randrange", lambda end: end - 1)
    memory = Words(2 * BANK)
    with Peer(memory) as peer:
        for value in range(5):
            device = SerialDevice(bundle, peer.path)
            device.write_memory("writing", 0, value.to_bytes(4, "little"))
            assert memory.memory[0] == value
            device.close()


def test_what_somebody_left_on_the_line_is_stepped_over(bundle: Bundle) -> None:
    """A program was killed in the middle of a request, and an answer to another one lies there."""
    with Peer(Words(2 * BANK)) as peer:
        first = SerialDevice(bundle, peer.path)
        first._port.write(p.request(3, p.WRITE, 0, 64, bytes(256))[:100])
        first.close()
        peer.say(uart_answer(9, 0) * 3)
        device = SerialDevice(bundle, peer.path)
        device.write_memory("writing", 0, b"abcd")
        assert device.read_memory("reading", 0, 4) == b"abcd"
        device.close()
