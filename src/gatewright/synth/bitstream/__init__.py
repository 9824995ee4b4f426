# SPDX-License-Identifier: Apache-2.0
"""Bitstreams: a build's kernel, its board's tool, and what came out.

`plan` says what would be written and run and touches no disk, `Plan.write` writes it, `make` runs it here or on another
machine, and `load` finds the last result.
"""

from gatewright.synth.bitstream.fit import Figure, figures
from gatewright.synth.bitstream.making import current, keep, load, make, read
from gatewright.synth.bitstream.planning import FLOWS, Plan, flow_of, plan, project, written
from gatewright.synth.bitstream.remote import Host
from gatewright.synth.bitstream.running import Here, Where
from gatewright.synth.bitstream.search import RUNS, Try, fastest

__all__ = [
    "FLOWS", "RUNS", "Figure", "Here", "Host", "Plan", "Try", "Where", "current", "fastest", "figures", "flow_of",
    "keep", "load", "make", "plan", "project", "read", "written",
]  # fmt: skip
