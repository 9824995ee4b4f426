# SPDX-License-Identifier: Apache-2.0
"""Integer tensors and the streams that carry them; see `gatewright.runtime.types`, which a board needs too."""

from __future__ import annotations

from gatewright.runtime.types import Encoding, FloatArray, IntArray, Scale, Stream, Tensor, bits_for, check_ints

__all__ = ["Encoding", "FloatArray", "IntArray", "Scale", "Stream", "Tensor", "bits_for", "check_ints"]
