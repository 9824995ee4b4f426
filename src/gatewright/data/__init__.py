# SPDX-License-Identifier: Apache-2.0
"""Data sets that exist offline, one loader a file: ``gatewright.data.digits.load()``."""

from __future__ import annotations

from gatewright.data.dataset import DataSet, Split

__all__ = ["DataSet", "Split"]
