# SPDX-License-Identifier: Apache-2.0
"""Units whose weights come through a port, synthesised: what the resource model, fitted on ROMs, says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatewright.design.structure import structure
from gatewright.emit import rtl
from gatewright.ir.graph import single
from gatewright.ir.op import as_int64
from gatewright.ir.types import Tensor
from gatewright.ops.dense import Dense
from gatewright.synth.plan import plan
from gatewright.synth.yosys import synthesise

RNG = np.random.default_rng(0)
BIPOLAR = Dense(
    Tensor((2, 128), -1, 1, encoding="bipolar"), as_int64(RNG.choice([-1, 1], (16, 128))), pe=4, simd=16,
    streamed=("weight",),
)  # fmt: skip
WIDE = Dense(
    Tensor((4, 64), -128, 127), as_int64(RNG.integers(-127, 128, (32, 64))), pe=2, simd=4, streamed=("weight",)
)
DEEP = Dense(Tensor((256,), 0, 3), as_int64(RNG.integers(-7, 8, (64, 256))), pe=2, simd=8, streamed=("weight",))
LONE = Dense(Tensor((16,), 0, 3), as_int64(RNG.integers(-1, 2, (4, 16))), pe=4, simd=16, streamed=("weight",))
CASES = {"bipolar": BIPOLAR, "products in DSP slices": WIDE, "block RAM otherwise": DEEP, "constants otherwise": LONE}


@pytest.mark.parametrize("op", CASES.values(), ids=CASES)
def test_the_estimate_holds_for_a_streamed_unit(op: Dense, tmp_path: Path) -> None:
    pytest.importorskip("pyosys")
    design = structure(single(op))
    rtl.emit(design).write(tmp_path)
    (part,) = (p for p in plan(design, tmp_path / "kernels") if p.operator)
    assert part.parameters["STREAM_WEIGHT"] == 1 and set(part.memories) == {"start.mem"}
    found, estimated = synthesise([part], "xc7", jobs=1)[part.name].resources, op.resources("xc7")
    assert found["LUT"] == pytest.approx(estimated["LUT"], rel=0.15)
    assert found["FF"] == pytest.approx(estimated["FF"], rel=0.15, abs=40)
    assert (found["BRAM36"], found["DSP"]) == (estimated["BRAM36"], estimated["DSP"]) == (0, 8 if op is WIDE else 0)
