# SPDX-License-Identifier: Apache-2.0
"""What a SystemC model shows of itself: fills of FIFOs, what units wait for, and a VCD of handshakes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gatewright.design.cycles import simulate
from gatewright.design.fifos import size_fifos
from gatewright.design.structure import Structure, structure
from gatewright.emit import systemc
from gatewright.errors import ConfigError, MissingToolError
from gatewright.ir.graph import Graph
from gatewright.ir.types import IntArray
from gatewright.sim import tools
from gatewright.sim.model import Traffic
from gatewright.sim.systemc import SystemcRun, run_systemc

from ..conformance.support import residual_network, sample

FRAMES = 6
PERIOD = 10_000
"""Picoseconds of a cycle."""

pytestmark = pytest.mark.systemc


@pytest.fixture(scope="module")
def graph() -> Graph:
    return size_fifos(residual_network(9, 2))


@pytest.fixture(scope="module")
def design(graph: Graph) -> Structure:
    return structure(graph)


@pytest.fixture(scope="module")
def folder(design: Structure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("systemc")
    systemc.emit(design).write(path)
    return path


@pytest.fixture(scope="module")
def inputs(graph: Graph) -> tuple[IntArray, ...]:
    return tuple(sample(i.tensor, FRAMES, np.random.default_rng(0)) for i in graph.inputs)


@pytest.fixture(scope="module")
def free(design: Structure, folder: Path, inputs: tuple[IntArray, ...]) -> SystemcRun:
    return run_systemc(design, folder, inputs, vcd=folder / "free.vcd")


def test_values_and_cycles(graph: Graph, design: Structure, inputs: tuple[IntArray, ...], free: SystemcRun) -> None:
    (want,) = graph.reference(*inputs)
    np.testing.assert_array_equal(free.outputs[0], want.reshape(FRAMES, -1))
    timing = simulate(design, FRAMES)
    assert (free.latency, free.interval) == (timing.latency, timing.interval)


def test_fifos_get_as_full_as_predicted(design: Structure, free: SystemcRun) -> None:
    held = simulate(design, FRAMES).peak
    deep = [k for k in design.links if k.depth]
    assert {k.name: free.fifos[k.name].depth for k in deep} == {k.name: k.depth for k in deep}
    assert {n: f.peak for n, f in free.fifos.items()} == {k.name: held[k.name] for k in deep}
    assert max(f.peak for f in free.fifos.values()) > 2


def test_every_unit_makes_its_steps(design: Structure, free: SystemcRun) -> None:
    assert {n: u.busy for n, u in free.units.items()} == {u.name: FRAMES * u.schedule.steps for u in design.units}


def test_a_slow_sink_blocks_and_a_slow_source_starves(
    design: Structure, folder: Path, inputs: tuple[IntArray, ...], free: SystemcRun
) -> None:
    last = design.units[-1].name
    blocked = run_systemc(design, folder, inputs, Traffic(out_stall=0.9, seed=1)).units[last]
    starved = run_systemc(design, folder, inputs, Traffic(in_stall=0.95, seed=1)).units[last]
    assert blocked.blocked > 3 * free.units[last].blocked + 100
    assert starved.starved > free.units[last].starved + 1000


def strobes(vcd: str) -> dict[str, int]:
    """Cycles in which each single-bit signal of a VCD is high, by its full name."""
    head, _, body = vcd.partition("$enddefinitions")
    scope: list[str] = []
    names: dict[str, str] = {}
    for kind, rest in re.findall(r"\$(scope|upscope|var)\b(.*?)\$end", head):
        if kind == "scope":
            scope.append(rest.split()[1])
        elif kind == "upscope":
            scope.pop()
        else:
            names[rest.split()[2]] = ".".join([*scope, rest.split()[3]])
    high, since, now = dict.fromkeys(names.values(), 0), dict[str, int](), 0
    for line in body.splitlines():
        if line.startswith("#"):
            now = int(line[1:])
        elif line[:1] == "1" and line[1:] in names:
            since.setdefault(names[line[1:]], now)
        elif line[:1] == "0" and names.get(line[1:]) in since:
            high[names[line[1:]]] += (now - since.pop(names[line[1:]])) // PERIOD
    return high


def test_the_vcd_holds_every_handshake(design: Structure, folder: Path, free: SystemcRun) -> None:
    high = strobes((folder / "free.vcd").read_text())
    for link in design.links:
        if link.depth:
            (push,) = (n for n in high if n.endswith(f".link_{link.name}.push"))
            assert high[push] == high[push[:-4] + "pop"] == FRAMES * link.stream.beats
    for unit in design.units:
        (step,) = (n for n in high if n.endswith(f".unit_{unit.name}.step"))
        assert high[step] == FRAMES * unit.schedule.steps


def test_resets_in_mid_run_are_refused(design: Structure, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"reset_at=\(5,\): a SystemC model is not reset in mid-run"):
        run_systemc(design, folder, (), Traffic(reset_at=(5,)))


def test_a_missing_systemc_is_said(design: Structure, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEMC_HOME", str(folder))
    assert tools.find_tool("g++")
    with pytest.raises(MissingToolError, match=r"systemc is missing.*SystemC simulation.*apt install libsystemc-dev"):
        run_systemc(design, folder, ())


OWN_BENCH = """
#include "network_systemc.hpp"

#include <iostream>

int sc_main(int, char**) {
  network_design::Network net("net");
  int sent = 0, got = 0, cycles = 0;
  for (; got < %(got)d; ++cycles) {
    if (net.s_axis.ready() && sent < %(sent)d) {
      gatewright::beat_t<%(in)s> beat;
      for (auto& lane : beat.lane) lane = sent %% 16;
      net.s_axis.offer(beat);
      ++sent;
    }
    const bool ready = cycles %% 3 == 0;
    net.m_axis.set_ready(ready);
    if (ready && net.m_axis.valid()) {
      for (const auto& lane : net.m_axis.beat().lane) std::cout << lane << "\\n";
      ++got;
    }
    sc_core::sc_start(net.time.period);
  }
  net.time.print(std::cerr);
  return 0;
}
"""


def test_a_test_bench_of_ones_own(graph: Graph, design: Structure, folder: Path, tmp_path: Path) -> None:
    """As docs/systemc.md describes it: the model is an sc_module that needs nothing of the harness."""
    (source,), (drain,) = design.inputs, design.outputs
    kind = f"{source.bits}, {int(source.signed)}, {source.lanes}"
    text = OWN_BENCH % {"sent": source.beats, "got": drain.beats, "in": kind}
    (tmp_path / "bench.cpp").write_text(text)
    types = tools.find_tool("ap_types").path
    places = [f"-I{folder}", f"-I{folder / 'include'}", "-isystem", str(types)]
    command = ["g++", "-std=c++17", "-O1", *places, "bench.cpp", "-lsystemc", "-o", "bench"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "bench"], capture_output=True, text=True, check=True)
    beats = np.repeat(np.arange(source.beats) % 16, source.lanes)
    (want,) = graph.reference(beats.reshape(1, *graph.inputs[0].tensor.shape).astype(np.int64))
    have = [int(line) for line in done.stdout.split() if re.fullmatch(r"-?\d+", line)]
    np.testing.assert_array_equal(have, want.ravel())
    assert "unit net.unit_join " in done.stderr
