# SPDX-License-Identifier: Apache-2.0
"""Bundles without a network: all that a reader asks for, and files of the test's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gatewright.board.archive import MANIFEST, npz
from gatewright.runtime.kernel_map import KernelMap


def small_bundle(contents: Mapping[str, bytes], **record: Any) -> dict[str, bytes]:
    """A whole bundle with these files in it.

    Args:
        contents: files by relative path.
        record: what bundle.json says besides, or in place of what it says else.
    """
    kernel = KernelMap("net_kernel", "net", 64, "0" * 32, 4096, (), (), 0x10, 0x100, ())
    host = {"format": 1, "inputs": [], "outputs": []}
    files = {"host.json": json.dumps(host).encode(), "host.npz": npz({}), **contents}
    said = {
        "format": 1, "name": "net", "title": "TUL PYNQ-Z2", "board": "pynq-z2", "mhz": 100.0, "base_address": 0,
        "kernel": kernel.to_json(), "predicted": {"interval_cycles": 1, "latency_cycles": 1}, "bitstream": None,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }  # fmt: skip
    return files | {MANIFEST: json.dumps(said | record).encode()}
