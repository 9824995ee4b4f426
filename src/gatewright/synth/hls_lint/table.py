# SPDX-License-Identifier: Apache-2.0
"""Pragmas of Vitis HLS 2022.2, with their options, values and places.

They follow the option table and the parser of Vitis HLS' own front end, which AMD publishes (XlxPragmaOption.td and
ParseXlxPragma.cpp of hls-llvm-project), and the section of the user guide UG1399 that each row names. Where the front
end takes several forms only the guide's is legal here, as `type=complete`, not `complete`. Options that came after
2022.2 are known, to say so, and refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["flag", "integer", "number", "variable", "port", "word", "name"]
"""A name alone; a constant expression; a number; variables in scope; arguments of the top function, or `return`; one of
a few words; any name."""
Place = Literal["function", "loop", "region"]
"""Directly in the body of a function; directly in that of a loop; in any other block."""

RELEASE = "2022.2"
ANYWHERE: tuple[Place, ...] = ("function", "loop", "region")


@dataclass(frozen=True)
class Option:
    """An option of a pragma.

    Attributes:
        words: legal values of a word, in lower case; the front end does not tell case apart.
        least: smallest legal value of an integer.
        required: the pragma is nothing without it.
        later: came after 2022.2.
    """

    name: str
    kind: Kind
    words: tuple[str, ...] = ()
    least: int = 0
    required: bool = False
    later: bool = False

    def text(self) -> str:
        """As the documentation writes it."""
        if self.kind == "flag":
            return self.name
        value = (
            "|".join(self.words) if self.words else {"integer": f"<int>={self.least}..", "port": "<argument|return>"}
        )
        shown = value if isinstance(value, str) else value.get(self.kind, f"<{self.kind}>")
        return f"{self.name}={shown}".replace("=<int>=", "=<int, ").replace("..", " or more>")


@dataclass(frozen=True)
class Pragma:
    """A row of the table.

    Attributes:
        options: all that may stand in it; with `modes`, those that every mode has.
        places: where it may stand.
        excludes: pairs of options that exclude each other.
        needs: options that mean something only beside another.
        one_of: at least one of these must stand in it.
        first: one of these must stand in front of all others.
        modes: for `interface`: further options, by the value of `mode`.
    """

    name: str
    options: tuple[Option, ...] = ()
    places: tuple[Place, ...] = ANYWHERE
    excludes: tuple[tuple[str, str], ...] = ()
    needs: tuple[tuple[str, str], ...] = ()
    one_of: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    modes: tuple[tuple[str, tuple[Option, ...]], ...] = ()

    @property
    def section(self) -> str:
        """The section of UG1399."""
        return f"pragma HLS {self.name}"


def _variable(name: str = "variable") -> Option:
    return Option(name, "variable", required=True)


def _flag(name: str, later: bool = False) -> Option:
    return Option(name, "flag", later=later)


def _integer(name: str, least: int = 0, required: bool = False, later: bool = False) -> Option:
    return Option(name, "integer", least=least, required=required, later=later)


def _word(name: str, *words: str, required: bool = False, later: bool = False) -> Option:
    return Option(name, "word", words, required=required, later=later)


def _name(name: str, required: bool = False) -> Option:
    return Option(name, "name", required=required)


_PARTITION = (
    _variable(),
    _word("type", "block", "cyclic", "complete"),
    _integer("factor", 1),
    _integer("dim"),
)
_STORAGE = ("ram_1p", "ram_1wnr", "ram_2p", "ram_s2p", "ram_t2p", "rom_1p", "rom_2p", "rom_np")
_STORAGE_IMPL = ("auto", "bram", "bram_ecc", "lutram", "memory", "srl", "uram", "uram_ecc")
_FLOATING = {
    "f": "add sub div exp log mul rsqrt recip sqrt",
    "d": "add sub div exp log mul rsqrt recip sqrt",
    "h": "add sub div mul sqrt",
}
_OPERATIONS = ("mul", "add", "sub", *(p + op for p, ops in _FLOATING.items() for op in ops.split()))

_SCALAR = (_flag("register"), _integer("depth"))
_MEMORY = (_word("storage_type", *_STORAGE), _integer("latency", -1), _integer("depth"))
INTERFACE_MODES: tuple[tuple[str, tuple[Option, ...]], ...] = (
    ("m_axi", (
        _name("bundle"), _integer("depth"), _word("offset", "off", "direct", "slave"), _integer("latency"),
        _integer("max_widen_bitwidth"), _integer("max_read_burst_length", 1), _integer("max_write_burst_length", 1),
        _integer("num_read_outstanding", 1), _integer("num_write_outstanding", 1), _integer("channel", later=True),
    )),
    ("s_axilite", (_name("bundle"), _name("clock"), _integer("offset"), _name("storage_impl"))),
    ("axis", (*_SCALAR, _word("register_mode", "forward", "reverse", "both", "off"))),
    ("ap_memory", _MEMORY),
    ("bram", _MEMORY),
    *((mode, _SCALAR) for mode in ("ap_fifo", "ap_none", "ap_ack", "ap_hs", "ap_ovld", "ap_vld", "ap_stable")),
    *((mode, ()) for mode in ("ap_ctrl_none", "ap_ctrl_hs", "ap_ctrl_chain")),
)  # fmt: skip
CONTROL_MODES = ("ap_ctrl_none", "ap_ctrl_hs", "ap_ctrl_chain")
"""Modes of `port=return` alone, which may also be `s_axilite`."""

PRAGMAS: tuple[Pragma, ...] = (
    Pragma("aggregate", (_variable(), _word("compact", "bit", "byte", "none", "auto"))),
    Pragma(
        "alias",
        (Option("ports", "port", required=True), _name("offset"), _name("distance")),
        ("function",),
        excludes=(("offset", "distance"),),
        one_of=("offset", "distance"),
    ),
    Pragma(
        "allocation",
        (_flag("function"), _flag("operation"), _name("instances", True), _integer("limit", 1, True)),
        excludes=(("function", "operation"),),
        first=("function", "operation"),
    ),
    Pragma("array_partition", (*_PARTITION, _flag("off", later=True))),
    Pragma("array_reshape", (*_PARTITION, _flag("object"), _flag("off", later=True))),
    Pragma(
        "bind_op",
        (
            _variable(),
            _word("op", *_OPERATIONS, required=True),
            _word("impl", "dsp", "fabric", "meddsp", "fulldsp", "maxdsp", "primitivedsp"),
            _integer("latency", -1),
        ),
    ),
    Pragma(
        "bind_storage",
        (
            _variable(),
            _word("type", "fifo", *_STORAGE, required=True),
            _word("impl", *_STORAGE_IMPL),
            _integer("latency", -1),
        ),
    ),
    Pragma("dataflow", (_flag("disable_start_propagation"),), ("function", "loop")),
    Pragma(
        "dependence",
        (
            Option("variable", "variable"),
            _word("class", "array", "pointer"),
            _word("type", "inter", "intra"),
            _word("direction", "raw", "war", "waw"),
            _integer("distance", 1),
            # The tool warns where it is left out, and takes it for false.
            _word("dependent", "true", "false", required=True),
        ),
        excludes=(("variable", "class"),),
    ),
    Pragma("disaggregate", (_variable(),)),
    Pragma("expression_balance", (_flag("off"),)),
    Pragma("function_instantiate", (_variable(),), ("function",)),
    Pragma("inline", (_flag("recursive"), _flag("off"))),
    Pragma(
        "interface",
        (
            _word("mode", *(m for m, _ in INTERFACE_MODES), required=True),
            Option("port", "port", required=True),
            _name("name"),
        ),
        ("function",),
        modes=INTERFACE_MODES,
    ),
    Pragma("latency", (_integer("min"), _integer("max")), one_of=("min", "max")),
    Pragma("loop_flatten", (_flag("off"),), ("loop",)),
    Pragma("loop_merge", (_flag("force"),)),
    Pragma("loop_tripcount", (_integer("min"), _integer("max", required=True), _integer("avg")), ("loop",)),
    Pragma("occurrence", (_integer("cycle", 1, True), _flag("off", later=True)), ("region",)),
    Pragma(
        "performance",
        (Option("target_ti", "number", required=True), _word("unit", "cycle", "sec", later=True)),
        ("loop",),
    ),
    Pragma(
        "pipeline",
        (_integer("II", 1), _flag("off"), _flag("rewind"), _word("style", "stp", "flp", "frp")),
        ("function", "loop"),
        excludes=(("style", "off"),),
    ),
    Pragma("protocol", (_flag("floating"), _flag("fixed")), ("loop", "region"), excludes=(("floating", "fixed"),)),
    Pragma("reset", (_variable(), _flag("off"))),
    Pragma("stable", (_variable(),)),
    Pragma("stream", (_variable(), _word("type", "fifo", "pipo", "shared", "unsync"), _integer("depth", 1))),
    Pragma("top", (_name("name"),), ("function",)),
    Pragma(
        "unroll",
        (_integer("factor", 1), _flag("skip_exit_check"), _flag("off", later=True)),
        ("loop",),
        needs=(("skip_exit_check", "factor"),),
    ),
)
"""All 27 of release 2022.2."""

WITHDRAWN = {
    "array_map": "hls::vector or a struct",
    "clock": "one clock",
    "data_pack": "aggregate",
    "resource": "bind_op or bind_storage",
    "shared": "stream type=shared",
}
"""Pragmas of Vivado HLS that Vitis HLS ignores or warns of, and what took their place."""


def find_pragma(name: str) -> Pragma | None:
    """The row of a pragma, by its name in any case."""
    return next((p for p in PRAGMAS if p.name == name.lower()), None)


def markdown() -> str:
    """The table as the documentation shows it."""
    return "\n".join(["| pragma | options | stands in | UG1399 |", "|---|---|---|---|", *_rows()])


def _rows() -> Iterator[str]:
    for pragma in PRAGMAS:
        places = "anywhere in a function" if pragma.places == ANYWHERE else ", ".join(pragma.places)
        yield f"| `{pragma.name}` | {_options(pragma.options)} | {places} | {pragma.section} |"
        for mode, options in pragma.modes:
            if options:
                yield f"| … `mode={mode}` | {_options(options)} | | {pragma.section} |"


def _options(options: tuple[Option, ...]) -> str:
    shown = []
    for option in options:
        text = f"`{option.text()}`".replace("|", "\\|")
        shown.append(
            f"**{text}**" if option.required else f"{text} (after {RELEASE}: refused)" if option.later else text
        )
    return ", ".join(shown) or "none"
