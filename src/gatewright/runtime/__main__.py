# SPDX-License-Identifier: Apache-2.0
"""`python -m gatewright.runtime verify|benchmark|state BUNDLE`, and `run.py` of a bundle."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Sequence

from .accelerator import Accelerator
from .errors import GatewrightError

FAILED, ERROR = 1, 2
"""Exit codes: results differ from golden; anything else that went wrong."""


def parser(bundle: str | None) -> argparse.ArgumentParser:
    """The arguments; with a bundle given, none is asked for."""
    top = argparse.ArgumentParser(
        prog="run.py" if bundle else "python -m gatewright.runtime",
        description="Runs the network of a bundle on a board.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="verify|benchmark|state")
    for name, what in (
        ("verify", "replay the golden frames and compare everything that comes back"),
        ("benchmark", "measure latency and frames a second"),
        ("state", "show the kernel's registers, as they are: nothing is loaded or run"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        if bundle is None:
            command.add_argument("bundle", help="folder or .tar.gz")
        command.add_argument(
            "--device", metavar="HOST[:PORT]", help="a board behind PYNQ.remote, or a serial port; else this one"
        )
        command.add_argument("--json", action="store_true", help="print JSON")
        if name != "state":
            command.add_argument(
                "--no-download",
                action="store_true",
                help="the device holds the bitstream already, as one on a serial port must",
            )
            command.add_argument("--timeout", type=float, metavar="S", help="seconds that a run may take")
        if name == "verify":
            command.add_argument("--frames", type=int, metavar="N", help="the first so many; else all")
        if name == "benchmark":
            command.add_argument("--frames", type=int, nargs="+", metavar="N", help="batch sizes; else 1 10 100 1000")
    return top


def main(argv: Sequence[str] | None = None, bundle: str | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments; None for those of the process.
        bundle: a bundle, where none is to be given.

    Returns:
        Exit code: 0, `FAILED` or `ERROR`.
    """
    given = parser(bundle).parse_args(argv)
    try:
        result, ok = _run(given, bundle or given.bundle)
    except GatewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return ERROR
    print(json.dumps(result.to_json(), indent=1) if given.json else result)
    return 0 if ok else FAILED


def _run(given: argparse.Namespace, bundle: str) -> tuple[Any, bool]:
    if given.command == "state":
        with Accelerator(bundle, given.device, download=False) as accelerator:
            return accelerator.state(), True
    download = not given.no_download
    with Accelerator(bundle, given.device, download=download, timeout=given.timeout) as accelerator:
        if given.command == "verify":
            report = accelerator.verify(given.frames)
            return report, report.ok
        return (accelerator.benchmark(given.frames) if given.frames else accelerator.benchmark()), True


if __name__ == "__main__":
    sys.exit(main())
