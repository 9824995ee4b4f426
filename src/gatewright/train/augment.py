# SPDX-License-Identifier: Apache-2.0
"""Augmentation of image batches: random crops of the padded image, and horizontal flips."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augment:
    """Draws from torch's global generator, so that a seed fixes it.

    Attributes:
        crop: pixels of value 0 put around each image, out of which a window of its own size is cut at random.
        flip: whether half of the images are mirrored left to right.
    """

    crop: int = 0
    flip: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) of any type to as many of the same shape."""
        if self.crop:
            x = _crop(x, self.crop)
        if self.flip:
            mirrored = torch.rand(len(x)) < 0.5
            x = torch.where(mirrored.view(-1, 1, 1, 1).to(x.device), x.flip(3), x)
        return x


def _crop(x: Tensor, pixels: int) -> Tensor:
    count, _, height, width = x.shape
    top, left = torch.randint(0, 2 * pixels + 1, (2, count))
    rows = top[:, None] + torch.arange(height)
    columns = left[:, None] + torch.arange(width)
    padded = functional.pad(x, [pixels] * 4)
    cut = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2).contiguous()
