# SPDX-License-Identifier: Apache-2.0
"""What is checked of a file without a parser: its first lines, and what it includes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gatewright.synth.hls_lint.constructs import INCLUDES, Fault
from gatewright.synth.hls_lint.pragma_text import without_comments

SPDX = "// SPDX-License-Identifier: Apache-2.0"
LEAST_WORDS = 4
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]*)>|"([^"\n]*)")', re.MULTILINE)
_MACRO_PRAGMA = re.compile(r"\b_Pragma\b")
_FACTS = (
    ("what it computes", re.compile(r"^// (?:\S+ ){4,}\S+")),
    ("its beats", re.compile(r"\bbeats?\b", re.IGNORECASE)),
    ("its steps or cycles", re.compile(r"\b(?:steps?|cycles?|latency)\b", re.IGNORECASE)),
)


def includes(text: str) -> Iterator[tuple[int, str]]:
    """Lines and names of what a file includes."""
    blank = without_comments(text)
    for match in _INCLUDE.finditer(text):
        if blank[match.start() : match.end()].lstrip().startswith("#"):
            yield text.count("\n", 0, match.start()) + 1, match.group(1) or match.group(2)


def include_fault(name: str, ours: frozenset[str]) -> Iterator[Fault]:
    """What is wrong with including a header.

    Args:
        ours: names of the files that are judged, as they are included.
    """
    if name not in INCLUDES and name not in ours:
        yield "include", f"#include of {name!r}", f"a kernel takes its own headers and {', '.join(sorted(INCLUDES))}"


def operator_faults(text: str) -> Iterator[tuple[int, Fault]]:
    """`_Pragma`, which hides a pragma from this lint."""
    blank = without_comments(text)
    for match in _MACRO_PRAGMA.finditer(blank):
        fault = ("pragma", "`_Pragma`", "write `#pragma HLS ...` on a line of its own")
        yield blank.count("\n", 0, match.start()) + 1, fault


def assertion_fault(message: str) -> Iterator[Fault]:
    """What is wrong with the message of a static_assert."""
    if len(message.split()) < LEAST_WORDS:
        yield "static-assert", f"a static_assert that says {message!r}", "say in a sentence what the parameters must be"


def head_faults(text: str, kernel: bool) -> Iterator[tuple[int, Fault]]:
    """What is missing in the first lines of a library file.

    Args:
        kernel: it is an operator's.
    """
    lines = text.splitlines() or [""]
    if lines[0] != SPDX:
        yield 1, ("spdx", "no licence in the first line", f"write `{SPDX}`")
    comment = []
    for line in lines[1:]:
        if not line.startswith("//"):
            break
        comment.append(line)
    if not comment:
        yield 2, ("header-comment", "no comment under the licence", "say what the file is")
    for what, pattern in _FACTS if kernel and comment else ():
        if not any(pattern.search(line) for line in comment):
            yield 2, ("header-comment", f"the first comment does not give {what}", "say it, as the RTL kernel does")
