# SPDX-License-Identifier: Apache-2.0
"""Native Yosys behind the command line that SymbiYosys uses: `-ql LOG SCRIPT`.

SymbiYosys comes from PyPI with a Yosys in WebAssembly, which takes many times longer for the same commands; `pyosys` is
the same release of Yosys as a shared library.
"""

from __future__ import annotations

import sys

from pyosys import libyosys


def main() -> None:
    """Runs a script and writes a log; on an error Yosys says what it is and ends the process with status 1."""
    option, log, script = sys.argv[1:]
    if option != "-ql":
        sys.exit(f"yosys.py: option {option!r} is none of those that SymbiYosys gives, use -ql LOG SCRIPT")
    libyosys.run_pass(f"tee -q -o {log} script {script}", libyosys.Design())


if __name__ == "__main__":
    main()
