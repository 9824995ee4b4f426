# SPDX-License-Identifier: Apache-2.0
"""`compile_model`: all or nothing, up to date or not, byte-identical, and its refusals; the stored inputs."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from tests.models import Builder, small_network, two_layers

from gatewright.boards import load_board
from gatewright.build import Build, compile_model, load_inputs, store_data
from gatewright.build.compile import EMITTERS
from gatewright.config import Target
from gatewright.emit.hls_vectors import VECTOR_FRAMES
from gatewright.errors import ConfigError, DesignError, GatewrightError, MissingTargetError, ModelError
from gatewright.frontend.importer import import_model
from gatewright.ir.op import TARGETS
from gatewright.ir.packing import read_images
from gatewright.ir.serial import load_graph
from gatewright.runtime.kernel_map import KernelMap
from gatewright.sim.csim import build_csim

BOARD = "pynq-z2"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    b, y = small_network()
    return b.save(tmp_path_factory.mktemp("model") / "convs.onnx", y)


@pytest.fixture(scope="module")
def build(model: Path) -> Build:
    return compile_model(model, BOARD, fps=1e5, output=model.parent / "build")


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    b, y = two_layers()
    return b.save(tmp_path_factory.mktemp("layers") / "layers.onnx", y)


def state(folder: Path) -> dict[str, tuple[int, str]]:
    """Time stamp and contents of every file."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files
    }


def contents(folder: Path) -> dict[str, str]:
    return {name: digest for name, (_, digest) in state(folder).items()}


