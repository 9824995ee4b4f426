# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin for users' own projects: simulate the accelerator in CI.

    def test_accelerator(virtual_board):
        with virtual_board("build/digits") as accelerator:
            assert accelerator.verify().ok

pytest loads it by itself wherever Gatewright is installed, so it imports nothing that takes time before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gatewright.runtime import Accelerator

OPTION = "--accelerator-device"


class Bench:
    """What the fixture `virtual_board` gives: called with what to run, it is a context manager of its accelerator.

    Args:
        root: what relative paths start from.
        folder: makes a new empty folder.
        device: a board to use instead of virtual ones, as `Accelerator` takes it.
    """

    def __init__(self, root: Path, folder: Callable[[], Path], device: str | None) -> None:
        self._root, self._folder, self._device = root, folder, device
        self._bundles: dict[str, Path] = {}

    def __call__(
        self, source: str | Path, board: str | None = None, **options: Any
    ) -> AbstractContextManager[Accelerator]:
        """The driver of an accelerator on a virtual board, closed at the end of the `with` block.

        Args:
            source: a build folder, a bundle's folder or archive, or an ONNX model; relative to pytest's rootdir.
                A model is compiled once in a session.
            board: to compile a model for.
            options: of `gatewright.compile_model`, for a model.

        Raises:
            GatewrightError: says what was wrong, where, and what to do.
        """
        from gatewright.board.serving import bundle_of, served

        path = self._root / source
        key = json.dumps([str(path), board, options], sort_keys=True, default=str)
        if key not in self._bundles:
            virtual = self._device is None
            self._bundles[key] = bundle_of(path, board, options, self._folder(), virtual=virtual)
        return served(self._bundles[key], self._device)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--accelerator-device`: the same tests on a real board."""
    group = parser.getgroup("gatewright", "accelerators made by Gatewright")
    group.addoption(
        OPTION,
        metavar="HOST[:PORT]",
        help="run `virtual_board` on this board, or serial port, instead of simulating one",
    )


@pytest.fixture(scope="session")
def virtual_board(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Accelerators on virtual boards, simulated cycle by cycle behind the real driver: see `Bench.__call__`."""
    device: str | None = pytestconfig.getoption(OPTION)
    return Bench(pytestconfig.rootpath, lambda: tmp_path_factory.mktemp("virtual_board"), device)
