# SPDX-License-Identifier: Apache-2.0
"""The command line: one module a family of verbs, each of which registers its commands on `app`."""

from __future__ import annotations

from gatewright.cli import bitstream as bitstream
from gatewright.cli import board as board
from gatewright.cli import bundle as bundle
from gatewright.cli import core as core
from gatewright.cli import debug as debug
from gatewright.cli import doctor as doctor
from gatewright.cli import quantize as quantize
from gatewright.cli import report as report
from gatewright.cli import synth as synth
from gatewright.cli import traffic as traffic
from gatewright.cli import train as train
from gatewright.cli.app import app

__all__ = ["app"]
