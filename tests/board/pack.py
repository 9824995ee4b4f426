# SPDX-License-Identifier: Apache-2.0
"""Frames as they lie in memory, by Python's integers: a check on the packing of the package itself."""

from __future__ import annotations

import numpy as np


def packed(values: np.ndarray, bits: int, frame_bytes: int) -> np.ndarray:
    """uint8 of shape (frames, frame_bytes): elements little-endian at their own bits."""
    frames = []
    for frame in values.reshape(len(values), -1):
        word = sum((int(v) & (1 << bits) - 1) << bits * i for i, v in enumerate(frame))
        frames.append(np.frombuffer(word.to_bytes(frame_bytes, "little"), np.uint8))
    return np.stack(frames)
