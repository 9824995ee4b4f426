# SPDX-License-Identifier: Apache-2.0
"""`gatewright bisect`: the first place at which two stages of a build part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gatewright.build import Array, Build
from gatewright.errors import ConfigError, MissingToolError, ModelError, ToolError
from gatewright.progress import Progress, silent
from gatewright.verify.check import Case, load_case
from gatewright.verify.compare import compare_design, compare_model, damaged
from gatewright.verify.divergence import Bisection, Step
from gatewright.verify.streams import compare_rtl
from gatewright.verify.trace import Provenance

Pair = tuple[str, str]

PAIRS: Mapping[Pair, Callable[[Case, Provenance], Step]] = {
    ("onnx", "golden"): compare_model,
    ("golden", "design"): compare_design,
    ("design", "rtl"): compare_rtl,
}
"""Stages that are compared with each other, in the order of the chain."""

STAGES = ("onnx", "golden", "design", "rtl")


def bisect(
    directory: str | Path,
    *,
    stages: Sequence[str] | None = None,
    data: str | Path | Array | None = None,
    frames: int | None = None,
    progress: Progress = silent,
) -> Bisection:
    """Compare the intermediate tensors of a build's stages, pair by pair, up to the first pair that differs.

    The build is taken as it is: files that were edited since it was compiled are run and named, not refused.

    Args:
        directory: a build folder.
        stages: the first and the last of `STAGES` to compare; all by default.
        data: the network's own float inputs, as for `check`; else those in the build.
        frames: the first so many of them.
        progress: called with what is being done.

    Raises:
        ConfigError: no build folder, no such stages, or a top level that cannot be watched.
        DataError: inputs of the wrong shape, type or number.
        ToolError: a tool rejects what it is given.
    """
    pairs = _pairs(stages)
    build = Build.open(Path(directory))
    changed = tuple(build.changed())
    for name in changed:
        progress(f"changed since it was compiled: {name}")
    try:
        build.model_graph  # noqa: B018  # read once, and kept
    except ModelError as error:
        return Bisection((damaged(build, ("onnx", "golden"), "graph.json", error),), changed)
    case, provenance = load_case(build, data, frames=frames, progress=progress), Provenance.of(build)
    steps: list[Step] = []
    for pair in pairs:
        try:
            steps.append(PAIRS[pair](case, provenance))
        except ToolError as error:
            if pair[0] != "onnx" and not isinstance(error, MissingToolError):
                raise
            steps.append(Step(pair, "not_run", reason=str(error)))
        if steps[-1].status == "differ":
            break
    return Bisection(tuple(steps), changed)


def _pairs(stages: Sequence[str] | None) -> list[Pair]:
    """The pairs of neighbours from the first to the last of the stages asked for."""
    if stages is None:
        return list(PAIRS)
    places = [STAGES.index(s) if s in STAGES else -1 for s in stages]
    if len(places) != 2 or -1 in places or places[0] >= places[1]:
        raise ConfigError(f"stages {list(stages)!r}: give two of {', '.join(STAGES)}, in this order")
    return list(PAIRS)[places[0] : places[1]]