def test_what_a_build_holds(model: Path, build: Build) -> None:
    files = contents(build.directory)
    assert {
        "model.onnx",
        "graph.json",
        "graph.npz",
        "proof.json",
        "folding.json",
        "design.json",
        "design.npz",
        "prediction.json",
        "manifest.json",
        "rtl/convs.sv",
        "data/inputs.npy",
    } <= set(files)
    assert files["model.onnx"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert build.model_graph.digest() == import_model(model).digest()
    assert build.summary()["digest"] == build.design_graph.digest()
    assert [c["node"] for c in json.loads((build.directory / "proof.json").read_text())] == [
        n.name for n in build.design_graph.nodes
    ]
    manifest = json.loads((build.directory / "manifest.json").read_text())
    assert manifest["files"] == {n: d for n, d in files.items() if not n.startswith("data/") and n != "manifest.json"}
    (x,) = load_inputs(build)
    integers = build.model_graph.quantize(x)
    assert np.array_equal(build.design_graph.reference(*integers)[0], build.model_graph.reference(*integers)[0])
    # The samples reach both ends of the quantiser.
    assert (integers[0].min(), integers[0].max()) == (-8, 7)


def test_second_time_is_up_to_date(model: Path, build: Build) -> None:
    before, said = state(build.directory), []
    compile_model(
        model, BOARD, fps=1e5, output=build.directory, progress=lambda step, done=0, total=0: said.append(step)
    )
    assert said[-1] == "up to date"
    assert state(build.directory) == before


def test_two_folders_are_byte_identical(model: Path, build: Build, tmp_path: Path) -> None:
    other = compile_model(model, BOARD, fps=1e5, output=tmp_path / "elsewhere")
    assert contents(other.directory) == contents(build.directory)


@pytest.mark.parametrize("change", [{"fps": 3e4}, {"fps": 1e5, "mhz": 50.0}, {"budget": 0.4}, {}], ids=str)
def test_another_option_compiles_again(layers: Path, tmp_path: Path, change: dict[str, float]) -> None:
    compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    before, said = contents(tmp_path), []
    build = compile_model(
        layers, BOARD, **change, output=tmp_path, progress=lambda step, done=0, total=0: said.append(step)
    )
    assert "emission" in said
    after = contents(tmp_path)
    assert after["manifest.json"] != before["manifest.json"]
    assert (after["graph.json"], after["data/inputs.npy"]) == (before["graph.json"], before["data/inputs.npy"])
    fresh = compile_model(layers, BOARD, **change, output=tmp_path / "fresh" / "build")
    assert {n: d for n, d in after.items() if "fresh" not in n} == contents(fresh.directory)
    assert build.design_graph.digest() == fresh.design_graph.digest()


def test_a_changed_or_missing_file_compiles_again(layers: Path, tmp_path: Path) -> None:
    build = compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    before = contents(tmp_path)
    for name in ("rtl/layers.sv", "design.npz", "proof.json", "data/inputs.npy"):
        (tmp_path / name).unlink()
        compile_model(layers, BOARD, fps=1e5, output=tmp_path)
        assert contents(tmp_path) == before
    (build.rtl / "layers.sv").write_text("module layers; endmodule\n")
    (build.rtl / "kernels" / "stale.sv").write_text("module stale; endmodule\n")
    compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    assert contents(tmp_path) == before


def test_another_model_in_the_same_folder(layers: Path, model: Path, tmp_path: Path) -> None:
    compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    store_data(tmp_path / "data", labels=np.arange(8))
    compile_model(model, BOARD, fps=1e5, output=tmp_path)
    assert not (tmp_path / "rtl" / "layers.sv").exists()
    # Labels of other inputs would be wrong now.
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["inputs.npy"]
    assert load_inputs(Build.open(tmp_path))[0].shape == (8, 2, 6, 6)


def test_weights_in_a_file_beside_the_model(layers: Path, tmp_path: Path) -> None:
    """The build holds the model with its weights, and new weights are another model: only their file may change."""
    model, target = onnx.load(layers), tmp_path / "build"
    weight = next(t for t in model.graph.initializer if list(t.dims) == [12, 3])
    source = tmp_path / "a model.onnx"

    def save(values: np.ndarray) -> None:
        weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        beside = onnx.ModelProto()
        beside.CopyFrom(model)
        (tmp_path / "weights.data").unlink(missing_ok=True)
        onnx.save(beside, source, save_as_external_data=True, location="weights.data", size_threshold=0)

    values = onnx.numpy_helper.to_array(weight)
    save(values)
    before = source.read_bytes()
    build = compile_model(source, BOARD, fps=1e5, output=target)
    first = build.model_graph.run(build.model_graph.quantize(*load_inputs(build))[0])
    save(-values)
    assert source.read_bytes() == before
    build = compile_model(source, BOARD, fps=1e5, output=target)
    second = build.model_graph.run(build.model_graph.quantize(*load_inputs(build))[0])
    output = build.model_graph.outputs[0].tensor
    assert first[output].any() and (first[output] == -second[output]).all()
    (tmp_path / "weights.data").unlink()
    alone = import_model(target / "model.onnx")
    assert (alone.run(alone.quantize(*load_inputs(build))[0])[output] == second[output]).all()


def test_stored_inputs_that_fit_are_kept(layers: Path, tmp_path: Path) -> None:
    x = np.float32(np.random.default_rng(0).normal(size=(5, 8)))
    store_data(tmp_path / "data", inputs=x, labels=np.arange(5) % 3)
    build = compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    assert np.array_equal(load_inputs(build)[0], x)
    assert np.load(build.data / "labels.npy").tolist() == [0, 1, 2, 0, 1]


def test_a_folder_that_is_no_builds_is_left_alone(layers: Path, tmp_path: Path) -> None:
    """`compile -o .` in a project must not clear that project's own rtl/ and data/."""
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "mine.sv").write_text("module mine; endmodule\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("1,2\n")
    before = state(tmp_path)
    with pytest.raises(
        ConfigError,
        match=re.escape(f"{tmp_path} holds rtl, but no manifest.json of a build: choose another output folder"),
    ):
        compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    assert state(tmp_path) == before
    (tmp_path / "rtl" / "mine.sv").unlink()
    (tmp_path / "rtl").rmdir()
    compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    assert (tmp_path / "data" / "mine.csv").read_text() == "1,2\n"


# --- targets ----------------------------------------------------------------------------------------------------------


def test_every_target_has_a_folder(layers: Path, tmp_path: Path) -> None:
    assert set(EMITTERS) == set(get_args(Target)) == {*TARGETS, "kernel"}
    build = compile_model(layers, BOARD, fps=1e5, targets=("systemc", "rtl", "hls", "rtl", "kernel"), output=tmp_path)
    assert build.targets == Build.open(tmp_path).targets == ("rtl", "kernel", "hls", "systemc")
    for target in build.targets:
        files = {p for p in build.emitted(target).rglob("*") if p.is_file()}
        assert build.emitted(target) == tmp_path / target and files
        assert {str(p.relative_to(tmp_path)) for p in files} == {
            n for n in json.loads((tmp_path / "manifest.json").read_text())["files"] if n.startswith(f"{target}/")
        }
    text = (tmp_path / "hls" / "layers.cpp").read_text()
    assert f"ap_uint<{load_board(BOARD).memory_bits}>* output" in text


def test_ports_to_memory_are_as_wide_as_asked_for(layers: Path, tmp_path: Path) -> None:
    build = compile_model(layers, BOARD, fps=1e5, targets=("rtl", "kernel", "hls"), bus_bits=256, output=tmp_path)
    kernel = KernelMap.load(build.emitted("kernel") / "kernel.json")
    assert build.bus_bits == kernel.bus_bits == 256
    assert "ap_uint<256>* output" in (tmp_path / "hls" / "layers.cpp").read_text()
    assert all((tmp_path / source).is_file() for source in kernel.sources)
    again = compile_model(layers, BOARD, fps=1e5, targets=("rtl", "kernel"), output=tmp_path)
    kernel = KernelMap.load(again.emitted("kernel") / "kernel.json")
    assert again.bus_bits == kernel.bus_bits == load_board(BOARD).memory_bits


def test_a_missing_kernel_names_all_that_it_stands_on(layers: Path, tmp_path: Path) -> None:
    build = compile_model(layers, BOARD, fps=1e5, targets="hls", output=tmp_path)
    with pytest.raises(MissingTargetError, match=r"has no kernel/: .* with --target rtl,kernel,hls$"):
        build.emitted("kernel")


def test_a_target_that_is_not_asked_for_any_more_goes(layers: Path, tmp_path: Path) -> None:
    compile_model(layers, BOARD, fps=1e5, targets=["rtl", "hls"], output=tmp_path)
    build = compile_model(layers, BOARD, fps=1e5, targets="hls", output=tmp_path)
    assert build.targets == ("hls",) and not (tmp_path / "rtl").exists()
    assert not any(n.startswith("rtl/") for n in json.loads((tmp_path / "manifest.json").read_text())["files"])
    with pytest.raises(
        MissingTargetError, match=r"has no rtl/: it was compiled for hls alone; .* with --target rtl,hls$"
    ):
        _ = build.rtl
    left = contents(tmp_path)
    fresh = compile_model(layers, BOARD, fps=1e5, targets="hls", output=tmp_path / "fresh" / "build")
    assert left == contents(fresh.directory)


@pytest.mark.parametrize("stream", [False, True], ids=["axi", "stream"])
def test_benches_of_the_hls_project_pass_on_its_own_vectors(stream: bool, layers: Path, tmp_path: Path) -> None:
    build = compile_model(layers, BOARD, fps=1e5, targets="hls", output=tmp_path)
    folder, data = build.emitted("hls"), build.emitted("hls") / "data"
    program = build_csim(build.structure, folder, stream=stream)
    assert subprocess.run([program], cwd=folder, check=False).returncode == 0
    bus = load_board(BOARD).memory_bits
    frames = read_images((data / "input.bin").read_bytes(), VECTOR_FRAMES, build.structure.inputs[0], bus)
    (stored,) = build.model_graph.quantize(*load_inputs(build))
    np.testing.assert_array_equal(frames, stored[:VECTOR_FRAMES].reshape(VECTOR_FRAMES, -1))
    golden = bytearray((data / "golden_output.bin").read_bytes())
    golden[0] ^= 1
    (data / "golden_output.bin").write_bytes(golden)
    assert subprocess.run([program], cwd=folder, check=False, capture_output=True).returncode == 1
    assert "hls/data/golden_output.bin" in build.changed()


def test_hls_files_belong_to_the_build(layers: Path, tmp_path: Path) -> None:
    build = compile_model(layers, BOARD, fps=1e5, targets="hls", output=tmp_path)
    before, print_before = contents(tmp_path), build.fingerprint()
    memories = tmp_path / "hls" / "layers_memories.hpp"
    memories.write_text(memories.read_text().replace("0x", "0x1", 1))
    assert build.changed() == ["hls/layers_memories.hpp"] and build.fingerprint() != print_before
    compile_model(layers, BOARD, fps=1e5, targets="hls", output=tmp_path)
    assert contents(tmp_path) == before


def test_a_changed_hls_kernel_compiles_again(layers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = tmp_path / "mine" / "hls" / "gatewright" / "mine.hpp"
    kernel.parent.mkdir(parents=True)
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path / "mine"))
    last = []
    for text in ("// one\n", "// one\n", "// two\n"):
        kernel.write_text(text)
        said: list[str] = []
        compile_model(
            layers, BOARD, fps=1e5, output=tmp_path / "b", progress=lambda s, done=0, total=0, said=said: said.append(s)
        )
        last.append(said[-1])
    assert last == ["emission", "up to date", "emission"]


