# SPDX-License-Identifier: Apache-2.0
"""Training loops and recipes."""

from __future__ import annotations

from gatewright.train.loop import Epoch, TrainConfig, calibrate, evaluate, fit, predict

__all__ = ["Epoch", "TrainConfig", "calibrate", "evaluate", "fit", "predict"]
