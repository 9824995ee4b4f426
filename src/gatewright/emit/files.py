# SPDX-License-Identifier: Apache-2.0
"""Files before anything touches the disk: a design's, and any as one archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gatewright.errors import ConfigError

TIME = 315_532_800
"""Of every file in an archive, 1980-01-01: old enough to be no date, and not so old that tar warns."""


@dataclass
class FileSet:
    """Files by relative path; nothing is written until `write`."""

    files: dict[str, str] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)
    """Files that are no text; iteration leaves them out."""

    def add(self, path: str, text: str) -> None:
        """Add a file.

        Raises:
            ConfigError: the path is taken by other contents.
        """
        if self.files.get(path, text) != text:
            raise ConfigError(f"{path} is already in this design with different contents: rename a node or an operator")
        self.files[path] = text

    def add_image(self, path: str, content: bytes) -> None:
        """Add a file that is no text, by a path of its own."""
        self.images[path] = content

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(sorted(self.files.items()))

    def digest(self) -> str:
        """SHA-256 over paths and contents."""
        whole = hashlib.sha256()
        for path, text in self:
            whole.update(f"{path}\0{len(text)}\0{text}".encode())
        for path, content in sorted(self.images.items()):
            whole.update(f"{path}\0{len(content)}\0".encode() + content)
        return whole.hexdigest()

    def write(self, root: Path) -> None:
        """Write all files below `root`; files that already hold the same keep their time stamp."""
        for path, text in self:
            _write(root / path, text.encode())
        for path, content in self.images.items():
            _write(root / path, content)


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_file() or target.read_bytes() != content:
        target.write_bytes(content)


def packed(files: Mapping[str, bytes], top: str) -> bytes:
    """A `.tar.gz` that unpacks into one folder `top`; the same bytes for the same files."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mtime, member.mode = len(files[name]), TIME, mode(name)
            archive.addfile(member, io.BytesIO(files[name]))
    return out.getvalue()


def mode(path: str) -> int:
    """Permissions of a file."""
    return 0o755 if path == "run.py" else 0o644
