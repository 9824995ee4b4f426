# SPDX-License-Identifier: Apache-2.0
"""The layer by which hls4ml knows functions that it lacks, registered through its extension interface.

Imports hls4ml: only `gatewright.emit.hls4ml` imports this, where a project is wanted.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hls4ml.backends import get_backend
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.layers import Layer, register_layer

from gatewright.errors import ConfigError
from gatewright.ir.hls4ml import EXTENSION
from gatewright.ir.op import resource_roots

FOLDER = "hls/hls4ml"
"""Where headers lie, below a resource root."""


class Gatewright(Layer):  # type: ignore[misc]  # hls4ml publishes no types
    """A function with constants and tables."""

    def initialize(self) -> None:
        """Declare the output and the tables."""
        self.add_output_variable(self.get_attr("out_shape"))
        for name in self.tables:
            self.add_weights_variable(name=name, var_name=f"{name}{{index}}")

    @property
    def tables(self) -> list[str]:
        """Names of the tables, in order."""
        return [key.removesuffix("_data") for key in self.attributes if key.endswith("_data")]


class GatewrightConfig(LayerConfigTemplate):  # type: ignore[misc]
    """The layer's constants and types as a struct."""

    def __init__(self) -> None:
        super().__init__(Gatewright)

    def format(self, node: Any) -> str:
        """The C++ of one layer."""
        scalars = [f"    static const int {name} = {value};" for name, value in node.get_attr("scalars").items()]
        types = [f"    typedef {node.get_attr(f'{name}_t').name} {name}_t;" for name in node.tables]
        return "\n".join([f"struct config{node.index} {{", *scalars, *types, "};\n"])


class GatewrightCall(FunctionCallTemplate):  # type: ignore[misc]
    """The call in the top function."""

    def __init__(self) -> None:
        super().__init__(Gatewright)

    def format(self, node: Any) -> str:
        """The C++ of one layer."""
        function, config = node.get_attr("function"), f"config{node.index}"
        node.set_attr("include_header", [f"nnet_utils/{function}.h"])
        given, made = node.get_input_variable(), node.get_output_variable()
        tables = [node.get_weights(name).name for name in node.tables]
        run = f"gatewright::{function}<{config}>::run<{given.type.name}, {made.type.name}>"
        return f"{run}({', '.join([given.name, made.name, *tables])});"


@functools.cache
def _register_layer() -> None:
    register_layer(EXTENSION, Gatewright)
    backend = get_backend("Vitis")
    backend.register_template(GatewrightConfig)
    backend.register_template(GatewrightCall)


@contextlib.contextmanager
def registered(functions: Sequence[str]) -> Iterator[None]:
    """Within it, the layer and the headers of its functions are known to hls4ml.

    Raises:
        ConfigError: a function has no header.
    """
    _register_layer()
    sources = get_backend("Vitis").custom_source
    before = dict(sources)
    try:
        for function in ("elementwise", *functions):
            get_backend("Vitis").register_source(header(function))
        yield
    finally:  # the headers of folders that are no longer on the path must not be looked for
        sources.clear()
        sources.update(before)


def header(function: str) -> Path:
    """The header of a function.

    Raises:
        ConfigError: there is none.
    """
    paths = [root / FOLDER / f"{function}.h" for root in resource_roots()]
    found = next((p.resolve() for p in paths if p.is_file()), None)
    if found is None:
        raise ConfigError(f"no header {FOLDER}/{function}.h: write it beside ops/, as elementwise.h says")
    return found
