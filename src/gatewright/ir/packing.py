# SPDX-License-Identifier: Apache-2.0
"""Integer arrays as packed words; see `gatewright.runtime.packing`, which a board needs too."""

from __future__ import annotations

from gatewright.runtime.packing import Bytes, frame_images, pack_stream, read_images, unpack_stream

__all__ = ["Bytes", "frame_images", "pack_stream", "read_images", "unpack_stream"]
