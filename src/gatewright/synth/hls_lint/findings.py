# SPDX-License-Identifier: Apache-2.0
"""What the lint finds, and the rules by which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """A line that Vitis HLS cannot take, or that breaks a rule of the kernels.

    Attributes:
        file: as it was given to the lint.
        line: from 1.
        rule: its name in `RULES`.
        what: stands there.
        remedy: what to write instead.
    """

    file: str
    line: int
    rule: str
    what: str
    remedy: str

    @property
    def why(self) -> str:
        """What the rule is for."""
        return RULES[self.rule]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}: {self.remedy} [{self.rule}: {self.why}]"


_CONSTRUCTS = "(UG1399 'Unsupported C/C++ Constructs')"
_PRAGMAS = "(UG1399 'HLS Pragmas')"
RULES: Mapping[str, str] = {
    "parse": "what a C++ compiler refuses, Vitis HLS refuses too",
    "language": "Vitis HLS 2022.2 compiles C++14 (UG1399 'Coding C/C++ Functions')",
    "include": f"a kernel takes its own library, the HLS types, integers and type traits {_CONSTRUCTS}",
    "allocation": "hardware has no heap (UG1399 'Dynamic Memory Usage')",
    "std-library": "most of the standard library recurses and allocates (UG1399 'Standard Template Libraries')",
    "system-call": "hardware has no operating system (UG1399 'System Calls')",
    "recursion": "hardware has no call stack; templates may recurse to an end (UG1399 'Recursive Functions')",
    "virtual": f"a call must be known at compile time {_CONSTRUCTS}",
    "function-pointer": f"a call must be known at compile time {_CONSTRUCTS}",
    "rtti": f"hardware knows no types {_CONSTRUCTS}",
    "exception": f"hardware cannot unwind a call stack {_CONSTRUCTS}",
    "pointer-cast": f"memory in hardware has no bytes behind its elements {_CONSTRUCTS}",
    "goto": "a loop that is not written as one is not pipelined; a rule of these kernels",
    "assembler": f"there is no processor {_CONSTRUCTS}",
    "float": "golden is integers, bit for bit; a rule of these kernels",
    "state": "units of one design would share it, and runs depend on earlier ones; a rule of these kernels",
    "loop-bound": "latency and unrolling need a known number of turns (UG1399 'pragma HLS loop_tripcount')",
    "loop-label": "reports and Tcl directives name loops by their labels; a rule of these kernels",
    "interface": "a port without a pragma becomes what the tool's defaults say (UG1399 'pragma HLS interface')",
    "dataflow": "only declarations and calls are sure to run in parallel (UG1399 'pragma HLS dataflow')",
    "stream-depth": "otherwise a stream has the tool's depth, not the designed one (UG1399 'pragma HLS stream')",
    "stream-ends": "a stream has one writer and one reader (UG1399 'pragma HLS dataflow')",
    "pragma": f"Vitis HLS skips a pragma that it does not know {_PRAGMAS}",
    "pragma-option": f"Vitis HLS skips a pragma with an option that it does not know {_PRAGMAS}",
    "pragma-value": f"Vitis HLS skips a pragma with a value that it does not know {_PRAGMAS}",
    "pragma-variable": f"a pragma acts on variables that are declared before it {_PRAGMAS}",
    "pragma-place": f"a pragma acts on the block that it stands in {_PRAGMAS}",
    "static-assert": "a refusal says what was wrong; a rule of these kernels",
    "spdx": "every file names its licence; a rule of this library",
    "header-comment": "a kernel's first comment says what it computes, its beats and its steps; a rule of this library",
}
"""Every rule, with its reason and where the user guide says so."""
