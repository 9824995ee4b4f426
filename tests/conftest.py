# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from gatewright.errors import MissingToolError
from gatewright.sim.tools import find_tool

# Simulations are built once per content: kept between runs, so that a rerun is quick.
os.environ.setdefault("GATEWRIGHT_CACHE", str(Path(__file__).parents[1] / "build" / "cache"))

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
