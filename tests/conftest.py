# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from gatewright.errors import MissingToolError
from gatewright.sim.tools import find_tool

# Simulations are built once per content: kept between runs, so that a rerun is quick.
os.environ.setdefault("GATEWRIGHT_CACHE", str(Path(__file__).parents[1] / "build" / "cache"))

# Programs that a shell without job control starts in the background ignore Ctrl-C, and so does what they start: tests
# that send it to a program of theirs would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Time limits by the wall clock fail on a busy machine.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs SystemC, the one tool that no wheel brings, where it is missing."""
    try:
        find_tool("systemc")
    except MissingToolError as error:
        skip = pytest.mark.skip(reason=str(error))
        for item in items:
            if item.get_closest_marker("systemc"):
                item.add_marker(skip)
