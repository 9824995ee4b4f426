# SPDX-License-Identifier: Apache-2.0
"""The driver on the virtual board: the real pynq, the compiled kernel, and golden's own results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from tests.runtime.conftest import Made

from gatewright.board.server import VirtualBoard
from gatewright.errors import ClosedError, ConfigError, DataError, RunTimeout
from gatewright.runtime import Accelerator, device, engine


@contextmanager
def opened(made: Made, **options: Any) -> Iterator[tuple[Accelerator, list[str]]]:
    """An accelerator on a board of its own, and the calls that the board saw."""
    trace: list[str] = []
    with (
        VirtualBoard([made.folder], port=0, trace=trace.append) as board,
        Accelerator(made.folder, board.address, **options) as accelerator,
    ):
        yield accelerator, trace


def calls(trace: list[str]) -> Counter[str]:
    """By name, such as `MmioService.read`."""
    return Counter(name for line in trace for name in re.findall(r"\w+Service\.\w+", line)[:1])


@pytest.fixture(scope="module")
def residual_board(residual: Made) -> Iterator[tuple[Accelerator, list[str]]]:
    with opened(residual) as both:
        yield both


@pytest.fixture
def accelerator(residual_board: tuple[Accelerator, list[str]]) -> Accelerator:
    return residual_board[0]


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 5, 16, 17, 37, 300])
def test_any_batch_is_golden(residual: Made, accelerator: Accelerator, frames: int) -> None:
    x = residual.x[:frames]
    graph = residual.build.model_graph
    found = accelerator.run(x)
    assert found.shape == (frames, 3) and found.dtype == np.float64
    if frames:
        np.testing.assert_array_equal(found, graph.predict(x)[0])


def test_pieces_are_golden_in_any_number(residual: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch in as many pieces as there may be, and in more where memory is short; sizes that do not divide."""
    want = residual.build.model_graph.predict(residual.x)[0]
    monkeypatch.setattr(device, "PIECE_BYTES", 64)
    with opened(residual, buffer_bytes=3000) as (accelerator, trace):
        for frames in (1, 3, 4, 5, 61, 300):
            trace.clear()
            np.testing.assert_array_equal(accelerator.run(residual.x[:frames]), want[:frames])
            needed = -(-frames * 48 // 3000)
            assert needed <= calls(trace)["BufferService.invalidate"] <= max(needed, engine.PIECES)


def test_what_goes_in_may_be_of_any_type(residual: Made, accelerator: Accelerator) -> None:
    graph = residual.build.model_graph
    for dtype in (np.float16, np.float32, np.float64, np.int8, np.int64):
        x = residual.x[:9].astype(dtype)
        np.testing.assert_array_equal(accelerator.run(x), graph.predict(x)[0])
    x = np.asfortranarray(residual.x[:9])
    np.testing.assert_array_equal(accelerator.run(x), graph.predict(x)[0])
    np.testing.assert_array_equal(accelerator.run(residual.x[:18:2]), graph.predict(residual.x[:18:2])[0])
    np.testing.assert_array_equal(accelerator.run(residual.x[:3].tolist()), graph.predict(residual.x[:3])[0])


def test_integers_go_in_and_come_out(residual: Made, accelerator: Accelerator) -> None:
    graph = residual.build.model_graph
    integers = graph.quantize(residual.x[:7])[0]
    want = graph.reference(integers)[0]
    for x, given in ((residual.x[:7], False), (integers, True), (integers.astype(np.int8), True)):
        found = accelerator.run(x, integers_in=given, integers_out=True)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, want.reshape(found.shape))
    np.testing.assert_array_equal(accelerator.run(integers, integers_in=True), graph.dequantize(want)[0])


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (
            np.zeros((2, 6, 6)),
            {},
            r"input 'x': got shape \(2, 6, 6\), need \(frames, 2, 6, 6\); for a single frame write",
        ),
        (np.zeros((3, 2, 6)), {}, r"got shape \(3, 2, 6\), need \(frames, 2, 6, 6\)$"),
        (np.float32(1), {}, r"got shape \(\), need"),
        (np.zeros((3, 2, 6, 6), complex), {}, "got dtype complex128, need floats"),
        (np.full((3, 2, 6, 6), np.nan), {}, "holds NaN or infinite values"),
        (np.full((3, 6, 6, 2), 8), {"integers_in": True}, r"values 8\.\.8 leave the limits -8\.\.7"),
        (np.zeros((3, 6, 6, 2)), {"integers_in": True}, "dtype float64 where integers are expected"),
        ({"y": np.zeros((3, 2, 6, 6))}, {}, r"inputs \['y'\] were given, needed are \['x'\]"),
        ((np.zeros((3, 2, 6, 6)),) * 2, {}, r"got shape \(2, 3, 2, 6, 6\)"),
    ],
)
def test_wrong_inputs(residual: Made, accelerator: Accelerator, x: Any, options: dict[str, bool], message: str) -> None:
    with pytest.raises(DataError, match=message):
        accelerator.run(x, **options)
    np.testing.assert_array_equal(
        accelerator.run(residual.x[:2]), residual.build.model_graph.predict(residual.x[:2])[0]
    )


