# SPDX-License-Identifier: Apache-2.0
"""The root of the command line, and what its commands share.

Tables and JSON go to stdout; progress and errors go to stderr. The exit status is 0 only when everything asked for
was done and agreed. Modules that take time to load are imported by the command that needs them.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from gatewright import __version__
from gatewright.errors import ConfigError, GatewrightError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")]
_STYLES = {"ok": "green", "failed": "red", "not_run": "yellow", "missing": "red", "agree": "green", "differ": "red"}


class _Group(TyperGroup):
    """Prints an error of Gatewright as one red line and exits with 1; `--debug` lets it through."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except GatewrightError as error:
            if ctx.params.get("debug"):
                raise
            error_console().print(Text(f"error: {error}", style="bold red"), soft_wrap=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From a PyTorch model to gates that provably compute it.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"gatewright {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", hidden=True, help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the command."""


def output_console() -> Console:
    """The console of tables, on stdout."""
    # A pipe has no width: wide enough that no cell is cut.
    return Console(width=None if sys.stdout.isatty() else 180, highlight=False)


def error_console() -> Console:
    """The console of progress and errors, on stderr."""
    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    print(json.dumps(value, indent=2))


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(status, style=_STYLES.get(status, ""))


def number(value: float | None, form: str) -> str:
    """A number in a format, or nothing."""
    return "" if value is None else format(value, form)


def split_names(option: str, text: str, example: str) -> list[str]:
    """The names that an option takes with commas between.

    Raises:
        ConfigError: one is empty.
    """
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ConfigError(f"{option} {text!r} has an empty name: give names with commas between, such as {example}")
    return names
