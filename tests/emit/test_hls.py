# SPDX-License-Identifier: Apache-2.0
"""Emitted HLS C++: units behind what they read, forks, and names of any kind."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conformance.support import network, residual_network
from tests.conformance.test_hls_networks import drawn

from gatewright.design.fifos import size_fifos
from gatewright.design.structure import End, Structure, structure
from gatewright.emit import hls, hls_project
from gatewright.ir.graph import single
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.depthwise import Depthwise
from gatewright.ops.grouped import Grouped
from gatewright.ops.maxpool import Maxpool
from gatewright.sim.csim import run_csim, run_program
from gatewright.sim.tools import find_tool

CALL = re.compile(r"  gatewright::(\w+)<(\w+)>\((.*)\);")


def body(design: Structure) -> list[str]:
    """Lines of the dataflow region."""
    return hls.dataflow_header(design).split("#pragma HLS dataflow\n")[1].splitlines()


def calls(design: Structure) -> list[tuple[str, str, list[str]]]:
    """Kernel, template argument and arguments of every call, in order."""
    found = (CALL.fullmatch(line) for line in body(design))
    return [(m[1], m[2], m[3].split(", ")) for m in found if m]


# --- structure --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_every_stream_is_written_once_before_it_is_read_once(seed: int) -> None:
    design = structure(drawn(seed))
    ins, outs = hls.port_names(design)
    read, written = set[str](), set(ins)
    named = {u.name: u for u in design.units}
    for kernel, config, arguments in calls(design):
        if kernel == "stream_fork":
            reads, writes = arguments[:1], arguments[2:]
        else:
            unit = named[config.removesuffix("_config")]
            assert kernel == unit.module
            reads, writes = arguments[: len(unit.ins)], arguments[len(unit.ins) : -1]
        assert set(reads) <= written - read and len(set(reads)) == len(reads), f"{kernel} reads {reads}"
        assert not set(writes) & written and len(set(writes)) == len(writes), f"{kernel} writes {writes}"
        read |= set(reads)
        written |= set(writes)
    assert written - read == set(outs)
    declared = re.findall(r'hls::stream<.*> (\w+)\("', "\n".join(body(design)))
    assert sorted(declared) == sorted(written - {*ins, *outs})
    assert {config for _, config, _ in calls(design)} >= {f"{name}_config" for name in named}


def test_a_fork_has_a_stream_of_its_own_and_branches_of_the_designed_depths() -> None:
    design = structure(size_fifos(residual_network()))
    (source,) = design.forks()
    assert source == End("", 0)
    (kernel, beats, arguments), *_ = calls(design)
    assert (kernel, beats, arguments[:2]) == ("stream_fork", str(design.inputs[0].beats), ["s_axis", "frames"])
    depths = {k.name: k.depth for k in design.links_from(source)}
    assert arguments[2:] == list(depths) and max(depths.values()) > hls.LEAST_DEPTH
    for name, depth in depths.items():
        assert f"#pragma HLS stream variable={name} depth={depth}" in body(design)


def test_an_input_that_is_an_output_passes_through() -> None:
    image = Tensor((2, 3), 0, 7)
    design = structure(network({"a": image, "b": image}, [("sum", Add(image, image), "a a")], ["b", "sum", "a"]))
    text = "\n".join(body(design))
    assert "gatewright::stream_fork<6>(s1_axis, frames, m0_axis);" in text
    assert "gatewright::stream_fork<6>(s0_axis, frames, sum_fifo0, sum_fifo1, m2_axis);" in text


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["input", "frames"])
def test_a_design_may_be_called_like_a_variable_of_its_test_bench(name: str, tmp_path: Path) -> None:
    tensor = Tensor((2, 4), -3, 4)
    design = structure(replace(single(Maxpool(tensor, 1, 2)), name=name))
    hls_project.sources(design).write(tmp_path)
    x = np.random.default_rng(0).integers(-3, 5, (5, 2, 4))
    (have,) = run_csim(design, tmp_path, [x])
    np.testing.assert_array_equal(have, x.reshape(5, -1))


def test_nodes_may_have_any_name(tmp_path: Path) -> None:
    """Words of C++, of the emitted sources and of the kernels: every name of a unit gets an ending."""
    names = ["double", "frames", "input", "s_axis", "m_axis", "gatewright", "new", "main", "dataflow", "hls", "std"]
    tensor = Tensor((2, 4), -3, 4)
    rows = [
        (name, Maxpool(tensor, 1, 1 + i % 2), last)
        for i, (name, last) in enumerate(zip(names, ["int", *names], strict=False))
    ]
    graph = network({"int": tensor}, rows, [names[-1], names[2], "int"])
    design = structure(graph)
    hls_project.sources(design).write(tmp_path)
    x = np.random.default_rng(0).integers(-3, 5, (5, 2, 4))
    for have in run_csim(design, tmp_path, [x]):
        np.testing.assert_array_equal(have, x.reshape(5, -1))


# --- native terms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["depthwise", "grouped"])
def test_native_terms_hold_negative_partial_sums_of_an_unsigned_output(name: str, tmp_path: Path) -> None:
    source = Tensor((2, 5), 1 << 20, (1 << 20) + 5)
    weight = as_int64([[-511, -511, 511, 511, 1]])
    op = Depthwise(source, weight) if name == "depthwise" else Grouped(source, weight[:, :, None])
    assert op.acc_bits == 31 and not op.outputs[0].signed
    design = structure(single(op))
    hls_project.sources(design).write(tmp_path)
    flags = ["-std=c++14", "-w", "-fsanitize=signed-integer-overflow", "-fno-sanitize-recover=all"]
    places = ["-I.", "-Iinclude", f"-isystem{find_tool('ap_types').path}"]
    command = [str(find_tool("g++").path), *flags, *places, f"{design.name}.cpp", f"{design.name}_tb.cpp", "-o", "run"]
    subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "frames").mkdir()
    x = np.random.default_rng(0).integers(source.lo, source.hi + 1, (5, *source.shape))
    (have,) = run_program([str(tmp_path / "run"), "."], design, tmp_path / "frames", [x], 64)
    np.testing.assert_array_equal(have, op.reference(x)[0].reshape(5, -1))
