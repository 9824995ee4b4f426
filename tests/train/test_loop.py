# SPDX-License-Identifier: Apache-2.0
"""The training loop: reproducible by seed, calibrates what needs it, leaves the caller's state alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gatewright.data import Split, digits
from gatewright.errors import ConfigError, DataError, ModelError
from gatewright.nn import QuantIdentity, QuantLinear, QuantReLU, WeightQuant
from gatewright.train import TrainConfig, calibrate, evaluate, fit, predict
from gatewright.train.loop import Distillation, Trainer, make_optimizer, make_schedule


def small_model() -> nn.Sequential:
    quant = WeightQuant(bits=4, kind="a2q+", accumulator_bits=12)
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Flatten(),
        QuantIdentity(4, False, power_of_two=True),
        QuantLinear(64, 32, weight_quant=quant, input_bits=4),
        nn.BatchNorm1d(32),
        QuantReLU(4),
        nn.Dropout(0.1),
        QuantLinear(32, 10, weight_quant=quant, input_bits=4),
    )


@pytest.fixture(scope="module")
def data():
    return digits.load()


def test_the_same_seed_gives_the_same_weights_and_another_does_not(data):
    states, histories = [], []
    for seed in (0, 0, 1):
        model = small_model()
        torch.manual_seed(seed + 100)  # fit's result must not depend on the global generator
        histories.append(fit(model, data.train, data.test, TrainConfig(epochs=2, seed=seed)))
        states.append(model.state_dict())
    assert histories[0] == histories[1]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["2.weight"], states[2]["2.weight"])


def test_training_leaves_the_global_generator_alone(data):
    model = small_model()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(model, data.train, data.test, TrainConfig(epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_training_learns_and_its_record_is_true(data):
    model = small_model()
    history = fit(model, data.train, data.test, TrainConfig(epochs=6, lr=1e-2))
    assert len(history) == 6
    assert history[-1].loss < history[0].loss / 2
    assert history[-1].test_accuracy > 0.85
    assert history[-1].test_accuracy == evaluate(model, data.test)
    right = predict(model, data.test.x).argmax(1) == data.test.y
    assert evaluate(model, data.test, batch=7) == right.mean()


def test_decay_spares_biases_norms_and_scales(data):
    from gatewright.train.loop import parameter_groups

    model = small_model()
    decayed, spared = parameter_groups(model, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0
    assert {id(p) for p in decayed["params"]} == {id(model[2].weight), id(model[6].weight)}
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_calibration_is_for_quantisers_without_a_scale(data):
    model = small_model()
    model[1] = QuantIdentity(4, False, max_value=3.0)
    calibrate(model, data.train.x)
    assert model[1].scale().item() == pytest.approx(3 / 15)
    assert bool(model[4].calibrated)
    before = model[4].scale().item()
    calibrate(model, data.train.x * 10)
    assert model[4].scale().item() == before
    assert not any(module.observing for module in model.modules() if isinstance(module, QuantIdentity))


def test_calibrated_range_covers_what_was_seen(data):
    model = nn.Sequential(QuantIdentity(8, True, percentile=100))
    x = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    calibrate(model, x, batch=64)
    assert model[0].scale().item() * 127 == pytest.approx(np.abs(x).max(), rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_calibration_on_what_is_not_finite_names_the_quantiser_and_can_be_repeated(value):
    model = nn.Sequential(nn.Flatten(), QuantIdentity(4, True))
    bad = np.ones((4, 3), np.float32)
    bad[3, 1] = value
    with pytest.raises(DataError, match=r"^1: QuantIdentity\(bits=4, signed=True\) saw 1 NaN or infinite of 6 values"):
        calibrate(model, bad, batch=2)
    calibrate(model, np.full((4, 3), 14.0, np.float32))
    assert model[1].scale().item() == pytest.approx(2.0)


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantIdentity(4, True)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.quant(x), x


def test_two_outputs_are_refused(data):
    message = "TwoOutputs returns a tuple, not one tensor: wrap it in a module whose forward returns one"
    model, x = TwoOutputs(), np.ones((2, 3), np.float32)
    with pytest.raises(ModelError, match=message):
        calibrate(model, x)
    assert not bool(model.quant.calibrated)
    model.quant = QuantIdentity(4, True, max_value=1.0)
    with pytest.raises(ModelError, match=message):
        predict(model, x)
    with pytest.raises(ModelError, match=message):
        fit(model, data.train, data.test, TrainConfig(epochs=1))


@pytest.mark.parametrize("training", [False, True])
def test_prediction_restores_the_mode(data, training):
    model = small_model()
    calibrate(model, data.train.x[:100])
    model.train(training)
    predict(model, data.test.x[:5])
    assert model.training is training


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"batch": -1}, "batch=-1 must be at least 1"),
        ({"lr": 0.0}, "lr=0.0 must be positive"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0 must not be negative"),
        ({"penalty": float("nan")}, "penalty=nan must not be negative"),
        ({"optimizer": "adam"}, "optimizer='adam' is unknown: use one of adamw, sgd"),
        ({"schedule": "linear"}, "schedule='linear' is unknown: use one of cosine, step, constant"),
        ({"momentum": 1.0}, r"momentum=1.0 must lie in \[0, 1\)"),
        ({"label_smoothing": -0.1}, r"label_smoothing=-0.1 must lie in \[0, 1\)"),
        ({"warmup": 5, "epochs": 5}, "warmup=5 must be at least 0 and less than epochs=5"),
        ({"step_epochs": 0}, "step_epochs=0 must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**settings)


def test_no_data_is_refused(data):
    empty = Split(data.train.x[:0], data.train.y[:0])
    with pytest.raises(DataError, match="train has 0 samples"):
        fit(small_model(), empty, data.test, TrainConfig())
    with pytest.raises(DataError, match=r"x has shape \(0, 1, 8, 8\), no sample"):
        evaluate(small_model(), empty)


def rates(config: TrainConfig, batches: int) -> list[float]:
    optimizer = make_optimizer(nn.Linear(2, 2), config)
    schedule = make_schedule(optimizer, config, batches)
    found = []
    for _ in range(config.epochs * batches):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


def test_schedules():
    cosine = rates(TrainConfig(epochs=4, lr=0.5), 3)
    assert cosine == pytest.approx([0.25 * (1 + np.cos(np.pi * i / 12)) for i in range(12)])
    assert rates(TrainConfig(epochs=4, lr=0.5, schedule="constant"), 2) == [0.5] * 8
    steps = rates(TrainConfig(epochs=5, lr=0.5, schedule="step", step_epochs=2, gamma=0.5), 2)
    assert steps == pytest.approx([0.5] * 4 + [0.25] * 4 + [0.125] * 2)
    warm = rates(TrainConfig(epochs=3, lr=0.5, schedule="constant", warmup=1), 4)
    assert warm == pytest.approx([0.1, 0.2, 0.3, 0.4] + [0.5] * 8)
    both = rates(TrainConfig(epochs=3, lr=0.5, warmup=1), 2)
    assert both[2] == pytest.approx(0.5)
    assert both == sorted(both[:3]) + sorted(both[3:], reverse=True)


def test_optimisers():
    model = nn.Linear(2, 2)
    assert type(make_optimizer(model, TrainConfig())) is torch.optim.AdamW
    sgd = make_optimizer(model, TrainConfig(optimizer="sgd", momentum=0.5))
    assert type(sgd) is torch.optim.SGD
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.5, True)


def test_pixels_of_eight_bits_are_the_same_numbers(data):
    model = small_model()
    whole = (data.test.x * 16).astype(np.float32)
    calibrate(model, whole)
    np.testing.assert_array_equal(predict(model, whole), predict(model, whole.astype(np.uint8)))


def test_distillation_is_cross_entropy_and_divergence():
    torch.manual_seed(0)
    teacher, x, y = nn.Linear(3, 4), torch.rand(5, 3), torch.tensor([0, 1, 2, 3, 0])
    scores = torch.rand(5, 4)
    loss = nn.functional.cross_entropy(scores, y)
    p, q = (torch.softmax(s / 2, 1) for s in (teacher(x), scores))
    expected = 0.25 * loss + 0.75 * 4 * (p * (p / q).log()).sum(1).mean()
    assert Distillation(teacher, 0.75, 2.0).mix(x, scores, loss).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_state_goes_on_in_another_trainer(data):
    config = TrainConfig(epochs=3, warmup=1)
    whole = Trainer(small_model(), data.train, data.test, config)
    states = []
    whole.run(after_epoch=lambda: states.append(copy.deepcopy(whole.state_dict())))
    other = Trainer(small_model(), data.train, data.test, config)
    other.load_state_dict(states[0])
    assert other.run() == whole.history
    assert all(torch.equal(v, other.model.state_dict()[k]) for k, v in whole.model.state_dict().items())


def test_progress_hears_of_every_batch(data):
    heard = []
    fit(small_model(), data.train, data.test, TrainConfig(epochs=2, batch=500), lambda *said: heard.append(said))
    assert heard == [("training", i, 6) for i in range(6)]