def test_a_folder_of_hls_that_is_no_builds_is_left_alone(layers: Path, tmp_path: Path) -> None:
    (tmp_path / "hls").mkdir()
    with pytest.raises(ConfigError, match=r"holds hls, but no manifest\.json of a build"):
        compile_model(layers, BOARD, fps=1e5, output=tmp_path)


# --- folding files ----------------------------------------------------------------------------------------------------


def test_own_folding_is_taken(layers: Path, tmp_path: Path) -> None:
    first = compile_model(layers, BOARD, fps=1e5, output=tmp_path / "a")
    folding = json.loads((first.directory / "folding.json").read_text())
    assert folding == {"matmul_1": {"pe": 1, "simd": 1}, "quant_3": {"pe": 1}, "matmul_2": {"pe": 1, "simd": 1}}
    folding["matmul_1"] = {"pe": 4, "simd": 2}
    (tmp_path / "f.json").write_text(json.dumps(folding))
    second = compile_model(layers, BOARD, folding=tmp_path / "f.json", output=tmp_path / "b")
    op = second.design_graph.node("matmul_1").op
    assert (op.pe, op.simd, op.cycles) == (4, 2, 12)
    assert json.loads((second.directory / "folding.json").read_text()) == folding


FOLDING = {"matmul_1": {"pe": 1, "simd": 1}, "quant_3": {"pe": 1}, "matmul_2": {"pe": 1, "simd": 1}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**FOLDING, "matmul_9": {"pe": 1}}, r"f\.json: no node 'matmul_9'; did you mean 'matmul_\d'\?"),
        ({**FOLDING, "zzz": {"pe": 1}}, r"f\.json: no node 'zzz'; the nodes are matmul_1, quant_3, matmul_2"),
        (
            {**FOLDING, "quant_3": {"pf": 1}},
            r"f\.json: quant_3 \(threshold\) needs exactly the fields pe, got \{'pf': 1\}",
        ),
        ({**FOLDING, "quant_3": {"pe": 1, "simd": 1}}, r"quant_3 \(threshold\) needs exactly the fields pe, got"),
        ({**FOLDING, "quant_3": 4}, r"quant_3 \(threshold\) needs exactly the fields pe, got 4"),
        (
            {k: v for k, v in FOLDING.items() if k != "quant_3"},
            r"quant_3 \(threshold\) needs exactly the fields pe, got None",
        ),
        ({**FOLDING, "quant_3": {"pe": 5}}, r"f\.json: quant_3: pe=5 is no folding: use 1, 2, 3, 4, 6, 12"),
        ({**FOLDING, "quant_3": {"pe": True}}, "quant_3: pe=True is no folding: use 1, 2, 3, 4, 6, 12"),
        ({**FOLDING, "quant_3": {"pe": 2.0}}, "quant_3: pe=2.0 is no folding"),
        ({**FOLDING, "quant_3": {"pe": "2"}}, "quant_3: pe='2' is no folding"),
        ({**FOLDING, "quant_3": {"pe": -1}}, "quant_3: pe=-1 is no folding"),
        ([], r"f\.json must hold an object: node name -> \{field: value\}, as in a build's folding.json"),
        ("{", r"f\.json is not a readable folding file: Expecting"),
        (None, r"f\.json is not a readable folding file: .*No such file"),
    ],
)
def test_bad_foldings(layers: Path, tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "f.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConfigError, match=message):
        compile_model(layers, BOARD, folding=path, output=tmp_path / "b")
    assert not (tmp_path / "b").exists()


# --- what does not fit ------------------------------------------------------------------------------------------------


def refused(model: Path, output: Path, **options: float) -> str:
    with pytest.raises(DesignError) as caught:
        compile_model(model, BOARD, **options, output=output)
    assert not output.exists()
    return str(caught.value)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layer that is too large for the board when it is fully unrolled."""
    rng = np.random.default_rng(0)
    b = Builder((512,))
    x = b.quant("x", 0.125, 6)
    y = b.node("MatMul", x, b.weight(rng.integers(-31, 32, (512, 256)), 0.25, 6))
    return b.save(tmp_path_factory.mktemp("wide") / "wide.onnx", y)


def test_largest_rate_is_true(wide: Path, tmp_path: Path) -> None:
    message = refused(wide, tmp_path / "b", fps=9e7)
    need, room, over = re.search(r"are beyond pynq-z2: .*LUT needs (\d+) of (\d+) \(\+(\d+)%\)", message).groups()
    assert int(room) == load_board(BOARD).capacity["LUT"] and abs(int(need) / int(room) * 100 - 100 - int(over)) < 1
    rate = float(re.search(r"the largest rate that fits is (\S+) frames/s$", message).group(1))
    for share in (0.999, 1.0):
        build = compile_model(wide, BOARD, fps=rate * share, output=tmp_path / str(share))
        assert build.summary()["fps"] >= rate * share
    assert refused(wide, tmp_path / "b", fps=rate * 1.01)


def test_rate_that_no_folding_reaches(model: Path, tmp_path: Path) -> None:
    """The image itself takes a beat a pixel, or more, whatever the board."""
    message = refused(model, tmp_path / "b", fps=9e6)
    assert re.match(
        r"\w+ takes at least \d+ cycles a frame however it is folded, more than 11: ask for at most ", message
    )
    rate = float(re.search(r"at most (\S+) frames/s", message).group(1))
    try:
        compile_model(model, BOARD, fps=rate, output=tmp_path / "b")
    except DesignError as error:
        assert "are beyond pynq-z2" in str(error)  # it is slow enough for every unit, and too large in all


def test_less_than_a_cycle_a_frame(layers: Path, tmp_path: Path) -> None:
    assert (
        refused(layers, tmp_path / "b", fps=2e8)
        == "2e+08 frames/s at 100 MHz leave less than one cycle a frame: ask for at most 1e+08"
    )


def test_design_that_is_too_large(wide: Path, tmp_path: Path) -> None:
    message = refused(wide, tmp_path / "b", budget=1e-3)
    assert re.match(r"even the smallest design is too large for pynq-z2: .*LUT needs \d+ of 53 \(\+\d+%\)", message)
    assert message.endswith("use a larger board or budget, or a smaller network")


def test_names_that_are_taken_in_systemverilog_or_c(layers: Path, tmp_path: Path) -> None:
    """`final` is a keyword, `dense` a kernel, `fifo` a module of the library; `template` a keyword of C++, `index` a
    function of its library, `std` a namespace."""
    for name in ("final", "dense", "fifo", "template", "index", "std"):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(layers.read_bytes())
        build = compile_model(path, BOARD, fps=1e5, output=tmp_path / name)
        assert f"module {name}_net (" in (build.rtl / f"{name}_net.sv").read_text()
        assert f'extern "C" void {name}_net(' in (build.emitted("hls") / f"{name}_net.cpp").read_text()


def test_nothing_is_written_when_it_fails(layers: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(layers.read_bytes()[:-40])
    for model, options in (
        (broken, {}),
        (layers, {"fps": -1.0}),
        (layers, {"fps": 9e7 * 9}),
        (tmp_path / "no.onnx", {}),
    ):
        with pytest.raises(GatewrightError):
            compile_model(model, BOARD, **options, output=tmp_path / "b")
        assert not (tmp_path / "b").exists()
    with pytest.raises(ConfigError, match="board 'pynq-z9' is unknown"):
        compile_model(layers, "pynq-z9", output=tmp_path / "b")
    build = compile_model(layers, BOARD, fps=1e5, output=tmp_path / "b")
    before = state(build.directory)
    with pytest.raises(ModelError):
        compile_model(broken, BOARD, fps=1e5, output=build.directory)
    with pytest.raises(DesignError):
        compile_model(layers, BOARD, fps=9e7 * 9, output=build.directory)
    assert state(build.directory) == before


# --- opening and inputs -----------------------------------------------------------------------------------------------


def test_no_build_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no build folder .*: make one with gatewright compile MODEL.onnx --board"):
        Build.open(tmp_path)


def test_a_half_written_build_is_not_current(layers: Path, tmp_path: Path) -> None:
    compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    before = contents(tmp_path)
    (tmp_path / "manifest.json").write_text('{"inputs": "", "files": {}}')
    with pytest.raises(ConfigError, match="lacks everything: its compilation broke off; compile the model again"):
        Build.open(tmp_path)
    compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    assert contents(tmp_path) == before
    for text in ("", "{", "[]", "{}", '{"inputs": 1, "files": 2}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ConfigError, match="holds model.onnx, but no manifest.json of a build"):
            compile_model(layers, BOARD, fps=1e5, output=tmp_path)
        with pytest.raises(ConfigError, match="is no build folder"):
            Build.open(tmp_path)


@pytest.mark.parametrize("name", ["design.json", "prediction.json", "rtl/layers.sv", "graph.npz"])
def test_a_missing_file_is_named(layers: Path, tmp_path: Path, name: str) -> None:
    build = compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ConfigError, match=rf"lacks {name}; compile the model again"):
        Build.open(tmp_path)
    assert compile_model(layers, BOARD, fps=1e5, output=tmp_path) == build
    assert (tmp_path / name).is_file()


def test_files_of_others_are_not_overwritten(layers: Path, tmp_path: Path) -> None:
    (tmp_path / "design.json").write_text("mine")
    with pytest.raises(ConfigError, match="holds design.json, but no manifest.json of a build"):
        compile_model(layers, BOARD, output=tmp_path)
    (tmp_path / "design.json").unlink()
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "labels.npy", np.arange(3))
    with pytest.raises(ConfigError, match="holds arrays that do not fit the network"):
        compile_model(layers, BOARD, output=tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["data", "labels.npy"]


def test_an_output_that_cannot_be_written(layers: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written: .*file is no folder that you may write to"):
        compile_model(layers, BOARD, output=tmp_path / "file" / "build")


def test_a_file_that_cannot_be_replaced_is_said(layers: Path, tmp_path: Path) -> None:
    compile_model(layers, BOARD, fps=1e5, output=tmp_path)
    (tmp_path / "folding.json").unlink()
    (tmp_path / "folding.json").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be written \(.*folding\.json.*\): choose another output folder"):
        compile_model(layers, BOARD, fps=1e5, output=tmp_path)


def test_a_folding_in_memory(layers: Path, tmp_path: Path) -> None:
    first = compile_model(str(layers), BOARD, fps=1e5, output=str(tmp_path / "a"))
    folding = json.loads((tmp_path / "a" / "folding.json").read_text())
    second = compile_model(layers, BOARD, folding=folding, output=tmp_path / "b")
    assert second.design_graph.digest() == first.design_graph.digest()


def test_inputs_from_files(build: Build, tmp_path: Path) -> None:
    x = np.zeros((3, 2, 6, 6), np.float32)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, other=x)
    np.savez(tmp_path / "wrong.npz", y=x)
    (tmp_path / "text.npy").write_text("not numbers")
    for name in ("x.npy", "x.npz"):
        assert np.array_equal(load_inputs(build, tmp_path / name)[0], x)
    with pytest.raises(ConfigError, match=r"wrong\.npz has no array 'x'; the network's inputs are \['x'\]"):
        load_inputs(build, tmp_path / "wrong.npz")
    for name in ("text.npy", "nothing.npy"):
        with pytest.raises(ConfigError, match=rf"{name}: not a readable array file .*numpy.save"):
            load_inputs(build, tmp_path / name)


def test_samples_of_two_inputs(tmp_path: Path) -> None:
    b = Builder((4,))
    b.input("z", (4,))
    x = b.quant(b.node("Sub", b.node("Mul", "x", b.constant([1, 2, 4, 8])), b.constant(3.0)), 0.5, 4)
    path = b.save(tmp_path / "two.onnx", b.node("Add", x, b.quant("z", 0.5, 4)))
    build = compile_model(path, BOARD, fps=1e5, output=tmp_path / "b")
    assert {p.name for p in build.data.iterdir()} == {"inputs_x.npy", "inputs_z.npy"}
    integers = build.model_graph.quantize(*load_inputs(build))
    # Taken back through the steps before the quantiser, the samples still cover its range.
    assert [(v.min(), v.max()) for v in integers] == [(-8, 7)] * 2
    assert load_graph(build.directory / "design.json").digest() == build.design_graph.digest()
