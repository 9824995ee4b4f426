# SPDX-License-Identifier: Apache-2.0
"""The page as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatewright import __version__
from gatewright.build import Build
from gatewright.errors import ConfigError
from gatewright.progress import Progress, silent
from gatewright.report import accumulators, outputs, tables, timing
from gatewright.report.bitstream import bitstream, lead
from gatewright.report.facts import Facts, collect
from gatewright.report.header import figures, header
from gatewright.report.html import Child, Html, el
from gatewright.report.network import network
from gatewright.report.numbers import count
from gatewright.synth.report import FILE

FOLDER = Path(__file__).parent


def write_report(
    directory: str | Path, output: str | Path | None = None, *, frames: int | None = None, progress: Progress = silent
) -> tuple[Path, dict[str, Any]]:
    """Write the report on a build folder.

    Args:
        output: the file; `report.html` in the folder by default.
        frames: use the first so many of the stored frames; all by default.
        progress: called with the name of each step.

    Returns:
        The file, and its key figures.

    Raises:
        GatewrightError: no build folder, or a damaged one; nothing is written then.
    """
    build = Build.open(Path(directory))
    path = build.directory / "report.html" if output is None else Path(output)
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: name a file in a folder that is there")
    facts = collect(build, frames, progress)
    try:
        path.write_text(page(facts), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error}): choose another file") from error
    return path, figures(facts)


def render(directory: str | Path, *, frames: int | None = None, progress: Progress = silent) -> str:
    """The report on a build folder as HTML; the same text for the same build.

    Raises:
        GatewrightError: no build folder, or a damaged one.
    """
    return page(collect(Build.open(Path(directory)), frames, progress))


def page(facts: Facts) -> str:
    """The whole document."""
    sections = _sections(facts)
    nav = el("nav", [el("a", title, href=f"#{name}") for name, title, _, _ in sections], aria_label="Sections")
    main = el("main", [section(*s) for s in sections])
    script = el("script", Html((FOLDER / "page.js").read_text(encoding="utf-8")))
    title = f"{facts.summary['network']} on {facts.summary['board']}"
    return document(title, [header(facts), nav, main, footer(), script])


def document(title: str, body: Child) -> str:
    """A whole page with the styles of the report."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="generator", content=f"gatewright {__version__}"),
        el("title", f"{title} · Gatewright"),
        el("style", Html((FOLDER / "page.css").read_text(encoding="utf-8"))),
    )
    return f"<!DOCTYPE html>\n{el('html', head, el('body', body), lang='en')}\n"


def section(name: str, title: str, lead: Child, body: Child) -> Html:
    """A part of the page under a heading."""
    return el("section", el("h2", title), el("p", lead, class_="lead"), body, id=name, aria_label=title)


def _sections(facts: Facts) -> list[tuple[str, str, Child, Child]]:
    frames = f"{count(facts.case.frames)} stored frames"
    return [
        (
            "network", "Network",
            ["Units from input to output. On a line: the FIFO's depth, and lanes × bits of a word (▸ where a width "
             "adapter regroups it). The bar in a box is the unit's share of the interval. ", tag("predicted")],
            network(facts),
        ),
        (
            "units", "Folding and cycles",
            ["Utilisation: cycles of a frame at full speed, as a share of the interval of "
             f"{count(facts.interval)} cycles. ", tag("predicted")],
            tables.units(facts),
        ),
        ("timing", "Pipeline timing", _timing_lead(facts), [_zoom(), timing.timing(facts)]),
        (
            "fifos", "FIFOs",
            ["Depths are computed so that the bottleneck stays busy and nothing can deadlock. ", tag("cycle model")],
            tables.fifos(facts),
        ),
        ("resources", "Resources", _resource_lead(facts), tables.resources(facts)),
        *([] if facts.bitstream is None else [("bitstream", "Bitstream", lead(facts), bitstream(facts))]),
        (
            "checks", "Checks",
            ["Exact: frames all of whose output integers equal golden’s. Only what ran is shown as passed. ",
             tag("simulated")],
            tables.checks(facts),
        ),
        (
            "outputs", "Outputs",
            [f"The golden integers, as real values, for {frames}. ", tag("golden")], outputs.outputs(facts),
        ),
        (
            "accumulators", "Accumulators",
            [f"Sums over {frames} on a logarithmic count axis; marked limits are proven for every input, grey is what "
             "the bits hold beyond them. ", tag("golden")],
            accumulators.accumulators(facts),
        ),
        (
            "proofs", "Proofs",
            ["Accumulator bits: by the data types alone, by the L1 norm of the weights (A2Q, ICCV 2023), and the exact "
             "ones that were built. "],
            tables.proofs(facts),
        ),
    ]  # fmt: skip


def tag(what: str) -> Html:
    """Where a number comes from."""
    return el("span", what, class_="tag")


def _timing_lead(facts: Facts) -> Child:
    full = timing.steady(facts)
    phase = f"full from the end of frame {full} on" if full else "not yet full after these frames"
    return [
        f"The first {facts.timing.last_out.shape[1]} frames with a source that always offers and a sink that always "
        f"takes: the pipeline fills until frame 1 is out, and is {phase}. A pale bar is a frame from its first beat in "
        "to its last beat out; the dark profile is the share of cycles in which the unit steps. ",
        tag("cycle model"),
    ]


def _zoom() -> Html:
    buttons = [el("button", f"{n}×", type="button", data_zoom=n) for n in (1, 2, 4, 8)]
    return el("div", "Zoom ", buttons, class_="zoom", hidden=True)


def _resource_lead(facts: Facts) -> Child:
    if facts.synthesis is None:
        stale = (facts.build.directory / FILE).exists()
        why = "The build changed since it was synthesised" if stale else "Not synthesised"
        return [f"{why}: run gatewright synth DIR for Yosys’ counts beside the prediction. ", tag("predicted")]
    return ["Predicted, and as Yosys synthesised each unit on its own. ", tag("predicted"), " ", tag("synthesised")]


def footer() -> Html:
    """The last line of a page."""
    return el(
        "footer", f"Gatewright {__version__}. One file: nothing is loaded from elsewhere, and the same build gives the "
        "same bytes.",
    )  # fmt: skip
