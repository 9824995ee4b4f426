# SPDX-License-Identifier: Apache-2.0
"""The command line: one module a family of verbs, each of which registers its commands on `app`."""

from __future__ import annotations

from gatewright.cli import core as core
from gatewright.cli.app import app

__all__ = ["app"]
