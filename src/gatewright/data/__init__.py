# SPDX-License-Identifier: Apache-2.0
"""Data sets that exist offline, one loader a file: ``gatewright.data.digits.load()``, or ``load_data("digits")``."""

from __future__ import annotations

from gatewright.data.catalog import data_sets, fetch_data, load_data
from gatewright.data.dataset import DataSet, Split

__all__ = ["DataSet", "Split", "data_sets", "fetch_data", "load_data"]
