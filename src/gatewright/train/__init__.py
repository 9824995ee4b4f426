# SPDX-License-Identifier: Apache-2.0
"""Training loops and recipes."""

from __future__ import annotations

from gatewright.train.config import TrainConfig
from gatewright.train.inference import calibrate, evaluate, predict
from gatewright.train.loop import Epoch, fit
from gatewright.train.ptq import PtqConfig, PtqResult, post_training_quantize
from gatewright.train.ptq_report import PtqReport
from gatewright.train.recipe import Recipe, load_recipe
from gatewright.train.run import Trained, train_recipe

__all__ = [
    "Epoch",
    "PtqConfig",
    "PtqReport",
    "PtqResult",
    "Recipe",
    "TrainConfig",
    "Trained",
    "calibrate",
    "evaluate",
    "fit",
    "load_recipe",
    "post_training_quantize",
    "predict",
    "train_recipe",
]
