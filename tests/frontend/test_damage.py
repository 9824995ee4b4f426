# SPDX-License-Identifier: Apache-2.0
"""Cut and flipped model files: refused with an error of ours, or imported to a graph that runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.models import Builder, random_network, small_network

from gatewright.errors import GatewrightError, ModelError
from gatewright.frontend.importer import import_model
from gatewright.passes.lower import lower
from gatewright.passes.prove import prove


def try_import(path: Path) -> str:
    """ "refused", or "imported" after running the graph and, where it can be proven, its hardware."""
    try:
        graph = import_model(path)
        inputs = [
            np.random.default_rng(0).integers(i.tensor.lo, i.tensor.hi + 1, (2, *i.tensor.shape)) for i in graph.inputs
        ]
        golden = graph.reference(*inputs)
        lowered = lower(graph)
        prove(graph, lowered)
        assert all(np.array_equal(a, b) for a, b in zip(lowered.reference(*inputs), golden, strict=True))
    except GatewrightError as error:
        assert str(error)
        return "refused"
    return "imported"


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    b, y = small_network((1, 4, 4))
    return b.save(tmp_path / "m.onnx", y).read_bytes()


def test_truncated(whole: bytes, tmp_path: Path) -> None:
    """A cut may fall between two whole fields; then something is missing, which is said."""
    path = tmp_path / "m.onnx"
    for length in np.linspace(0, len(whole) - 1, 50).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            import_model(path)


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes(whole: bytes, tmp_path: Path, seed: int) -> None:
    rng, path = np.random.default_rng(seed), tmp_path / "m.onnx"
    if seed % 2:
        b = Builder((2, 5, 5))
        outputs, _ = random_network(b, seed, exact=False)
        whole = b.save(path, *outputs).read_bytes()
    results = []
    for position in rng.integers(0, len(whole), 75):
        path.write_bytes(
            whole[:position] + bytes([whole[position] ^ int(rng.integers(1, 256))]) + whole[position + 1 :]
        )
        results.append(try_import(path))
    assert {"refused", "imported"} == set(results)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_flipped_bytes(tmp_path: Path, seed: int) -> None:
    test_flipped_bytes(small_network((1, 4, 4))[0].model("gemm_1_out").SerializeToString(), tmp_path, seed)
