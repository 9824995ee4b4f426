# SPDX-License-Identifier: Apache-2.0
"""The page in a browser, wide and narrow: no errors, no page that scrolls sideways, the scripts do their work."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest
from tests.models import frames, small_network

from gatewright.build import compile_model, store_data
from gatewright.report import render

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")

PROBE = """
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const page = frame.contentDocument, root = page.documentElement, view = frame.contentWindow;
  const first = () => page.querySelector("#units tbody tr").id;
  const before = first();
  page.querySelectorAll("#units thead button")[5].click();
  page.querySelector(".zoom [data-zoom='4']").click();
  const strip = page.querySelector(".gantt .strip[data-unit] .track");
  strip.dispatchEvent(new view.PointerEvent("pointermove", {bubbles: true, clientX: 50, clientY: 50}));
  const outside = [...page.querySelectorAll("main *")].filter((e) => !e.closest(".scroll") &&
    e.getBoundingClientRect().right > root.clientWidth + 1).map((e) => `${e.tagName}.${e.className}`);
  document.querySelector("#found").textContent = JSON.stringify({
    width: root.clientWidth, scroll: root.scrollWidth, outside,
    sorted: page.querySelector("#units th[aria-sort]").textContent, moved: before !== first(),
    zoomed: page.querySelector(".gantt").getBoundingClientRect().width / page.querySelector("main").clientWidth,
    tip: page.querySelector("#tip").textContent, titles: page.querySelectorAll("svg title").length,
  });
});
frame.srcdoc = document.querySelector("#page").textContent;
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    b, y = small_network()
    folder = tmp_path_factory.mktemp("browser")
    x = frames((2, 6, 6), 20, seed=1)["x"]
    store_data(folder / "build" / "data", inputs=x)
    build = compile_model(b.save(folder / "net.onnx", y), "pynq-z2", fps=1e5, output=folder / "build")
    outputs = build.model_graph.predict(x)[0]
    store_data(build.data, labels=outputs.argmax(1), float=outputs, qat=outputs)
    return render(build.directory)


def browse(address: Path, folder: Path) -> tuple[str, list[str]]:
    """The document after its scripts ran, and the messages on the console."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--enable-logging=stderr", f"--user-data-dir={folder}",
        "--virtual-time-budget=5000", "--window-size=1600,1200", "--dump-dom", address.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1440, 390])
def test_it_works_and_fits(page: str, tmp_path: Path, width: int) -> None:
    (tmp_path / "probe.html").write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><iframe style="width:{width}px;height:1000px;border:0"></iframe>'
        f'<pre id="found"></pre><textarea id="page">{escape(page)}</textarea><script>{PROBE}</script>',
        encoding="utf-8",
    )
    document, console = browse(tmp_path / "probe.html", tmp_path / "profile")
    assert console == []
    text = re.search(r'<pre id="found">(.*?)</pre>', document, re.S)
    assert text is not None
    found = json.loads(unescape(text[1]))
    # The iframe's own scroll bar takes a few pixels.
    assert width - 20 <= found["width"] <= width and found["scroll"] == found["width"]
    assert found["outside"] == []
    assert found["sorted"] == "cycles" and found["moved"]
    assert found["zoomed"] > 3
    assert found["tip"].count("frame ") == 5 and found["titles"] == 0


@needs_browser
@pytest.mark.slow
def test_an_error_on_the_page_would_be_seen(page: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(page.replace('"use strict";', '"use strict"; nothing();'), encoding="utf-8")
    _, console = browse(broken, tmp_path / "profile")
    assert any("nothing is not defined" in line for line in console)
