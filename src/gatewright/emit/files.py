# SPDX-License-Identifier: Apache-2.0
"""A design as text, before anything touches the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gatewright.errors import ConfigError


@dataclass
class FileSet:
    """Files by relative path; nothing is written until `write`."""

    files: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, text: str) -> None:
        """Add a file.

        Raises:
            ConfigError: the path is taken by other contents.
        """
        if self.files.get(path, text) != text:
            raise ConfigError(f"{path} is already in this design with different contents: rename a node or an operator")
        self.files[path] = text

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(sorted(self.files.items()))

    def digest(self) -> str:
        """SHA-256 over paths and contents."""
        whole = hashlib.sha256()
        for path, text in self:
            whole.update(f"{path}\0{len(text)}\0{text}".encode())
        return whole.hexdigest()

    def write(self, root: Path) -> None:
        """Write all files below `root`; files that already hold the same text keep their time stamp."""
        for path, text in self:
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_file() or target.read_text() != text:
                target.write_text(text)
