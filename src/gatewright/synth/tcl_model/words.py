# SPDX-License-Identifier: Apache-2.0
"""Lists of Tcl as text, glob patterns, and names that somebody may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_PLAIN = re.compile(r"[^\s{}\[\]\"$;\\#]+")


def split(text: str) -> list[str]:
    """The elements of a Tcl list.

    Raises:
        ValueError: it is none.
    """
    found, at = [], 0
    while match := re.compile(r"\s*(?=\S)").match(text, at):
        at = match.end()
        if text[at] == "{":
            end = _closing(text, at)
            found.append(text[at + 1 : end])
            at = end + 1
        elif text[at] == '"':
            quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(text, at)
            if quoted is None:
                raise ValueError(f"a quote is never closed: {text[at:]!r}")
            found.append(_unescape(quoted.group(1)))
            at = quoted.end()
        else:
            bare = re.compile(r"(?:[^\s\\]|\\.)+", re.DOTALL).match(text, at)
            if bare is None:
                raise ValueError(f"a backslash ends the list: {text!r}")
            found.append(_unescape(bare.group()))
            at = bare.end()
        if at < len(text) and not text[at].isspace():
            raise ValueError(f"{text[at]!r} follows a closed element: {text!r}")
    return found


def _closing(text: str, at: int) -> int:
    depth, here = 0, at
    while here < len(text):
        if text[here] == "\\":
            here += 1
        elif text[here] == "{":
            depth += 1
        elif text[here] == "}":
            depth -= 1
            if depth == 0:
                return here
        here += 1
    raise ValueError(f"a brace is never closed: {text[at:]!r}")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m.group(1), m.group(1)), text, flags=re.DOTALL)


def join(elements: Iterable[str]) -> str:
    """A Tcl list of the elements."""
    return " ".join(_element(e) for e in elements)


def _element(text: str) -> str:
    if text and _PLAIN.fullmatch(text):
        return text
    try:
        if text.endswith("\\"):
            raise ValueError
        _closing("{" + text + "}", 0)
        if split("{" + text + "}") == [text]:
            return "{" + text + "}"
    except ValueError:
        pass
    return re.sub(r"([\s{}\[\]\"$;\\#])", r"\\\1", text)


def glob(pattern: str, *, regexp: bool = False, nocase: bool = False) -> re.Pattern[str]:
    """A pattern as Vivado's lookups take it: `*` and `?` match everything, "/" too; brackets stand for themselves."""
    text = pattern if regexp else re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.IGNORECASE if nocase else 0)


def meant(name: str, known: Iterable[str]) -> str:
    """What to add to a message about an unknown name: "; did you mean 'x'?", or nothing."""
    known = list(known)
    folded: dict[str, str] = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def several(names: Sequence[str], most: int = 8) -> str:
    """Names for a message, not too many of them."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
