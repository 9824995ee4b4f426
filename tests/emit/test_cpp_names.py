# SPDX-License-Identifier: Apache-2.0
"""Names of top functions that C++ has already: g++ refuses each that is said to be taken in its own headers."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.models import two_layers

from gatewright.boards import load_board
from gatewright.design.plan import make_design
from gatewright.emit import hls
from gatewright.emit.cpp_names import is_taken
from gatewright.errors import ConfigError
from gatewright.frontend.importer import import_model
from gatewright.passes.lower import lower
from gatewright.sim.tools import find_tool

TAKEN = ("class", "template", "and", "co_await", "main", "std", "index", "time", "log2f", "vsnprintf", "size_t", "nan")
FREE = ("digits", "cnv_w1a1", "resnet8", "topology", "network", "classes", "log3", "isonet", "printer", "indexf")
PROGRAM = """#include <ap_int.h>
#include <hls_stream.h>
#include <iostream>
extern "C" void {name}(const ap_uint<64>* input, ap_uint<64>* output, unsigned frames);
void call(ap_uint<64>* words) {{ {name}(words, words, 1); }}
{main}
"""


def compiles(name: str) -> bool:
    main = "" if name == "main" else "int main() { return 0; }"
    command = [find_tool("g++").path, "-std=c++14", "-fsyntax-only", "-Werror", "-isystem", find_tool("ap_types").path]
    program = PROGRAM.format(name=name, main=main)
    done = subprocess.run([*command, "-x", "c++", "-"], input=program, capture_output=True, text=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("name", ["template", "time", "log2f", "size_t", "digits", "topology"])
def test_what_the_compiler_says(name: str) -> None:
    assert compiles(name) == (not is_taken(name))


def test_what_is_taken_and_what_is_not() -> None:
    assert [n for n in TAKEN if not is_taken(n)] == [] == [n for n in FREE if is_taken(n)]


def test_a_design_of_such_a_name_is_refused(tmp_path: Path) -> None:
    b, y = two_layers()
    graph = import_model(b.save(tmp_path / "layers.onnx", y))
    design = make_design(replace(lower(graph), name="index"), load_board("pynq-z2"), fps=1e5)
    with pytest.raises(ConfigError, match="the top function cannot be called 'index', a name that C\\+\\+ has already"):
        hls.emit(design.structure)
