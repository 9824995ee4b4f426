# SPDX-License-Identifier: Apache-2.0
"""Data sets by name: every module of this package that loads one. A new file is a new data set."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from gatewright.data.dataset import DataSet
from gatewright.errors import ConfigError

NO_LOADERS = ("cache", "catalog", "dataset", "idx", "npm")


def data_sets() -> tuple[str, ...]:
    """Their names, sorted."""
    import gatewright.data

    return tuple(m.name for m in pkgutil.iter_modules(gatewright.data.__path__) if m.name not in NO_LOADERS)


def load_data(name: str, folder: Path | None = None) -> DataSet:
    """A data set from the files in `folder`, else from where they are installed or were fetched to.

    Raises:
        ConfigError: no such data set.
        DataError: its files are not there, with the ways to get them, or damaged.
    """
    loaded: DataSet = _loader(name).load(folder)
    return loaded


def fetch_data(name: str) -> Path | None:
    """Get a data set's files, where they are not there yet; their folder, or None for a set that needs none.

    Raises:
        ConfigError: no such data set.
        ToolError: they cannot be got here.
    """
    fetch = getattr(_loader(name), "fetch", None)
    return fetch() if fetch else None


def _loader(name: str) -> ModuleType:
    wanted = name.replace("-", "_")
    if wanted not in data_sets():
        close = difflib.get_close_matches(wanted, data_sets(), n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"data set {name!r} is unknown: {hint}There are {', '.join(data_sets())}")
    return importlib.import_module(f"gatewright.data.{wanted}")
