# SPDX-License-Identifier: Apache-2.0
"""`python -m gatewright`, and the console script."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its status."""
    from gatewright.cli import app

    app(prog_name="gatewright")


if __name__ == "__main__":
    main()
