# SPDX-License-Identifier: Apache-2.0
"""HTML and SVG elements as strings; whatever is not an element already is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

VOID = frozenset({"meta", "br", "input"})


class Html(str):
    """Markup: goes into an element as it is, where any other string is escaped."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Iterable[Child] | None"


def el(tag: str, *children: Child, **attributes: str | float | bool | None) -> Html:
    """An element.

    Args:
        children: markup, text, numbers, None (nothing), or iterables of these.
        attributes: by name, underscores for hyphens and a trailing one dropped (`class_`); None and False leave one
            out, True gives it without a value.
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        parts.append(key if value is True else f'{key}="{escape(_text(value))}"')
    opening = f"<{' '.join(parts)}>"
    return Html(opening if tag in VOID else f"{opening}{join(children)}</{tag}>")


def join(children: Child) -> Html:
    """Children one after another."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, (str, int, float)):
        return Html(escape(_text(children), quote=False))
    return Html("".join(join(child) for child in children))


def _text(value: str | float) -> str:
    """Numbers short and without an exponent, so that drawings stay small."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
