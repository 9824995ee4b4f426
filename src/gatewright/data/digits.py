# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits (UCI Optical Recognition), embedded in scikit-learn: 1,797 grey images of 8x8 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gatewright.data.dataset import DataSet, Split
from gatewright.errors import ConfigError


def load(folder: Path | None = None) -> DataSet:
    """1,437 training and 360 test images, float32 (N, 1, 8, 8) in [0, 1]; the same stratified split every time.

    Raises:
        ConfigError: a folder, which the set has not.
    """
    if folder is not None:
        raise ConfigError(f"folder={str(folder)!r}: the digits are part of scikit-learn: leave the folder out")
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels.astype(np.int64), test_size=360, stratify=labels, random_state=0
    )
    return DataSet(Split(train_x, train_y), Split(test_x, test_y), step=1 / 16, full=1.0)
