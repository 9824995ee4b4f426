# SPDX-License-Identifier: Apache-2.0
"""Emitted HLS projects: both kinds of ports compute golden's integers, and their test benches notice what is wrong."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.design.graphs import convolutions, mlp, random_dag

from gatewright.design.structure import Structure, structure
from gatewright.emit import hls_axi, hls_project
from gatewright.emit.hls_bench import argument_names, frame_words
from gatewright.emit.rtl import top_ports
from gatewright.ir.graph import Graph
from gatewright.ir.packing import frame_images
from gatewright.ir.types import IntArray
from gatewright.sim.csim import build_csim, run_csim

BUS = 32
FRAMES = 3


def networks() -> dict[str, Graph]:
    """Forks and joins between two inputs and two outputs, a window, and beats of whole bytes."""
    wide = mlp((16, 8, 4), 4)
    ops = {"dense0": replace(wide.node("dense0").op, simd=2), "dense1": replace(wide.node("dense1").op, simd=4)}
    return {
        "several": replace(random_dag(5, 5), name="several"),
        "window": replace(convolutions(5, [4], [3]), name="windowed"),
        "bytes": replace(wide.with_ops(ops), name="whole_bytes"),
    }


NETWORKS = networks()


def frames(graph: Graph, count: int = FRAMES) -> list[IntArray]:
    rng = np.random.default_rng(0)
    return [rng.integers(i.tensor.lo, i.tensor.hi + 1, (count, *i.tensor.shape)) for i in graph.inputs]


def test_the_networks_are_what_they_are_for() -> None:
    designs = {name: structure(graph) for name, graph in NETWORKS.items()}
    assert len(designs["several"].inputs) == 2 and len(designs["several"].outputs) == 2
    assert any(u.schedule.after is not None for u in designs["window"].units)
    assert all(s.width == s.padded_width for s in designs["bytes"].inputs)
    assert any(s.width != s.padded_width for s in designs["several"].outputs)


@pytest.mark.parametrize("stream", [False, True], ids=["axi", "stream"])
@pytest.mark.parametrize("name", NETWORKS)
def test_both_variants_compute_golden(name: str, stream: bool, tmp_path: Path) -> None:
    graph = NETWORKS[name]
    design, xs = structure(graph), frames(graph)
    hls_project.sources(design, BUS).write(tmp_path)
    found = run_csim(design, tmp_path, xs, BUS, stream=stream, sanitize=True)
    for have, want in zip(found, graph.reference(*xs), strict=True):
        np.testing.assert_array_equal(have, want.reshape(FRAMES, -1))


def test_more_frames_than_a_batch_behind_the_widest_words(tmp_path: Path) -> None:
    graph, bus = NETWORKS["several"], 512
    design, xs = structure(graph), frames(graph, 2 * hls_axi.BATCH + 1)
    hls_project.sources(design, bus).write(tmp_path)
    found = run_csim(design, tmp_path, xs, bus)
    for have, want in zip(found, graph.reference(*xs), strict=True):
        np.testing.assert_array_equal(have, want.reshape(len(xs[0]), -1))


def project(folder: Path, faults: Mapping[str, tuple[str, str]]) -> tuple[Structure, Path]:
    """A small project with its vectors, in which text of some files was replaced."""
    graph = NETWORKS["bytes"]
    design, xs = structure(graph), frames(graph)
    hls_project.sources(design, BUS).write(folder)
    for path, (old, new) in faults.items():
        text = (folder / path).read_text()
        assert text.count(old) == 1
        (folder / path).write_text(text.replace(old, new))
    (folder / "data").mkdir()
    arrays = dict(zip(("input", "golden_output"), (*xs, *graph.reference(*xs)), strict=True))
    for (name, x), s in zip(arrays.items(), design.inputs + design.outputs, strict=True):
        (folder / "data" / f"{name}.bin").write_bytes(frame_images(x, s, BUS).tobytes())
    return design, folder


def bench(program: Path, folder: Path) -> tuple[int, str]:
    done = subprocess.run([program], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


PORT = "include/gatewright/lib/stream_port.hpp"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("word.last = step == BEATS - 1;", "word.last = step == 0;", "TLAST"),
        ("word.keep = -1;", "word.keep = 0;", "TKEEP"),
        ("step < BEATS; ++step) {\n#pragma HLS pipeline II=1 style=flp\n      const auto beat",
         "step < BEATS - 1; ++step) {\n#pragma HLS pipeline II=1 style=flp\n      const auto beat", "too short"),
        ("      m_axis.write(word);", "      m_axis.write(word);\n      if (word.last == 1) m_axis.write(word);",
         "TLAST"),
    ],
    ids=["tlast", "tkeep", "short", "long"],
)  # fmt: skip
def test_the_bench_of_streams_notices_wrong_frames(old: str, new: str, says: str, tmp_path: Path) -> None:
    design, folder = project(tmp_path, {PORT: (old, new)})
    code, said = bench(build_csim(design, folder, stream=True), folder)
    assert code == 1 and says in said


@pytest.mark.parametrize("stream", [False, True], ids=["axi", "stream"])
def test_a_bench_compares_with_the_vectors(stream: bool, tmp_path: Path) -> None:
    design, folder = project(tmp_path, {})
    program, golden = build_csim(design, folder, stream=stream), folder / "data" / "golden_output.bin"
    right = golden.read_bytes()
    assert bench(program, folder) == (0, "")
    assert (folder / "data" / "output.bin").read_bytes() == right
    assert bench(program, folder / "data")[0] == 0, "where the simulation runs, if files were copied flat"

    golden.write_bytes(right[:-4] + bytes([right[-4] ^ 1]) + right[-3:])
    assert bench(program, folder) == (1, f"output: frame {FRAMES - 1} differs from golden\n")
    golden.write_bytes(right[:-4])
    assert bench(program, folder)[0] == 1
    golden.unlink()
    assert bench(program, folder) == (1, "data/golden_output.bin is missing or empty\n")
    (folder / "data" / "input.bin").unlink()
    assert bench(program, folder)[0] == 1, "a project without vectors has shown nothing"


def test_co_simulation_finds_as_many_words_as_depth_says(tmp_path: Path) -> None:
    """It copies them at every call, here the last of them; the sanitizer ends a run that leaves the memories."""
    last = f"[{hls_axi.BATCH} * {frame_words(structure(NETWORKS['bytes']).inputs[0], BUS)} - 1]"
    touched = f"#pragma HLS dataflow\n  output{last} = input{last};"
    design, folder = project(tmp_path, {"whole_bytes.cpp": ("#pragma HLS dataflow", touched)})
    assert bench(build_csim(design, folder, sanitize=True), folder) == (0, "")
    text = (folder / "whole_bytes_tb.hpp").read_text()
    assert "std::size_t(frames) + 8;" in text
    (folder / "whole_bytes_tb.hpp").write_text(text.replace("std::size_t(frames) + 8;", "std::size_t(frames);"))
    code, said = bench(build_csim(design, folder, sanitize=True), folder)
    assert code != 0 and "heap-buffer-overflow" in said


def test_a_fault_in_a_kernel_fails_the_bench(tmp_path: Path) -> None:
    kernel = "include/gatewright/threshold.hpp"
    design, folder = project(tmp_path, {kernel: ("Cfg::lo + code", "Cfg::hi - code")})
    code, said = bench(build_csim(design, folder), folder)
    assert code == 1 and "frame 0 differs from golden" in said


# --- what the text promises to Vitis HLS ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_masters_have_bundles_of_their_own_and_room_for_a_batch(name: str) -> None:
    design = structure(NETWORKS[name])
    text = hls_axi.top_source(design, BUS)
    streams = dict(zip(sum(argument_names(design), []), design.inputs + design.outputs, strict=True))
    found = re.findall(r"mode=m_axi port=(\w+) offset=slave bundle=(\w+) depth=(\d+) .*max_widen_bitwidth=(\d+)", text)
    assert [port for port, *_ in found] == list(streams)
    assert len({bundle for _, bundle, *_ in found}) == len(streams)
    for port, _, depth, widest in found:
        assert int(depth) == hls_axi.BATCH * frame_words(streams[port], BUS) and int(widest) == BUS
        assert f"mode=s_axilite port={port} bundle=control" in text
    assert "first += batch" in hls_axi.bench_header(design, BUS)
    for port in ("frames", "return"):
        assert f"mode=s_axilite port={port} bundle=control" in text


def test_registers_are_those_of_two_addresses_and_a_number() -> None:
    """As in AMD's own example of a kernel with three 64-bit addresses and an int: 0x10, 0x1c, 0x28, 0x34."""
    design = structure(NETWORKS["several"])
    assert hls_axi.registers(design) == {
        "input0": 0x10, "input1": 0x1C, "output0": 0x28, "output1": 0x34, "frames": 0x40,
    }  # fmt: skip
    prototype = re.search(r"void several\((.*)\)", hls_axi.top_source(design, BUS))
    assert prototype and [a.split()[-1] for a in prototype.group(1).split(",")] == list(hls_axi.registers(design))


@pytest.mark.parametrize("name", NETWORKS)
def test_ports_of_the_stream_variant_are_those_of_the_rtl(name: str) -> None:
    design = structure(NETWORKS[name])
    text = dict(hls_project.sources(design, BUS))[f"{design.name}_stream.hpp"]
    ins, outs = top_ports(design)
    expected = [(str(s.padded_width), prefix) for prefix, s in ins + outs]
    assert re.findall(r"ap_axiu<(\d+), 0, 0, 0>>& (\w+)", text) == expected
    assert "port=return" in (source := dict(hls_project.sources(design, BUS))[f"{design.name}_stream.cpp"])
    assert source.count("mode=ap_ctrl_none") == 1 and source.count("mode=axis") == len(expected)


def test_no_project_holds_the_stand_in_of_a_header_of_vitis() -> None:
    paths = [path for path, _ in hls_project.sources(structure(NETWORKS["bytes"]), BUS)]
    assert not any(path.endswith("ap_axi_sdata.h") for path in paths)


def test_same_design_same_text() -> None:
    first, second = (hls_project.sources(structure(networks()["several"]), BUS) for _ in range(2))
    assert first.digest() == second.digest()
