# SPDX-License-Identifier: Apache-2.0
"""An accelerator behind the real driver, from a build, a bundle or a model; simulated unless a device is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from gatewright.board.archive import MANIFEST
from gatewright.board.bundle import bundle
from gatewright.board.server import VirtualBoard
from gatewright.board.uart import SerialBoard
from gatewright.build import compile_model
from gatewright.errors import ConfigError
from gatewright.runtime import Accelerator
from gatewright.runtime.bundle import Bundle
from gatewright.runtime.transport import UART
from gatewright.sim.verilator import Optimise

SUFFIXES = (".tar.gz", ".tgz")


@contextmanager
def served(source: Path, device: str | None = None) -> Iterator[Accelerator]:
    """The accelerator of a bundle: on a virtual board of its own, or on a device as `Accelerator` takes it.

    Raises:
        GatewrightError: the bundle is damaged, Verilator or pynq is missing, or the device does not answer.
    """
    if device is not None:
        with Accelerator(source, device=device) as accelerator:
            yield accelerator
        return
    with virtual_board(source) as board, Accelerator(source, device=board.address) as accelerator:
        yield accelerator


def virtual_board(source: Path, optimise: Optimise = "fast_build") -> VirtualBoard | SerialBoard:
    """The virtual board of a bundle, on a free port or a terminal of its own; still to be started.

    Raises:
        BundleError: no bundle, or a damaged one.
        ConfigError: a bundle that no virtual board takes.
    """
    if transport(source) == UART:
        return SerialBoard(source, optimise=optimise)
    return VirtualBoard([source], port=0, optimise=optimise)


def transport(source: Path) -> str:
    """How the driver reaches the board of a bundle, `PYNQ` or `UART` of `runtime.transport`.

    Raises:
        BundleError: no bundle, or a damaged one.
    """
    with closing(Bundle(source)) as found:
        return found.transport


def bundle_of(
    source: Path, board: str | None, options: Mapping[str, Any], folder: Path, *, virtual: bool = True
) -> Path:
    """A bundle of whatever somebody has.

    Args:
        source: a build folder, a bundle's folder or archive, or an ONNX model.
        board: to compile a model for; a build and a bundle have theirs.
        options: of `compile_model`, for a model.
        folder: an empty one, where what is made goes.
        virtual: whether a build's bundle is for a virtual board, and not for a real one with the build's bitstream.

    Raises:
        GatewrightError: `source` is none of these, options that do not belong to it, or it does not compile.
    """
    if source.is_file() and not source.name.endswith(SUFFIXES):
        if board is None:
            raise ConfigError(f'{source}: name the board to compile it for, such as board="pynq-z2"')
        compile_model(source, board, targets=("rtl", "kernel"), output=folder / "build", **options)
        bundle(folder / "build").write(folder / "bundle")
        return folder / "bundle"
    if board is not None or options:
        given = [*(["board"] if board is not None else []), *options]
        raise ConfigError(f"{source}: {', '.join(given)} belong to a model, and this is no .onnx file")
    if source.is_file() or (source / MANIFEST).is_file():
        return source
    if (source / "manifest.json").is_file():
        bundle(source, virtual=virtual).write(folder / "bundle")
        return folder / "bundle"
    raise ConfigError(f"{source} is no build folder, no bundle and no model: make one with gatewright compile")
