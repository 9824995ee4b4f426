# SPDX-License-Identifier: Apache-2.0
"""A network on a board: arrays in, arrays out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any, Dict, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from . import reports
from .bundle import Bundle
from .engine import Engine
from .errors import ClosedError, ConfigError, DataError, RunTimeout
from .host import Values
from .reports import BenchmarkReport, VerifyReport
from .state import KernelState
from .transport import PYNQ, Transport, connect

Array = npt.NDArray[Any]
Given = Any
"""An array or what NumPy makes one of, a tuple of them, or a dict."""
Results = Union[Values, Tuple[Values, ...], Dict[str, Values]]
BUFFER_BYTES = 64 << 20


class Job:
    """A batch on its way; see `Accelerator.submit`."""

    def __init__(self, future: Future[Results]) -> None:
        self._future = future

    def done(self) -> bool:
        """Whether `result` would return, or raise, at once."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> Results:
        """What `run` would have returned.

        Args:
            timeout: seconds to wait; None for ever.

        Raises:
            RunTimeout: it is not done yet; ask again.
            GatewrightError: what `run` would have raised.
        """
        try:
            return self._future.result(timeout)
        except FutureTimeout as error:
            if isinstance(error, RunTimeout):
                raise
            raise RunTimeout(f"no result after {timeout!r} s: it is still on its way, ask again") from error


