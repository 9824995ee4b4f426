# SPDX-License-Identifier: Apache-2.0
"""Vendor scripts, checked without the vendor's tools.

`check` runs a Tcl script in a real interpreter against a model of Vivado, Vitis HLS or `package_xo`: which commands and
options there are, what they take, what must be there before, and what is joined to what in a block design.
`shell.run` does so for a shell script, with models of Vivado and v++ in place of the programs, and `judge` for all
scripts of a bitstream's project.
All that the model knows stands in `tables/`, each entry with the user guide and section it comes from.
docs/bitstream.md says what it does not know.
"""

from gatewright.synth.tcl_model.judge import judge
from gatewright.synth.tcl_model.model import Finding
from gatewright.synth.tcl_model.runner import Result, check, run

__all__ = ["Finding", "Result", "check", "judge", "run"]
