# SPDX-License-Identifier: Apache-2.0
"""The digits data set: shapes, range and a split that never changes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from gatewright.data import Split, digits
from gatewright.errors import DataError


def test_shapes_and_range():
    data = digits.load()
    assert data.train.x.shape == (1437, 1, 8, 8)
    assert data.test.x.shape == (360, 1, 8, 8)
    for split in (data.train, data.test):
        assert split.x.dtype == np.float32
        assert (split.x * 16 == np.round(split.x * 16)).all()
        assert split.x.min() == 0
        assert split.x.max() == 1


def test_split_is_stratified_and_disjoint():
    data = digits.load()
    share = np.bincount(data.train.y) / np.bincount(np.concatenate([data.train.y, data.test.y]))
    assert np.abs(share - 0.8).max() < 0.01
    train = {image.tobytes() for image in data.train.x}
    assert not any(image.tobytes() in train for image in data.test.x)


def test_split_is_the_same_everywhere():
    digest = hashlib.sha256(digits.load().test.x.tobytes() + digits.load().test.y.tobytes()).hexdigest()
    assert digest == "8110e5c2c9d024b578f2c2692341cc0a635dc6f45899bb78b73bbee43d45a90f"


def test_unfit_arrays_are_refused():
    x, y = np.zeros((3, 2), np.float32), np.zeros(3, np.int64)
    with pytest.raises(DataError, match=r"x is dtype\('float64'\).*give float32 inputs or uint8 pixels"):
        Split(x.astype(np.float64), y)
    with pytest.raises(DataError, match=r"x has shape \(3, 2\) and y \(2,\): give one label per sample"):
        Split(x, y[:2])