def test_a_bad_value_in_a_later_piece_stops_the_run(
    residual: Made, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "PIECE_BYTES", 64)
    x = residual.x[:40].copy()
    x[-1, 0, 0, 0] = np.inf
    with pytest.raises(DataError, match="NaN or infinite"):
        accelerator.run(x)
    assert accelerator.state().faults == ("aborted",)
    want = residual.build.model_graph.predict(residual.x[:40])[0]
    np.testing.assert_array_equal(accelerator.run(residual.x[:40]), want)


def test_submitted_batches_come_in_order(residual: Made, residual_board: tuple[Accelerator, list[str]]) -> None:
    accelerator, trace = residual_board
    graph = residual.build.model_graph
    trace.clear()
    parts = [residual.x[i : i + 7 * i + 1] for i in range(6)]
    jobs = [accelerator.submit(part) for part in parts]
    last = accelerator.run(residual.x[:2])  # takes its turn behind them
    assert all(job.done() for job in jobs)
    for job, part in zip(jobs, parts, strict=True):
        np.testing.assert_array_equal(job.result(), graph.predict(part)[0])
        np.testing.assert_array_equal(job.result(1e-9), job.result())
    np.testing.assert_array_equal(last, graph.predict(residual.x[:2])[0])
    with pytest.raises(DataError, match="got shape"):
        accelerator.submit(residual.x[0])
    job = accelerator.submit(np.full((1, 2, 6, 6), np.nan))
    with pytest.raises(DataError, match="NaN"):
        job.result()


def test_many_threads_take_turns(residual: Made, accelerator: Accelerator) -> None:
    want = residual.build.model_graph.predict(residual.x)[0]

    def some(first: int) -> bool:
        runs = [slice(first + i, first + i + 1 + (5 * i + first) % 9) for i in range(4)]
        jobs = [accelerator.submit(residual.x[run]) for run in runs]
        exact = all(np.array_equal(accelerator.run(residual.x[run]), want[run]) for run in runs)
        return exact and all(np.array_equal(job.result(), want[run]) for job, run in zip(jobs, runs, strict=True))

    with ThreadPoolExecutor(5) as threads:
        assert all(threads.map(some, range(0, 200, 20)))


