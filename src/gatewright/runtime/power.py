# SPDX-License-Identifier: Apache-2.0
"""Power of a board, where it has sensors that pynq knows."""

from __future__ import annotations

import statistics
import threading
from typing import Any

_SAMPLE_SECONDS = 0.01


def power_rails() -> dict[str, Any]:
    """The sensors of power that `pynq.pmbus` knows on this board, by rail; none where it knows none."""
    try:
        from pynq.pmbus import get_rails

        return {name: rail.power for name, rail in get_rails().items() if rail.power is not None}
    except Exception:  # no libsensors, no rights, another board: a benchmark without power is still one
        return {}


def read_watts(rails: dict[str, Any]) -> dict[str, float]:
    """Of every rail, now."""
    return {name: float(sensor.value) for name, sensor in rails.items()}


class Sampler:
    """Reads all rails in the background while it is open."""

    def __init__(self, rails: dict[str, Any]) -> None:
        self._rails = rails
        self._samples: list[dict[str, float]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Sampler:
        if self._rails:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._rails:
            self._thread.join()

    def _sample(self) -> None:
        while True:
            self._samples.append(read_watts(self._rails))
            if self._end.wait(_SAMPLE_SECONDS):
                return

    def mean(self) -> dict[str, float]:
        """Of every rail, in watts."""
        return {n: statistics.fmean(s[n] for s in self._samples) for n in self._rails if self._samples}
