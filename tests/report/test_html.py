# SPDX-License-Identifier: Apache-2.0
"""Elements: what is escaped, what is left out."""

from __future__ import annotations

from gatewright.report.html import Html, el, join


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    assert el("p", "a < b & c", title='"<x>"') == '<p title="&quot;&lt;x&gt;&quot;">a &lt; b &amp; c</p>'
    assert el("p", el("b", "<")) == "<p><b>&lt;</b></p>"
    assert el("p", Html("<i></i>"), ["x", None, [1, 2.5]]) == "<p><i></i>x12.5</p>"


def test_attributes() -> None:
    assert el("td", class_="a", data_sort=1.0, hidden=True, id=None, open=False) == (
        '<td class="a" data-sort="1" hidden></td>'
    )
    assert el("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_numbers_are_short() -> None:
    assert join([1 / 3, 2.0, 1e7, 5]) == "0.33" + "2" + "10000000" + "5"
