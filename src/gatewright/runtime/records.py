# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as JSON can hold them, and the arrays that it cannot."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Dict, Mapping

import numpy as np
import numpy.typing as npt

from . import host
from .chain import Rounding, Step
from .errors import ConfigError
from .ports import GraphInput, GraphOutput
from .types import Tensor

HOST_FORMAT = 1
Arrays = Dict[str, npt.NDArray[np.generic]]
_RECORDS: dict[str, type[Any]] = {c.__name__: c for c in (
    Tensor, Step, Rounding, GraphInput, GraphOutput, host.HostStep, host.Softmax, host.Hardmax, host.ArgMax, host.TopK,
    host.Cast, host.Elementwise, host.Quantizer,
)}  # fmt: skip


def pack(value: Any, key: str, arrays: Arrays) -> Any:
    """`value` as JSON can hold it; arrays go to `arrays` under `key`."""
    if isinstance(value, np.ndarray):
        arrays[key] = value
        return {"array": key}
    if isinstance(value, tuple):
        return [pack(v, f"{key}.{i}", arrays) for i, v in enumerate(value)]
    if is_dataclass(value):
        names = [f.name for f in fields(value)]
        return {"record": type(value).__name__, **{n: pack(getattr(value, n), f"{key}.{n}", arrays) for n in names}}
    return value


def unpack(value: Any, arrays: Arrays) -> Any:
    """The inverse of `pack`; lists become tuples, arrays cannot be written to."""
    if isinstance(value, list):
        return tuple(unpack(v, arrays) for v in value)
    if isinstance(value, dict) and "array" in value:
        array = arrays[value["array"]]
        array.setflags(write=False)
        return array
    if isinstance(value, dict):
        return _RECORDS[value["record"]](**{k: unpack(v, arrays) for k, v in value.items() if k != "record"})
    return value


def read_host(text: Mapping[str, Any], arrays: Arrays) -> tuple[tuple[GraphInput, ...], tuple[GraphOutput, ...]]:
    """The inputs and outputs that `gatewright.ir.serial.host_to_files` wrote.

    Raises:
        ConfigError: another format.
    """
    if text.get("format") != HOST_FORMAT:
        raise ConfigError(f"host format {text.get('format')!r} is not {HOST_FORMAT}: make the bundle again")
    inputs, outputs = (tuple(unpack(v, arrays) for v in text[key]) for key in ("inputs", "outputs"))
    return inputs, outputs
