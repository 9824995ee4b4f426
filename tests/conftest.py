# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings

# Simulations are built once per content: kept between runs, so that a rerun is quick.
os.environ.setdefault("GATEWRIGHT_CACHE", str(Path(__file__).parents[1] / "build" / "cache"))

# Time limits by the wall clock fail on a busy machine.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
