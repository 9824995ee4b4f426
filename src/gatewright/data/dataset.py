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
        x: samples first, images are NCHW: float32, or uint8 pixels, which a model gets as float32 of the same values.
        y: int64 class of each sample, (samples,).

    Raises:
        DataError: wrong dtype, or unequal numbers of inputs and labels.
    """

    x: NDArray[np.float32] | NDArray[np.uint8]
    y: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.x.dtype not in (np.float32, np.uint8) or self.y.dtype != np.int64:
            raise DataError(
                f"x is {self.x.dtype!r} and y is {self.y.dtype!r}: give float32 inputs or uint8 pixels, "
                "and int64 labels"
            )
        if self.y.shape != self.x.shape[:1]:
            raise DataError(f"x has shape {self.x.shape!r} and y {self.y.shape!r}: give one label per sample")

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Split:
        """The samples at ``index``."""
        return Split(self.x[index], self.y[index])


@dataclass(frozen=True, eq=False)
class DataSet:
    """A training and a test split.

    Attributes:
        train, test: the splits, of samples of one shape.
        step: distance between neighbouring pixel values; all values are multiples of it.
        full: the value of the brightest pixel.
    """

    train: Split
    test: Split
    step: float = 1.0
    full: float = 255.0

    @property
    def classes(self) -> int:
        """How many classes the training labels name, counted from 0."""
        return int(self.train.y.max()) + 1
