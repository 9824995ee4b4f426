# SPDX-License-Identifier: Apache-2.0
"""Folding: seconds of the solver, its cost against brute force, and what a latency costs beside a rate.

Brute force runs over every combination of foldings of small random networks with forks and joins; a gap is how much
dearer, or later, the solver's answer is than the best of them. For larger networks the bound is the cheapest design of
that rate with any latency: no design within the latency costs less.
"""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import torch
from common import OUT, report, timed

from gatewright.boards import load_board
from gatewright.data import digits
from gatewright.design.fifos import size_fifos, unit_interval
from gatewright.design.folding import Solver
from gatewright.design.latency import LatencySearch, lone_latency
from gatewright.design.plan import make_design
from gatewright.frontend.export import export
from gatewright.frontend.importer import import_model
from gatewright.ir.graph import Graph
from gatewright.passes.lower import lower
from gatewright.train import calibrate
from gatewright.train.digits import DigitsNet
from gatewright.train.resnet8 import untrained

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.design.graphs import convolutions, mlp, random_dag

BOARD = load_board("pynq-z2")
NETWORKS = 60
PERCEPTRONS = (
    ((784, 64, 64, 64, 10), 1, 69, 2.4),
    ((600, 64, 64, 64, 1), 2, 69, 2.1),
    ((490, 256, 256, 256, 12), 3, 490, 17.0),
)


def gaps() -> list[dict[str, object]]:
    """The solver against every combination: cost for an interval, interval in a budget, cost for a latency."""
    found: dict[str, list[float]] = {"cost for an interval": [], "interval in a budget": [], "cost for a latency": []}
    seconds = dict.fromkeys(found, 0.0)
    for seed in range(NETWORKS):
        solver = Solver(random_dag(seed, 2 + seed % 4), BOARD)
        choices = solver.choices
        if math.prod(len(o) for o in choices.options) > 1000:
            continue
        picks = list(itertools.product(*(range(len(o)) for o in choices.options)))
        shares = np.array([choices.combination(p).shares for p in picks])
        costs = shares.sum(axis=1)
        pace = np.array([max(o[k].interval for o, k in zip(choices.options, p, strict=True)) for p in picks])
        late = np.array([lone_latency(choices, p) for p in picks])
        for interval in np.unique(pace)[:6].tolist():
            graph, spent = timed(lambda solver=solver, interval=interval: solver.for_interval(interval))
            found["cost for an interval"].append(solver.cost(graph) / costs[pace <= interval].min() - 1)
            seconds["cost for an interval"] += spent
        for share in (1.01, 1.3, 2.0):
            solver.budget = shares.max(axis=1).min() * share
            graph, spent = timed(solver.fastest)
            fits = (shares <= solver.budget + 1e-9).all(axis=1)
            found["interval in a budget"].append(max(unit_interval(graph).values()) / pace[fits].min() - 1)
            seconds["interval in a budget"] += spent
        search = LatencySearch(choices, choices.within(1 << 60))
        for latency in np.quantile(late, (0, 0.1, 0.5), method="lower").tolist():
            best, spent = timed(lambda s=search, late=latency, free=choices.unlimited: s.cheapest(late, free))
            assert best is not None
            found["cost for a latency"].append(best.cost / costs[late <= latency].min() - 1)
            seconds["cost for a latency"] += spent
    return [
        {"what": what, "cases": len(gap), "largest gap": max(gap), "seconds a case": seconds[what] / len(gap)}
        for what, gap in found.items()
    ]


def perceptrons() -> list[dict[str, object]]:
    """Rate and latency together, in the cycle model."""
    rows: list[dict[str, object]] = []
    for widths, bits, interval, latency_us in PERCEPTRONS:
        graph = mlp(widths, bits)
        solver = Solver(graph, BOARD)
        cheapest = solver.cost(solver.for_interval(interval))
        design, seconds = timed(
            lambda g=graph, i=interval, us=latency_us: make_design(g, BOARD, fps=1e8 / i, latency_us=us, mhz=100.0)
        )
        rows.append(
            {
                "layers": "-".join(map(str, widths)), "bits": bits, "interval asked": interval,
                "interval": design.timing.interval, "us asked": latency_us, "us": design.timing.latency / 100,
                "cost over the rate's": solver.cost(design.graph) / cheapest - 1, "seconds": seconds,
            }
        )  # fmt: skip
    return rows


def digits_graph() -> Graph:
    """The network of the demonstration, calibrated and not trained."""
    torch.manual_seed(0)
    model, images = DigitsNet(quantized=True), digits.load().test.x
    calibrate(model, images)
    folder = OUT / "folding"
    folder.mkdir(parents=True, exist_ok=True)
    export(model.eval(), folder / "digits.onnx", torch.from_numpy(images[:1]))
    return lower(import_model(folder / "digits.onnx"))


def resnet8_graph() -> Graph:
    """ResNet-8 for images of 32 x 32, untrained."""
    model, images = untrained()
    export(model, OUT / "folding" / "resnet8.onnx", torch.from_numpy(images[:1]))
    return lower(import_model(OUT / "folding" / "resnet8.onnx"))


def networks() -> list[dict[str, object]]:
    """Seconds of each step on whole networks, and what half the latency of the cheapest design costs."""
    cnv = convolutions(32, [64, 64, None, 128, 128, None, 256, 256], [512, 512, 10])
    rows: list[dict[str, object]] = []
    for name, graph, board, interval in (
        ("digits", digits_graph(), "pynq-z2", 1000),
        ("ResNet-8", resnet8_graph(), "zcu104", 100_000),
        ("CNV W2A2", cnv, "zcu104", 33_000),
    ):
        solver, options = timed(lambda g=graph, b=board: Solver(g, load_board(b)))
        folded, rate = timed(lambda s=solver, i=interval: s.for_interval(i))
        _, fifos = timed(lambda f=folded: size_fifos(f))
        _, fastest = timed(solver.fastest)
        reckoned = solver.for_latency(1 << 40, interval)[1]
        (quick, latency), search = timed(lambda s=solver, c=reckoned // 2, i=interval: s.for_latency(c, i))
        rows.append(
            {
                "network": name, "foldings": sum(map(len, solver.options.values())), "options, s": options,
                "rate, s": rate, "fastest, s": fastest, "FIFOs, s": fifos, "latency, s": search,
                "latency": f"{reckoned} to {latency}", "cost of that": solver.cost(quick) / solver.cost(folded) - 1,
            }
        )  # fmt: skip
    return rows


def main() -> None:
    """Gaps, perceptrons, whole networks."""
    size_fifos(mlp((8, 4), 2))  # numba compiles or loads
    report("folding_gaps", gaps())
    report("folding_latency", perceptrons())
    report("folding_networks", networks())


if __name__ == "__main__":
    main()
