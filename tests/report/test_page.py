# SPDX-License-Identifier: Apache-2.0
"""The page as a whole: self-contained, complete, the same bytes for the same build, honest about what did not run."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.models import Builder, frames, small_network, two_layers

from gatewright.build import Build, compile_model, store_data
from gatewright.design.resources import instance_resources
from gatewright.errors import ConfigError, DataError, GatewrightError
from gatewright.report import render, write_report
from gatewright.report.facts import collect
from gatewright.report.header import _asked
from gatewright.verify import STAGES, StageResult, check, record

VOID = {"meta", "br", "input"}


class Page(HTMLParser):
    """Reads a page, and fails on an element that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self.stack)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.stack):
            self.text += data + "\n"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A residual network with labels and the outputs of reference models, its golden stages checked."""
    b, y = small_network()
    folder = tmp_path_factory.mktemp("report")
    x = frames((2, 6, 6), 40, seed=1)["x"]
    store_data(folder / "build" / "data", inputs=x)
    built = compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e5, output=folder / "build")
    outputs = built.model_graph.predict(x)[0]
    labels = outputs.argmax(1)
    labels[:4] = (labels[:4] + 1) % 3
    store_data(built.data, labels=labels, qat=outputs.astype(np.float32), float=outputs[::-1].astype(np.float32))
    check(built.directory, stages=["float", "qat", "golden"])
    return built


@pytest.fixture(scope="module")
def page(build: Build) -> Page:
    return Page(render(build.directory))


@pytest.fixture
def copy(build: Build, tmp_path: Path) -> Build:
    shutil.copytree(build.directory, tmp_path / "build")
    return Build(tmp_path / "build")


# --- what it is -------------------------------------------------------------------------------------------------------


def test_nothing_is_loaded_from_outside(build: Build, page: Page) -> None:
    text = render(build.directory)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)|<link|<img|<iframe|srcset", text.replace("// ", ""), re.I)
    for tag, attributes, _ in page.elements:
        assert "src" not in attributes, tag
        for name in ("href", "xlink:href", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith("#")


def test_links_lead_somewhere_and_names_are_unique(page: Page) -> None:
    ids = Counter(a["id"] for _, a, _ in page.elements if a.get("id"))
    assert max(ids.values()) == 1
    targets = {a["href"][1:] for a in page.all("a") if a.get("href")}
    assert targets and targets <= set(ids)


def test_everything_of_the_design_is_there(build: Build, page: Page) -> None:
    for unit in build.structure.units:
        assert unit.name in page.text
    for link in build.structure.links:
        assert not link.depth or link.name in page.text
    for name in STAGES:
        assert f"\n{name}\n" in page.text
    summary = build.summary()
    assert summary["digest"][:16] in page.text and f"{summary['interval_cycles']:,} cycles" in page.text
    # Every unit in the drawing, the table and the timing diagram: what hovering marks at once.
    marked = Counter(a["data-unit"] for _, a, _ in page.elements if a.get("data-unit"))
    assert set(marked) == {str(i) for i in range(len(build.structure.units))}
    assert min(marked.values()) >= 3


def test_units_name_the_models_nodes_and_lines(tmp_path: Path) -> None:
    b, y = small_network()
    model = b.model(y)
    for i, node in enumerate(model.graph.node):
        node.metadata_props.add(key="gatewright.source", value=f"net.py:{i}: x = <{node.op_type}>(x)")
    onnx.save(model, tmp_path / "net.onnx")
    text = render(compile_model(tmp_path / "net.onnx", "pynq-z2", fps=1e5, output=tmp_path / "build").directory)
    assert "<td>batchnormalization_1, relu_1, quant_3<small>net.py:3: x = &lt;BatchNormalization&gt;(x)</small>" in text


def test_units_take_what_the_design_takes(build: Build) -> None:
    facts = collect(build)
    for name, total in build.summary()["resources"].items():
        assert sum(row.predicted.get(name, 0) for row in facts.rows) == pytest.approx(total)


def test_it_can_be_read_by_ear(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert len(page.all("caption")) == len(page.all("table")) > 5
    for tag, attributes, stack in page.elements:
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if (attributes.get("class") or "").split()[:1] == ["scroll"] and "figure" not in stack:
            assert attributes["tabindex"] == "0" and attributes["aria-label"]


def test_the_same_build_gives_the_same_bytes(build: Build, copy: Build) -> None:
    assert render(build.directory) == render(build.directory) == render(copy.directory)


def test_seconds_of_checks_do_not_matter(build: Build, copy: Build) -> None:
    path = copy.directory / record.FILE
    rows = json.loads(path.read_text())
    for row in rows["stages"]:
        row["seconds"] += 1.5
    path.write_text(json.dumps(rows))
    assert render(copy.directory) == render(build.directory)


def test_names_are_escaped(tmp_path: Path) -> None:
    name = "a<b>&amp;\"'"
    b = Builder((4,))
    b.input(name, (4,))
    y = b.node("Add", b.quant("x", 0.5, 4), b.quant(name, 0.5, 4))
    build = compile_model(b.save(tmp_path / "net.onnx", y), "pynq-z2", fps=1e5, output=tmp_path / "build")
    assert build.model_graph.inputs[1].name == name
    text = render(build.directory)
    assert name not in text and name in Page(text).text


# --- what it says -----------------------------------------------------------------------------------------------------


def test_only_what_ran_is_passed(page: Page) -> None:
    assert page.text.count("✓ ok") == 3
    assert "○ not run" in page.text and "✗" not in page.text
    assert "run gatewright check DIR" in page.text


def test_accuracy_and_confusion(build: Build) -> None:
    path, figures = write_report(build.directory, build.directory.parent / "page.html")
    page = Page(path.read_text(encoding="utf-8"))
    assert figures["accuracy"]["golden"] == figures["accuracy"]["qat"] == 0.9
    assert "36 of 40 frames right" in page.text and "90.00 %" in page.text
    assert figures["frames"] == 40
    assert figures["stages"] == {"float": "ok", "qat": "ok", "golden": "ok"} | {
        name: "not_run" for name in STAGES if name not in ("float", "qat", "golden")
    }


def test_a_report_on_some_frames(build: Build) -> None:
    assert "36 of 40 frames right" not in render(build.directory, frames=10)
    assert "6 of 10 frames right" in render(build.directory, frames=10)


def test_what_was_asked(build: Build, page: Page) -> None:
    asked = build.summary()["asked"]
    assert {k: asked[k] for k in ("fps", "budget", "mhz", "folding")} == {
        "fps": 1e5,
        "budget": None,
        "mhz": None,
        "folding": False,
    }
    assert "the smallest design of 100000 frames/s" in page.text


def test_a_bare_build(tmp_path: Path) -> None:
    b, y = two_layers()
    build = compile_model(b.save(tmp_path / "net.onnx", y), "pynq-z2", output=tmp_path / "build")
    page = Page(render(build.directory))
    for text in (
        "no labels are stored",
        "nothing to compare with",
        "Not synthesised: run gatewright synth DIR",
        "the fastest that fits",
    ):
        assert text in page.text
    assert "✓" not in page.text


def test_results_of_another_state_are_out_of_date(copy: Build) -> None:
    memory = next(copy.rtl.glob("*.mem"))
    memory.write_text(memory.read_text() + "\n")
    page = Page(render(copy.directory))
    assert f"✗ Changed since it was compiled: rtl/{memory.name}. Compile the model again." in page.text
    assert page.text.count("○ out of date") == 3 and "✓" not in page.text
    assert "the build changed after this stage ran" in page.text


def test_a_failed_stage_is_on_top(copy: Build) -> None:
    failed = StageResult("rtl", "failed", "3 of 40 frames differ from golden", 40, 37)
    record.store(copy, [failed.to_json()], "stored")
    page = Page(render(copy.directory))
    assert "✗ Failed: rtl. See Checks." in page.text
    assert "3 of 40 frames differ from golden" in page.text


def test_synthesised_resources_stand_beside_predicted_ones(copy: Build) -> None:
    parts = instance_resources(copy.design_graph, copy.structure)
    units = [
        {"name": name, "operator": "x", "LUT": 1000 + i, "FF": 1, "BRAM36": 0, "DSP": 0, "levels": 3, "predicted": {}}
        for i, name in enumerate(parts)
    ]
    total = {"LUT": sum(u["LUT"] for u in units), "FF": len(units), "BRAM36": 0, "DSP": 0}
    (copy.directory / "synth").mkdir()
    path = copy.directory / "synth" / "yosys.json"
    path.write_text(json.dumps({"build": copy.fingerprint(), "total": total, "units": units}))
    page = Page(render(copy.directory))
    assert "LUT synthesised" in page.text and f"{total['LUT']:,}" in page.text
    assert "Not synthesised" not in page.text
    # A FIFO counts with the unit behind it.
    first = copy.structure.units[0].name
    own = {first, *(k.name for k in copy.structure.links if k.sink.unit == first and k.depth)}
    assert f"{sum(u['LUT'] for u in units if u['name'] in own):,}" in page.text
    path.write_text(json.dumps({"build": "another", "total": total, "units": units}))
    page = Page(render(copy.directory))
    assert "The build changed since it was synthesised" in page.text and "LUT synthesised" not in page.text
    path.write_text(json.dumps({"build": copy.fingerprint(), "units": units}))
    with pytest.raises(ConfigError, match="yosys.json: an entry is missing: run gatewright synth again"):
        render(copy.directory)


# --- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("prediction.json", "{", "prediction.json: not a readable prediction"),
        (
            "prediction.json",
            '{"interval_cycles": 1, "latency_cycles": 2, "bus_bits": 64}',
            "prediction.json: network is None",
        ),
        ("proof.json", "[{}]", "proof.json: an entry lacks 'node'"),
        ("proof.json", "nothing", "proof.json: not readable"),
        ("design.json", "{}", "design.json: .*compile the model again|graph format None"),
        ("check.json", "[]", "check.json: not a readable record of checks: run gatewright check again"),
        ("synth/yosys.json", "{", "yosys.json: not a readable result of synthesis"),
        ("data/inputs.npy", "x", "inputs.npy: not a readable array file"),
        ("manifest.json", "", "is no build folder"),
    ],
)
def test_damage_is_named_and_nothing_written(copy: Build, name: str, content: str, message: str) -> None:
    path = copy.directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(GatewrightError, match=message):
        write_report(copy.directory)
    assert not (copy.directory / "report.html").exists()


def test_a_prediction_that_is_not_the_designs(copy: Build) -> None:
    path = copy.directory / "prediction.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps(summary | {"interval_cycles": summary["interval_cycles"] - 1}))
    with pytest.raises(
        ConfigError, match=r"interval_cycles is \d+, where the cycle model shows \d+; compile the model"
    ):
        render(copy.directory)
    path.write_text(json.dumps(summary | {"digest": "0"}))
    with pytest.raises(ConfigError, match=r"design\.json: its digest is not the one in prediction\.json"):
        render(copy.directory)


def test_labels_that_do_not_fit(copy: Build) -> None:
    np.save(copy.data / "labels.npy", np.arange(3))
    with pytest.raises(DataError, match="3 labels for 40 frames"):
        render(copy.directory)


def test_an_output_that_cannot_be_written(build: Build, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "page.html"):
        with pytest.raises(ConfigError, match="cannot be written: name a file in a folder that is there"):
            write_report(build.directory, path)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({}, "the fastest that fits"),
        ({"budget": 0.5}, "the fastest that fits within 50 % of the board"),
        ({"fps": 1e5, "mhz": 150.0}, "the smallest design of 100000 frames/s, at 150 MHz"),
        ({"latency_us": 12.5}, "the smallest design of a latency of 12.5 µs"),
        ({"fps": 200.0, "latency_us": 3.0}, "the smallest design of 200 frames/s and a latency of 3 µs"),
        ({"objective": "latency"}, "the shortest latency that fits"),
        ({"objective": "latency", "fps": 1000.0}, "the shortest latency that fits at 1000 frames/s"),
        ({"folding": True}, "a folding of its own"),
        (None, "–"),
    ],
)
def test_words_for_what_was_asked(asked: dict[str, object] | None, text: str) -> None:
    assert _asked(asked) == text
