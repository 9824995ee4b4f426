# SPDX-License-Identifier: Apache-2.0
"""What a data set is: arrays split into train and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatewright.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and labels of one split.

    Attributes:
        x: float32, samples first; images are NCHW.
        y: int64 class of each sample, (samples,).

    Raises:
        DataError: wrong dtype, or unequal numbers of inputs and labels.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.x.dtype != np.float32 or self.y.dtype != np.int64:
            raise DataError(f"x is {self.x.dtype!r} and y is {self.y.dtype!r}: give float32 inputs and int64 labels")
        if self.y.shape != self.x.shape[:1]:
            raise DataError(f"x has shape {self.x.shape!r} and y {self.y.shape!r}: give one label per sample")

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class DataSet:
    """A training and a test split."""

    train: Split
    test: Split
