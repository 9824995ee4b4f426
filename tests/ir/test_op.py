# SPDX-License-Identifier: Apache-2.0
"""The operator contract's helpers: discovery by file, memories as text, folding errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatewright.errors import ConfigError
from gatewright.ir.op import Memory, Op, as_int64, describe, discover, divisors, kernel_path, port_prefixes
from gatewright.ir.types import Tensor
from gatewright.ops.add import Add
from gatewright.ops.dense import Dense

NEGATE = '''
from dataclasses import dataclass
from gatewright.ir.op import Bounds, Op
from gatewright.ir.types import Tensor

@dataclass(frozen=True, eq=False)
class Negate(Op):
    """y = -x."""
    source: Tensor

    @property
    def outputs(self):
        return (Tensor(self.source.shape, -self.source.hi, -self.source.lo),)

    def reference(self, *xs):
        return (-xs[0],)

    def bounds(self):
        return (Bounds((-self.source.hi,), (-self.source.lo,)),)

    @classmethod
    def examples(cls):
        return [cls(Tensor((3,), 0, 7))]
'''


def test_a_file_is_an_operator_while_its_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "rtl").mkdir()
    (tmp_path / "ops" / "negate.py").write_text(NEGATE)
    (tmp_path / "rtl" / "negate.sv").write_text("")
    monkeypatch.delenv("GATEWRIGHT_PATH", raising=False)
    assert "negate" not in discover()
    monkeypatch.setenv("GATEWRIGHT_PATH", str(tmp_path))
    operator = discover()["negate"]
    assert operator.examples()[0].reference(np.array([[1, 2, 3]]))[0].tolist() == [[-1, -2, -3]]
    assert discover()["negate"] is operator
    assert (operator.name(), describe(operator)) == ("negate", "y = -x.")
    assert kernel_path("negate", "rtl") == tmp_path / "rtl" / "negate.sv"
    assert kernel_path("negate", "hls") is None
    monkeypatch.delenv("GATEWRIGHT_PATH")
    assert "negate" not in discover()
    assert kernel_path("negate", "rtl") is None


def test_built_in_operators_are_sorted() -> None:
    names = list(discover())
    assert names == sorted(names)
    assert {"dense", "window", "conv2d", "threshold", "requant", "add", "maxpool", "global_avgpool"} <= set(names)


def test_a_subclass_elsewhere_is_no_operator() -> None:
    class Special(Dense):
        """Defined in a test, as one might in a notebook."""

    assert Special not in discover().values() and discover()["dense"] is Dense


def test_memory_as_text() -> None:
    memory = Memory(as_int64([[1, -1, 0], [-8, 7, 3]]), 4)
    assert memory.hex_lines() == ["0f1", "378"]
    # Five 3-bit elements a word: 15 bits in four digits, element 0 lowest.
    assert Memory(as_int64([[1, 2, 3, 4, -1]]), 3).hex_lines() == [f"{0b111_100_011_010_001:04x}"]
    wide = Memory(as_int64([[(1 << 40) - 1, -(1 << 40)]]), 41)
    assert int(wide.hex_lines()[0], 16) == (1 << 40) << 41 | (1 << 40) - 1


@pytest.mark.parametrize("n", [1, 2, 12, 13, 36])
def test_divisors(n: int) -> None:
    assert divisors(n) == tuple(d for d in range(1, n + 1) if n % d == 0)


def test_prefixes_of_ports() -> None:
    one, two = Dense(Tensor((2,), 0, 1), as_int64([[1, 1]])), Add(Tensor((2,), 0, 1), Tensor((2,), 0, 1))
    assert port_prefixes(one) == (["s_axis"], ["m_axis"])
    assert port_prefixes(two) == (["s0_axis", "s1_axis"], ["m_axis"])


@pytest.mark.parametrize(
    ("folding", "message"),
    [
        ({"pe": 5}, "dense: pe=5 does not divide 12 rows: use 1, 2, 3, 4, 6 or 12"),
        ({"pe": 0}, "dense: pe=0 does not divide 12 rows: use 1, 2, 3, 4, 6 or 12"),
        ({"pe": -3}, "dense: pe=-3 does not divide 12 rows"),
        ({"simd": 2}, "dense: simd=2 does not divide 7 columns: use 1 or 7"),
    ],
)
def test_folding_that_does_not_divide(folding: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Dense(Tensor((7,), 0, 3), as_int64(np.ones((12, 7))), **folding)


def test_only_value_of_a_folding() -> None:
    with pytest.raises(ConfigError, match="add: pe=2 does not divide 1 channels: use 1$"):
        Add(Tensor((1,), 0, 3), Tensor((1,), 0, 3), pe=2)


def test_arrays_of_operators_cannot_be_written() -> None:
    source = np.arange(3)
    frozen = as_int64(source)
    source[0] = 9
    assert frozen.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        frozen[0] = 1


def test_composite_operators_have_no_schedule() -> None:
    op: Op = discover()["conv2d"].examples()[0]
    with pytest.raises(NotImplementedError, match="conv2d has no hardware"):
        op.schedule()
