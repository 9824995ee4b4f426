# SPDX-License-Identifier: Apache-2.0
"""`#pragma HLS` lines as text: where they are, what is in them, and C++ by which the parser checks their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gatewright.synth.hls_lint.table import Option, Pragma, find_pragma

_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*pragma\b((?:[^\n\\]|\\\n|\\.)*)$", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_PRIMARY = re.compile(r"(?:::\s*)?[A-Za-z_]\w*|\d[\w.]*")
_OPERATOR = re.compile(r"<<|>>|&&|\|\||[=!<>]=|->|::|[-+*/%&|^<>.?:,]")
_CLOSING = {"(": ")", "[": "]", "<": ">"}


@dataclass(frozen=True)
class PragmaLine:
    """A `#pragma` of a source file.

    Attributes:
        line: from 1, where it starts.
        start: offset of its first character.
        end: offset behind its last.
        hls: whether it is for Vitis HLS.
        name: as written; for others all that follows `#pragma`.
        options: (name, value or None) as written, in order.
        rest: what could not be read as options.
    """

    line: int
    start: int
    end: int
    hls: bool
    name: str
    options: tuple[tuple[str, str | None], ...] = ()
    rest: str = ""

    @property
    def row(self) -> Pragma | None:
        """Its row of the table."""
        return find_pragma(self.name) if self.hls else None

    def value(self, option: str) -> str | None:
        """The value of an option; None when it is not there or has none."""
        return next((v for n, v in self.options if n.lower() == option.lower()), None)

    def has(self, option: str) -> bool:
        """Whether an option stands in it."""
        return any(n.lower() == option.lower() for n, _ in self.options)

    def known_options(self) -> tuple[Option, ...]:
        """All options that are legal in it; for an interface those of its mode."""
        if self.row is None:
            return ()
        mode = (self.value("mode") or "").lower()
        return self.row.options + dict(self.row.modes).get(mode, ())


@dataclass(frozen=True)
class Probe:
    """C++ in place of a pragma, by which the parser says whether a name or a number in it is right.

    Attributes:
        line: where the pragma stands.
        columns: of the probe, from 1, the end not included.
        value: what is asked about.
    """

    line: int
    columns: tuple[int, int]
    pragma: PragmaLine
    option: Option
    value: str


def without_comments(text: str) -> str:
    """The text with blanks for comments and for what stands in quotes; lines and columns stay."""
    return _COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def find_pragmas(text: str) -> list[PragmaLine]:
    """Every `#pragma` in a source text, also in parts that the preprocessor leaves out."""
    return [_pragma(text, match) for match in _DIRECTIVE.finditer(without_comments(text))]


def _pragma(text: str, match: re.Match[str]) -> PragmaLine:
    line = text.count("\n", 0, match.start()) + 1
    body = match.group(1).replace("\\\n", "  ").strip()
    name = _WORD.match(body)
    if name is None or name.group().upper() != "HLS":
        return PragmaLine(line, match.start(), match.end(), False, body)
    body = body[name.end() :].strip()
    name = _WORD.match(body)
    if name is None:
        return PragmaLine(line, match.start(), match.end(), True, "", (), body)
    options, rest = _options(body[name.end() :])
    return PragmaLine(line, match.start(), match.end(), True, name.group(), options, rest)


def _options(text: str) -> tuple[tuple[tuple[str, str | None], ...], str]:
    """Options of a pragma, and what is left where something is no option."""
    found: list[tuple[str, str | None]] = []
    text = text.strip()
    while name := _WORD.match(text):
        rest = text[name.end() :].lstrip()
        if not rest.startswith("="):
            found.append((name.group(), None))
            text = rest
            continue
        rest = rest[1:].lstrip()
        end = _expression(rest)
        if end == 0:
            break
        found.append((name.group(), rest[:end].rstrip()))
        text = rest[end:].lstrip()
    return tuple(found), text


def _expression(text: str) -> int:
    """Length of the expression at the start of a text: operands joined by operators; 0 where there is none."""
    at = end = 0
    while True:
        while at < len(text) and text[at] in " \t+-!~&*":
            at += 1
        primary = _PRIMARY.match(text, at)
        if primary:
            at = primary.end()
        elif at >= len(text) or text[at] != "(":
            return end
        while at < len(text) and text[at] in _CLOSING:
            closed = _closed(text, at)
            if closed is None or (text[at] == "<" and _operand_follows(text, closed)):
                break
            at = closed
        end = at
        while at < len(text) and text[at] in " \t":
            at += 1
        operator = _OPERATOR.match(text, at)
        if operator is None:
            return end
        at = operator.end()


def _operand_follows(text: str, at: int) -> bool:
    """Whether what looked like template arguments were two comparisons."""
    return _PRIMARY.match(text, at) is not None and not text.startswith("::", at)


def _closed(text: str, at: int) -> int | None:
    """Behind the bracket that closes the one at `at`."""
    stack = [_CLOSING[text[at]]]
    for i in range(at + 1, len(text)):
        if text[i] == stack[-1]:
            stack.pop()
            if not stack:
                return i + 1
        elif text[i] in "([":
            stack.append(_CLOSING[text[i]])
    return None


def parts(value: str) -> list[str]:
    """The variables of a list."""
    return [part.strip() for part in value.split(",")]


def instrument(text: str, pragmas: list[PragmaLine]) -> tuple[str, list[Probe]]:
    """The text with a probe in place of every pragma that names variables or numbers; line numbers stay."""
    probes: list[Probe] = []
    pieces: list[str] = []
    at = 0
    for pragma in pragmas:
        code = _probe_line(pragma, probes) if pragma.hls else ""
        if code:
            blank = "\n" * text.count("\n", pragma.start, pragma.end)
            pieces += [text[at : pragma.start], code, blank]
            at = pragma.end
    return "".join([*pieces, text[at:]]), probes


def _probe_line(pragma: PragmaLine, probes: list[Probe]) -> str:
    known = {o.name.lower(): o for o in pragma.known_options()}
    code = ""
    for name, value in pragma.options:
        option = known.get(name.lower())
        if option is None or value is None:
            continue
        for question, asked in _questions(option, value):
            column = len(code) + 1
            code += question
            probes.append(Probe(pragma.line, (column, len(code) + 1), pragma, option, asked))
    return code


def _questions(option: Option, value: str) -> Iterator[tuple[str, str]]:
    """C++ that compiles exactly when a value is right, and the value."""
    if option.kind == "integer":
        # Not static_assert: in a template it is asked for nothing before there is an instance.
        yield f"(void)sizeof(char[({value}) >= {option.least} ? 1 : -1]);", value
    elif option.kind in ("variable", "port"):
        for part in parts(value):
            if part != "return":
                yield f"(void)({part});", part