def test_an_interrupted_run_is_stopped(
    residual: Made, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the kernel is polled, in each piece of a batch."""
    monkeypatch.setattr(device, "PIECE_BYTES", 64)
    want = residual.build.model_graph.predict(residual.x)[0]
    read = device.Device.read
    for interrupted in range(1, 4):
        polls = []

        def read_or_leave(self: device.Device, offset: int, polls: list[int] = polls, last: int = interrupted) -> int:
            polls += [offset] * (offset == 0)
            if offset == 0 and len(polls) == last:
                raise KeyboardInterrupt
            return read(self, offset)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(device.Device, "read", read_or_leave)
            accelerator.run(residual.x)
        assert accelerator.state().faults == ("aborted",)
        np.testing.assert_array_equal(accelerator.run(residual.x), want)


def test_a_result_that_is_not_there_yet(residual: Made, accelerator: Accelerator) -> None:
    job = accelerator.submit(residual.x)
    with pytest.raises(RunTimeout, match="no result after 1e-09 s: it is still on its way, ask again"):
        job.result(1e-9)
    assert job.result().shape == (300, 3)


def test_calls_do_not_grow_with_the_batch(residual: Made) -> None:
    """The same few calls for 1 frame and for 300 in as many pieces; buffers and addresses are asked for once."""
    with opened(residual) as (accelerator, trace):
        seen = {}
        for frames in (1, 8, 300):
            accelerator.run(residual.x[:frames])
            trace.clear()
            accelerator.run(residual.x[:frames])
            accelerator.run(residual.x[:frames])
            seen[frames] = calls(trace)
        assert seen[1] == seen[8] == seen[300]
        assert seen[1] == {
            "BufferService.write": 2, "BufferService.flush": 2, "MmioService.write": 2, "MmioService.read": 4,
            "BufferService.invalidate": 2, "BufferService.read": 2,
        }  # fmt: skip


def pynq_calls(accelerator: Accelerator, x: np.ndarray) -> int:
    """Calls of pynq in one call of `run`."""
    before = accelerator.counters[0]
    accelerator.run(x)
    return accelerator.counters[0] - before


def test_pieces_have_a_bounded_number_of_calls(residual: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "PIECE_BYTES", 64)
    with opened(residual) as (accelerator, trace):
        ports, counts = len(accelerator.bundle.kernel.arguments), set()
        for frames in (20, 100, 300):
            assert pynq_calls(accelerator, residual.x[:frames]) <= engine.PIECES * (4 + 2 * ports) + 5 * ports
            accelerator.run(residual.x[:frames])
            trace.clear()
            # A poll a piece is among them: that of a virtual board lasts until the run has ended.
            assert pynq_calls(accelerator, residual.x[:frames]) <= engine.PIECES * (4 + 2 * ports)
            counts.add(len(trace))
            assert calls(trace)["BufferService.allocate"] == 0
        assert max(counts) <= 12 * engine.PIECES


def test_buffers_go_back(residual: Made) -> None:
    with opened(residual) as (accelerator, trace):
        for frames in (*range(1, 30), 300):
            accelerator.run(residual.x[:frames])
        seen = calls(trace)
        assert seen["BufferService.allocate"] - seen["BufferService.freebuffer"] <= 2 * 2 * 4
        accelerator.close()
        accelerator.close()
        seen = calls(trace)
        assert seen["BufferService.allocate"] == seen["BufferService.freebuffer"]
        with pytest.raises(ClosedError, match="residual: the accelerator is closed: open it again to run more"):
            accelerator.run(residual.x[:1])
        with pytest.raises(ClosedError, match="the accelerator is closed"):
            accelerator.state()
        with pytest.raises(ClosedError, match="the accelerator is closed"):
            accelerator.submit(residual.x[:1])


def test_closing_finishes_what_was_submitted(residual: Made) -> None:
    with opened(residual) as (accelerator, _):
        jobs = [accelerator.submit(residual.x[:50]) for _ in range(3)]
        accelerator.close()
        assert all(job.result().shape == (50, 3) for job in jobs)


def test_two_in_turn_and_an_archive(mlp: Made, archive: Any) -> None:
    want = mlp.build.model_graph.predict(mlp.x)[0]
    with VirtualBoard([mlp.folder], port=0) as board:
        for source in (mlp.folder, archive, str(archive)):
            with Accelerator(source, board.address) as accelerator:
                np.testing.assert_array_equal(accelerator.run(mlp.x), want)
        with Accelerator(mlp.folder, board.address, download=False) as accelerator:
            np.testing.assert_array_equal(accelerator.run(mlp.x), want)


def test_state(mlp: Made) -> None:
    with opened(mlp) as (accelerator, _):
        accelerator.run(mlp.x[:50])
        state = accelerator.state()
        assert state.frames == state.frames_done == 50 and not state.faults and "idle" in state.control
        interval = accelerator.bundle.interval_cycles
        assert state.last_frame - state.first_frame == 49 * interval and state.cycles > state.last_frame
        words = {e.edge.tensor: e.words for e in state.edges}
        assert words["x"] == 50 * 8 and all(e.fill == 0 for e in state.edges)


def test_several_inputs_and_outputs(several: Made) -> None:
    graph = several.build.model_graph
    names = [i.name for i in graph.inputs]
    rng = np.random.default_rng(4)
    xs = (rng.normal(size=(33, 8)), np.float32(rng.normal(size=(33, 6))))
    want = graph.predict(*xs)
    with opened(several) as (accelerator, _):
        assert accelerator.verify().ok
        found = accelerator.run(xs)
        assert isinstance(found, tuple) and len(found) == 3
        by_name = accelerator.run(dict(zip(names, xs, strict=True)))
        integers = accelerator.run(list(xs), integers_out=True)
        for have, named, exact, output in zip(found, by_name.values(), integers, graph.outputs, strict=True):
            np.testing.assert_array_equal(have, want[graph.outputs.index(output)])
            np.testing.assert_array_equal(named, have)
            assert exact.dtype == np.int64 and exact.shape == (33, *output.index.shape)
        assert list(by_name) == [o.name for o in graph.outputs]
        for wrong, message in (
            (xs[0], r"give the 2 inputs \['x', 'other in'\] as a tuple in this order, or as a dict by name"),
            ((xs[0], xs[1][:9]), r"inputs of \{'x': 33, 'other in': 9\} frames: give equally many of each"),
            ({"x": xs[0]}, r"inputs \['x'\] were given, needed are \['x', 'other in'\]"),
        ):
            with pytest.raises(DataError, match=message):
                accelerator.run(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout=0 must be above 0 seconds, or None"),
        ({"timeout": float("nan")}, "timeout=nan must be above 0"),
        ({"buffer_bytes": 0}, "buffer_bytes=0 must be at least 1"),
        ({"device": "host:port"}, "device='host:port': give HOST or HOST:PORT, the port a number from 1 to 65535"),
        ({"device": ":1"}, "device=':1': give HOST"),
        ({"device": "a:99999"}, "device='a:99999': give HOST"),
    ],
)
def test_wrong_options(mlp: Made, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Accelerator(mlp.folder, **options)
