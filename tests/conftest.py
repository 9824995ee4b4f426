# SPDX-License-Identifier: Apache-2.0
"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

# Simulations are built once per content: kept between runs, so that a rerun is quick.
os.environ.setdefault("GATEWRIGHT_CACHE", str(Path(__file__).parents[1] / "build" / "cache"))
