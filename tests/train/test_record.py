# SPDX-License-Identifier: Apache-2.0
"""The log: what is in log.csv, and that TensorBoard reads the same."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from gatewright.train.loop import Epoch
from gatewright.train.record import Record


def test_csv_and_events_say_the_same(tmp_path: Path) -> None:
    float_epochs, quant_epochs = (
        [Epoch(2.0, 0.25, 0.5, 0.1)],
        [Epoch(1.0, 0.5, 0.75, 0.01), Epoch(0.5, 0.625, 1.0, 0.0)],
    )
    with Record(tmp_path) as record:
        record.add("float", {"float": float_epochs})
        record.add("quant", {"float": float_epochs, "quant": quant_epochs[:1]})
        record.add("quant", {"float": float_epochs, "quant": quant_epochs})
    assert (tmp_path / "log.csv").read_text().splitlines() == [
        "phase,epoch,lr,loss,train_accuracy,validation_accuracy",
        "float,1,0.1,2,0.25,0.5",
        "quant,1,0.01,1,0.5,0.75",
        "quant,2,0,0.5,0.625,1",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [(e.step, e.value) for e in events.Scalars("quant/loss")]
    assert losses == [(1, 1.0), (2, 0.5)]
    assert [e.value for e in events.Scalars("float/validation_accuracy")] == [pytest.approx(0.5)]
