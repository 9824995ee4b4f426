# SPDX-License-Identifier: Apache-2.0
"""A bundle as the driver reads it: a folder or an archive, checked against its own digests before anything is used."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import tempfile
import weakref
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, Dict, Mapping

import numpy as np
import numpy.typing as npt

from .errors import BundleError, ConfigError
from .kernel_map import KernelMap
from .records import Arrays, read_host

FORMAT = 1
MANIFEST = "bundle.json"
AGAIN = "copy the bundle again, or make it anew with `gatewright bundle`"
_NEEDED = ("name", "board", "mhz", "kernel", "base_address", "bitstream", "predicted", "files")
Golden = Dict[str, npt.NDArray[Any]]


class Bundle:
    """A bundle whose files are all there and undamaged.

    Args:
        path: its folder, or its `.tar.gz`, which is unpacked into a temporary folder until `close`.

    Attributes:
        folder: where its files lie.
        record: what `bundle.json` says.
        kernel: registers, memory ports and FIFOs.
        inputs, outputs: what the host does before and after the hardware.

    Raises:
        BundleError: no bundle, another format, or a file that is missing or damaged; named.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self._remove: weakref.finalize[..., Any] | None = None
        self.folder = self._unpacked(path) if path.is_file() else path
        try:
            self.record = _manifest(self.folder)
            _check_files(self.folder, self.record["files"])
            self.kernel = KernelMap.from_json(self.record["kernel"])
            host = self._json("host.json")
            self.inputs, self.outputs = read_host(host, self._arrays("host.npz"))
        except ConfigError as error:
            self.close()
            raise BundleError(f"{path}: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            raise BundleError(f"{path}: host.json and bundle.json do not fit together ({error!r}); {AGAIN}") from error
        except BundleError:
            self.close()
            raise

    @property
    def name(self) -> str:
        """Of the design."""
        return str(self.record["name"])

    @property
    def transport(self) -> str:
        """How the device is reached: "pynq", or "uart" over a serial port."""
        return str(self.record.get("transport", "pynq"))

    @property
    def mhz(self) -> float:
        """Clock of the kernel."""
        return float(self.record["mhz"])

    @property
    def base_address(self) -> int:
        """Of the control registers."""
        return int(self.record["base_address"])

    @property
    def interval_cycles(self) -> int:
        """Predicted cycles from frame to frame."""
        return int(self.record["predicted"]["interval_cycles"])

    @property
    def latency_cycles(self) -> int:
        """Predicted cycles of the first frame."""
        return int(self.record["predicted"]["latency_cycles"])

    @property
    def bitstream(self) -> Path:
        """The file that programs the device.

        Raises:
            BundleError: there is none yet, or one whose digest the manifest does not have.
        """
        record = self.record["bitstream"]
        if record is None:
            raise BundleError(
                f"{self.folder}: there is no bitstream in this bundle: {self.record['board']} needs one that its "
                "vendor's tools make; `gatewright check --stages kernel` simulates the kernel without"
            )
        if record["file"] not in self.record["files"]:
            raise BundleError(f"{self.folder}: {MANIFEST} has no digest of its bitstream {record['file']!r}; {AGAIN}")
        return self.folder / str(record["file"])

    def golden(self, what: str) -> Golden:
        """Golden frames: "inputs", "integers_in", "integers_out" or "float_out", by name of the input or output."""
        return self._arrays(f"golden/{what}.npz")

    def close(self) -> None:
        """Remove what was unpacked; a folder stays."""
        if self._remove is not None:
            self._remove()

    def _unpacked(self, archive: Path) -> Path:
        target = tempfile.mkdtemp(prefix="gatewright_")
        self._remove = weakref.finalize(self, shutil.rmtree, target, ignore_errors=True)
        try:
            extract(archive, Path(target))
            found = sorted(Path(target).glob(MANIFEST)) + sorted(Path(target).glob(f"*/{MANIFEST}"))
            if not found:
                raise BundleError(f"{archive}: there is no {MANIFEST} in this archive: not a bundle")
        except BundleError:
            self.close()
            raise
        return found[0].parent

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def _arrays(self, name: str) -> Arrays:
        try:
            with np.load(str(self.folder / name), allow_pickle=False) as data:
                return {key: data[key] for key in data.files}
        except Exception as error:  # damaged archives raise many types
            raise BundleError(
                f"{self.folder / name}: not readable ({type(error).__name__}: {error}); {AGAIN}"
            ) from error


def extract(archive: Path, target: Path) -> None:
    """Unpack a `.tar.gz` whose members are plain files and folders below it.

    Raises:
        BundleError: no such archive, a truncated one, or a member that is a link, a device or outside.
    """
    try:
        with tarfile.open(str(archive), "r:gz") as tar:
            for member in tar:
                _check_name(archive, member.name)
                if not (member.isfile() or member.isdir()):
                    raise BundleError(f"{archive}: {member.name!r} is no file and no folder: not a bundle of ours")
                place = target / member.name
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                if content is not None:
                    place.write_bytes(content.read())
            # gzip looks at its checksum at the very end, which tar does not read; bundle.json has no other.
            while tar.fileobj is not None and tar.fileobj.read(1 << 20):
                pass
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise BundleError(f"{archive}: not a whole .tar.gz ({error}); {AGAIN}") from error


def _check_name(where: Path, name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise BundleError(f"{where}: {name!r} lies outside the bundle: not a bundle of ours")


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder}: no {MANIFEST} here: give the folder or .tar.gz that `gatewright bundle` wrote")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: damaged ({error}); {AGAIN}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else record
        raise BundleError(f"{path}: format {found!r} is not {FORMAT}; {AGAIN}")
    missing = [key for key in _NEEDED if key not in record]
    if missing:
        raise BundleError(f"{path}: damaged: it lacks {missing!r}; {AGAIN}")
    return record


def _check_files(folder: Path, digests: Mapping[str, str]) -> None:
    """Every file that the manifest names is there, and what it was.

    Raises:
        BundleError: names the first that is not.
    """
    for name in sorted(digests):
        _check_name(folder, name)
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{folder}: {name} is missing; {AGAIN}")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digests[name]:
            raise BundleError(f"{folder}: {name} is damaged: its SHA-256 is not the one in {MANIFEST}; {AGAIN}")
