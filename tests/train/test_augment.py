# SPDX-License-Identifier: Apache-2.0
"""Augmentation: every crop is a window of the padded image, every flip a mirror image."""

from __future__ import annotations

import torch
from torch.nn import functional

from gatewright.train.augment import Augment


def images(count: int = 64) -> torch.Tensor:
    return torch.arange(1, count * 2 * 5 * 4 + 1).view(count, 2, 5, 4)


def test_crops_are_windows_of_the_padded_image() -> None:
    torch.manual_seed(0)
    x = images()
    cut, padded = Augment(crop=2)(x), functional.pad(x, [2] * 4)
    assert cut.shape == x.shape
    places = []
    for whole, part in zip(padded, cut, strict=True):
        found = [(i, j) for i in range(5) for j in range(5) if torch.equal(whole[:, i : i + 5, j : j + 4], part)]
        assert len(found) == 1
        places += found
    assert len(set(places)) > 15


def test_flips_mirror_some() -> None:
    torch.manual_seed(0)
    x = images()
    out = Augment(flip=True)(x)
    mirrored = [torch.equal(b, a.flip(2)) for a, b in zip(x, out, strict=True)]
    assert all(m or torch.equal(a, b) for m, a, b in zip(mirrored, x, out, strict=True))
    assert 16 < sum(mirrored) < 48


def test_a_seed_fixes_it_and_nothing_is_the_identity() -> None:
    torch.manual_seed(3)
    first = Augment(2, True)(images())
    torch.manual_seed(3)
    assert torch.equal(first, Augment(2, True)(images()))
    assert torch.equal(Augment()(images()), images())
