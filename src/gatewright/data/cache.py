# SPDX-License-Identifier: Apache-2.0
"""Where data sets that had to be fetched are kept."""

from __future__ import annotations

import os
from pathlib import Path


def data_cache(name: str) -> Path:
    """The folder of one data set: in `$GATEWRIGHT_DATA`, else `gatewright/data` of the user's cache folder."""
    own = os.environ.get("GATEWRIGHT_DATA")
    root = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatewright/data"
    return root / name
