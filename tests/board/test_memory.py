# SPDX-License-Identifier: Apache-2.0
"""Device memory: pages against a map of single pages, buffers, and the two copies of each."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.board.memory import Allocator, DeviceMemory
from gatewright.board.refusal import Refusal
from gatewright.boards import PAGE

BASE = 0x1000_0000


@given(st.lists(st.tuples(st.integers(1, 9 * PAGE), st.integers(0, 30)), max_size=60))
def test_first_fit_against_a_map_of_pages(steps: list[tuple[int, int]]) -> None:
    pages = 32
    allocator, used = Allocator(BASE, pages * PAGE), [False] * pages
    held: list[tuple[int, int]] = []
    for size, which in steps:
        if which < len(held):
            first, count = held.pop(which)
            allocator.release(BASE + first * PAGE)
            used[first : first + count] = [False] * count
            continue
        count = -(-size // PAGE)
        fits = [i for i in range(pages - count + 1) if not any(used[i : i + count])]
        if not fits:
            with pytest.raises(Refusal, match="out of memory"):
                allocator.allocate(size)
            continue
        assert allocator.allocate(size) == BASE + fits[0] * PAGE
        used[fits[0] : fits[0] + count] = [True] * count
        held.append((fits[0], count))
    assert allocator.free == used.count(False) * PAGE


def test_out_of_memory_names_the_sizes() -> None:
    allocator = Allocator(BASE, 4 * PAGE)
    kept = [allocator.allocate(PAGE) for _ in range(4)]
    allocator.release(kept[0])
    allocator.release(kept[2])
    with pytest.raises(Refusal) as caught:
        allocator.allocate(PAGE + 1)
    assert caught.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "4,097 bytes takes 8,192 in pages" in caught.value.text
    assert "largest gap in the 16,384 bytes of device memory is 4,096 bytes (8,192 are free)" in caught.value.text


def memory(pages: int = 8) -> DeviceMemory:
    return DeviceMemory(BASE, np.full(pages * PAGE, 0xEE, np.uint8))


def test_only_a_flush_changes_device_memory_and_only_an_invalidate_the_copy() -> None:
    m = memory()
    name = m.allocate(10, cacheable=True)
    at = m[name].address - BASE
    assert not m.data[at : at + 10].any()
    assert not m[name].copy.any()
    m.write(name, 2, b"\x01\x02")
    assert not m.data[at : at + 10].any()
    m.flush(name)
    assert m.data[at : at + 10].tolist() == [0, 0, 1, 2, 0, 0, 0, 0, 0, 0]
    m.data[at] = 9
    assert m[name].copy[0] == 0
    m.invalidate(name)
    assert m[name].copy.tolist() == [9, 0, 1, 2, 0, 0, 0, 0, 0, 0]
    assert m.data[at + 10] == 0xEE


def test_buffers_keep_what_they_hold_when_memory_moves() -> None:
    m = memory()
    names = [m.allocate(PAGE + 5, cacheable=False) for _ in range(2)]
    for value, name in enumerate(names, 1):
        m.write(name, 0, bytes([value]) * (PAGE + 5))
        m.flush(name)
    new = np.zeros_like(m.data)
    m.move_to(new)
    for value, name in enumerate(names, 1):
        m[name].copy[:] = 0
        m.invalidate(name)
        assert set(m[name].copy.tolist()) == {value}
    assert np.count_nonzero(new) == 2 * (PAGE + 5)


@pytest.mark.parametrize(
    ("action", "code", "text"),
    [
        (lambda m, n: m.allocate(0, True), "INVALID_ARGUMENT", "a buffer of 0 bytes"),
        (lambda m, n: m.allocate(-5, True), "INVALID_ARGUMENT", "a buffer of -5 bytes"),
        (
            lambda m, n: m.write(n, 9, b"ab"),
            "INVALID_ARGUMENT",
            "2 bytes from byte 9 of buffer1 on, which has 10 bytes",
        ),
        (lambda m, n: m.flush("x" * 5000), "NOT_FOUND", "there is no buffer 'xxx"),
        (lambda m, n: (m.release(n), m.release(n)), "NOT_FOUND", "there is no buffer 'buffer1'"),
    ],
)
def test_refusals(action: object, code: str, text: str) -> None:
    m = memory()
    name = m.allocate(10, cacheable=True)
    with pytest.raises(Refusal) as caught:
        action(m, name)  # type: ignore[operator]
    assert caught.value.code.name == code
    assert text in caught.value.text
    assert len(caught.value.text) < 500


def test_all_buffers_go_at_once() -> None:
    m = memory()
    for _ in range(8):
        m.allocate(1, cacheable=True)
    assert m.release_all() == 8
    m.allocate(8 * PAGE, cacheable=True)
