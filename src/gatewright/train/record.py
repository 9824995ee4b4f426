# SPDX-License-Identifier: Apache-2.0
"""What a training leaves to look at: log.csv, and event files for TensorBoard."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from gatewright.errors import MissingToolError
from gatewright.train.checkpoint import write_atomically
from gatewright.train.loop import Epoch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLUMNS = ("phase", "epoch", "lr", "loss", "train_accuracy", "validation_accuracy")


class Record:
    """The log of a folder; a context manager.

    Args:
        folder: gets ``log.csv`` and ``tensorboard/``.

    Raises:
        MissingToolError: the package tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "log.csv"
        self._writer = _writer(folder / "tensorboard")

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()

    def add(self, phase: str, histories: Mapping[str, Sequence[Epoch]]) -> None:
        """The last epoch of ``phase``, where ``histories`` holds all epochs of all phases."""
        epoch = histories[phase][-1]
        values = dict(zip(COLUMNS[2:], _values(epoch), strict=True))
        for name, value in values.items():
            self._writer.add_scalar(f"{phase}/{name}", value, len(histories[phase]))
        self._writer.flush()
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        for name, history in histories.items():
            rows.writerows([name, i, *(f"{v:.6g}" for v in _values(e))] for i, e in enumerate(history, 1))
        write_atomically(self._path, lambda file: file.write(text.getvalue().encode()))


def _values(epoch: Epoch) -> tuple[float, ...]:
    return epoch.lr, epoch.loss, epoch.train_accuracy, epoch.test_accuracy


def _writer(folder: Path) -> SummaryWriter:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tensorboard's own, about what it imports
            from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingToolError(
            f"the package tensorboard is not there ({error}): pip install 'gatewright[train]'"
        ) from error
    writer: SummaryWriter = SummaryWriter(str(folder))
    return writer
