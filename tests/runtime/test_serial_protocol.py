# SPDX-License-Identifier: Apache-2.0
"""Frames of the serial line: against the description's own CRC, and in whatever a line makes of them."""

from __future__ import annotations

import random

import pytest
from tests.runtime.uart_peer import crc16

from gatewright.runtime import serial_protocol as p


def answer(number: int, status: int, words: list[int]) -> bytes:
    body = bytes([number, status, max(len(words) - 1, 0)]) + b"".join(w.to_bytes(4, "little") for w in words)
    return b"\x5a" + body + crc16(body).to_bytes(2, "little")


def test_the_crc_is_the_one_of_the_description() -> None:
    assert p.crc(b"123456789") == crc16(b"123456789") == 0x29B1  # the check value that catalogues of CRCs give
    rng = random.Random(0)
    for size in range(80):
        data = rng.randbytes(size)
        assert p.crc(data) == crc16(data)


def test_requests_have_the_bytes_of_the_description() -> None:
    read = bytes([0xA5, 7, 1, 63, 0x10, 0, 0, 0x80])
    assert p.request(7, p.READ, 0x8000_0010, 64) == read + crc16(read[1:]).to_bytes(2, "little")
    write = bytes([0xA5, 255, 2, 1, 4, 0x20, 0, 0]) + b"abcdefgh"
    assert p.request(255, p.WRITE, 0x2004, 2, b"abcdefgh") == write + crc16(write[1:]).to_bytes(2, "little")


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_an_answer_is_found_wherever_it_lies_and_however_it_comes(step: int) -> None:
    """Behind noise with first bytes of answers in it, behind heads that promise more, behind answers to older requests;
    in pieces of any size."""
    words = list(range(64))
    for before in (
        b"", b"\x5a", b"\x5a\x09\x00", b"\x5a\x09\x00\x3f" + b"\x5a" * 20, b"\x00\xff\x5a\xa5",
        answer(8, 0, []), answer(8, 0, words), answer(8, 0, [0x5A5A5A5A]), answer(8, 3, []), answer(9, 0, words)[:-1],
    ):  # fmt: skip
        found, answers = None, p.Answers()
        line = before + answer(9, 0, words)
        for at in range(0, len(line), step):
            assert found is None
            answers.feed(line[at : at + step])
            found = answers.take(9, 64)
        assert found == p.Answer(0, tuple(words)), before
        assert answers.take(9, 64) is None and len(answers) == 0
        assert answers.skipped == len(before)


def test_an_answer_that_is_not_as_asked_for_is_none() -> None:
    for line in (
        answer(8, 0, []), answer(9, 0, [1, 2]), answer(9, 0, [1])[:-1] + b"\x00", answer(9, 5, []), answer(9, 0, []),
    ):  # fmt: skip
        answers = p.Answers()
        answers.feed(line + bytes(300))
        assert answers.take(9, 1) is None, line


def test_what_says_that_a_request_came_damaged_counts_whatever_its_number() -> None:
    for status in p.DAMAGED:
        answers = p.Answers()
        answers.feed(answer(77, status, []))
        assert answers.take(9, 1) == p.Answer(status)
    answers = p.Answers()
    answers.feed(answer(77, p.NO_ADDRESS, []) + answer(9, p.NO_ADDRESS, []))
    assert answers.take(9, 1) == p.Answer(p.NO_ADDRESS)


def test_of_two_answers_to_a_request_the_first_counts() -> None:
    answers = p.Answers()
    answers.feed(2 * answer(9, 0, [5]) + answer(10, 0, []))
    assert answers.take(9, 1) == p.Answer(0, (5,))
    assert answers.take(10, 0) == p.Answer(0)
    assert answers.skipped == len(answer(9, 0, [5]))