class Accelerator:
    """The network of a bundle on a device, ready to run. A context manager; `close` gives device and memory back.

    Calls from several threads take turns.

    Args:
        bundle: folder or `.tar.gz` of a bundle, or one that is open already.
        device: None for this machine's own, "HOST" or "HOST:PORT" for a board or a virtual board behind PYNQ.remote, or
            a device of pynq. For a board on a serial port that port, "/dev/ttyUSB0" or "COM3"; None looks for it.
        download: load the bitstream; else the device must hold it already, as one on a serial port always must.
        timeout: seconds of the kernel's own clock that a run may take; None for 20 times what is predicted, and 20 ms.
        buffer_bytes: of device memory that a piece of a batch may take; at most two pieces are on the device.

    Attributes:
        bundle: what it runs.

    Raises:
        BundleError: a damaged or incomplete bundle.
        DeviceError: no pynq, no device, or one that refuses the bitstream.
        HashError: the device holds another design than the bundle's.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        device: object = None,
        *,
        download: bool = True,
        timeout: float | None = None,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise ConfigError(f"timeout={timeout!r} must be above 0 seconds, or None for what is predicted")
        if buffer_bytes < 1:
            raise ConfigError(f"buffer_bytes={buffer_bytes!r} must be at least 1")
        self._own = not isinstance(bundle, Bundle)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
        self._where, self._download, self._timeout, self._buffer_bytes = device, download, timeout, buffer_bytes
        self._lock = threading.RLock()
        self._counting = threading.Lock()
        self._worker: ThreadPoolExecutor | None = None
        self._pending = 0
        self._closed = False
        self._calls, self._seconds, self._waited = 0, 0.0, 0.0
        self._engine: Engine | None = None
        try:
            self._engine = self._open()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Accelerator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- running ----------------------------------------------------------------------------------------------------

    def run(self, x: Given, *, integers_in: bool = False, integers_out: bool = False) -> Results:
        """The model's outputs for a batch of frames, of any number.

        Args:
            x: the model's own input, (frames, *shape), of floats or integers, which stand for themselves. Several
                inputs as a tuple in the model's order, or as a dict by name.
            integers_in: `x` is quantised already: the integers of the input's tensor, (frames, *tensor shape).
            integers_out: return the integers that the hardware computed, (frames, *tensor shape), int64.

        Returns:
            (frames, *shape), float64 or int64 positions; of several outputs a tuple in the model's order; a dict by
            name where `x` is one.

        Raises:
            DataError: an input of the wrong shape, type or range, or not finite.
            RunTimeout: the kernel did not end; it was stopped.
            BusError: memory answered with an error.
            DeviceMemoryError: no room for the buffers.
            DeviceError: the device went away, or failed.
            ClosedError: it was closed.
        """
        xs = self._checked(x, integers_in)
        if self._pending:
            return self._queued(xs, x, integers_in, integers_out).result()
        return self._run(xs, isinstance(x, Mapping), integers_in, integers_out)

    def submit(self, x: Given, *, integers_in: bool = False, integers_out: bool = False) -> Job:
        """`run` in the background. Batches are run one after another in the order in which they were submitted.

        `x` is read when its turn comes, so it must not change before its result is there.

        Raises:
            DataError: an input of the wrong shape or type; a value that is not finite is told by `result`.
            ClosedError: it was closed.
        """
        return Job(self._queued(self._checked(x, integers_in), x, integers_in, integers_out))

    def state(self) -> KernelState:
        """All registers of the kernel and the state of its FIFOs."""
        self._check_open()
        with self._lock:
            return self._ready().state()

    def close(self) -> None:
        """Finish what was submitted, free all buffers and let go of the device. More calls do nothing."""
        self._closed = True
        if self._worker is not None:
            self._worker.shutdown()
        with self._lock:
            self._let_go()
            if self._own:
                self.bundle.close()

    # --- verifying and measuring ------------------------------------------------------------------------------------

    def verify(self, frames: int | None = None) -> VerifyReport:
        """Replay the bundle's golden frames, and compare integers and outputs.

        Args:
            frames: the first so many; None for all.
        """
        return reports.verify(self, frames)

    def benchmark(self, batches: Sequence[int] = reports.BATCHES) -> BenchmarkReport:
        """Measure latency, throughput, the driver's own share and, where the board can, power.

        Args:
            batches: sizes in frames.
        """
        return reports.benchmark(self, batches)

    @property
    def local(self) -> bool:
        """Whether the device is this machine's own, whose sensors of power pynq knows."""
        return self._where is None and self.bundle.transport == PYNQ

    @property
    def counters(self) -> tuple[int, float, float]:
        """Calls of pynq or exchanges on a serial line so far, seconds in them, and seconds asleep while the kernel
        worked."""
        calls, seconds, waited = self._calls, self._seconds, self._waited
        if self._engine is not None:
            calls, seconds = calls + self._engine.device.calls, seconds + self._engine.device.seconds
            waited += self._engine.waited
        return calls, seconds, waited

    # --- inside -----------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self.bundle.name}: the accelerator is closed: open it again to run more")

    def _checked(self, x: Given, integers: bool) -> list[Array]:
        """The inputs as matrices (frames, elements), in the order of the kernel's arguments."""
        self._check_open()
        inputs = self.bundle.inputs
        names = [i.name for i in inputs]
        if isinstance(x, Mapping):
            if set(x) != set(names):
                raise DataError(f"inputs {sorted(x)!r} were given, needed are {names!r}")
            given = [x[name] for name in names]
        elif len(inputs) == 1 and not (isinstance(x, tuple) and len(x) == 1):
            given = [x]
        elif isinstance(x, (tuple, list)) and len(x) == len(inputs):
            given = list(x)
        else:
            raise DataError(f"give the {len(inputs)} inputs {names!r} as a tuple in this order, or as a dict by name")
        arrays = dict(zip(names, (np.asarray(a) for a in given)))
        engine = self._engine
        if engine is None:  # the device went away, and was not there when a run looked for it again
            with self._lock:
                engine = self._ready()
        checked = [e.check(arrays[e.source.name], integers) for e in engine.encoders]
        if any(len(a) != len(checked[0]) for a in checked):
            counts = {name: len(a) for name, a in arrays.items()}
            raise DataError(f"inputs of {counts!r} frames: give equally many of each")
        return checked

    def _queued(self, xs: list[Array], x: Given, integers_in: bool, integers_out: bool) -> Future[Results]:
        with self._counting:
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, "gatewright")
            self._pending += 1
        future: Future[Results] = self._worker.submit(self._run, xs, isinstance(x, Mapping), integers_in, integers_out)
        future.add_done_callback(self._one_less)
        return future

    def _one_less(self, _: object) -> None:
        with self._counting:
            self._pending -= 1

    def _run(self, xs: list[Array], by_name: bool, integers_in: bool, integers_out: bool) -> Results:
        with self._lock:
            engine = self._ready()
            integers = engine.run(xs, integers_in)
        found: dict[str, Values] = {}
        for decoder, y in zip(engine.decoders, integers):
            found.update(decoder.decode(y, integers_out))
        results = {o.name: found[o.name] for o in self.bundle.outputs}
        if by_name:
            return results
        return next(iter(results.values())) if len(results) == 1 else tuple(results.values())

    def _ready(self) -> Engine:
        """The engine; a device that went away or hangs is opened anew."""
        engine = self._engine
        if engine is None or engine.device.lost or engine.device.broken:
            self._let_go()
            self._engine = engine = self._open()
        return engine

    def _open(self) -> Engine:
        device = connect(self.bundle, self._where, self._download)
        try:
            return Engine(self.bundle, device, self._timeout, self._buffer_bytes)
        except BaseException:
            self._count(device)
            device.close()
            raise

    def _let_go(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            if not engine.device.lost:
                engine.close()
            self._count(engine.device)
            self._waited += engine.waited
            engine.device.close()

    def _count(self, device: Transport) -> None:
        self._calls, self._seconds = self._calls + device.calls, self._seconds + device.seconds
