"""Epochs in the place of minutes."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keras_s2s import UserError, text
from keras_s2s.data import Batches, Pairs, Task, encode
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig
from keras_s2s.training import Costs, OptimizerConfig, TrainingConfig, epochs_in, goes_on, measure, minutes
from keras_s2s.training.schedules import ConstantConfig, CosineConfig

WORDS = ["ab" * (1 + i % 6) for i in range(400)]
PAIRS = Pairs(WORDS, WORDS)
TOKENIZER = text.train(WORDS, 10, kind="char")
TASK = Task("copy", PAIRS, PAIRS.take(range(300)), None, TOKENIZER, TOKENIZER, ("exact_match",))
CONFIG = ModelConfig(
    source_vocabulary=6, target_vocabulary=6, width=8, encoder=LSTMEncoderConfig(), decoder=LSTMDecoderConfig()
)
TRAINING = TrainingConfig(minutes=2, tokens=300)
BATCHES = Batches(encode(PAIRS, TOKENIZER, TOKENIZER), tokens=300)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was measured; each measurement finds steps of half a second and intervals of one."""
    calls: list[Any] = []

    def measure(*given: Any) -> Costs:
        calls.append(given)
        return Costs(step=0.5, interval=1.0)

    monkeypatch.setattr(minutes, "measure", measure)
    return calls


@pytest.fixture
def settle(tmp_path: Path) -> Callable[..., TrainingConfig]:
    return lambda training, say=print: minutes.settle(CONFIG, TASK, training, tmp_path, BATCHES, say)


@pytest.mark.parametrize("costs", [Costs(0.5, 1.0), Costs(0.25, 0.0), Costs(2.0, 8.0)])
@pytest.mark.parametrize("every", [1, 3, 100])
def test_as_many_steps_as_fit(costs: Costs, every: int) -> None:
    def seconds(steps: int) -> float:
        return steps * costs.step + math.ceil(steps / every) * costs.interval

    for budget in (0.0, 0.5, 1.25, 1.5, 7.0, 30.0, 61.25):
        expected = max(steps for steps in range(300) if seconds(steps) <= budget)
        assert costs.steps_in(budget, every) == expected


def test_minutes_become_epochs_once(settle: Any, measured: list[Any], capsys: pytest.CaptureFixture) -> None:
    settled = settle(TRAINING)
    of_epoch = len(BATCHES)
    assert settled.minutes is None
    # An epoch's steps and its evaluation, as often as they fit into 120 s, and what is left.
    assert settled.epochs == pytest.approx(Costs(0.5, 1.0).steps_in(120, of_epoch) / of_epoch, rel=1e-3)
    assert capsys.readouterr().out == (
        f"minutes: 2 are {settled.epochs:g} epochs; measured: 500 ms a step, 1.0 s an evaluation and its checkpoint\n"
    )
    assert settle(TRAINING) == settled
    assert len(measured) == 1
    assert capsys.readouterr().out == ""


def test_the_epochs_can_be_written_in_the_place_of_the_minutes(settle: Any, measured: list[Any]) -> None:
    settled = settle(TRAINING)
    assert TRAINING.replace(minutes=None, epochs=float(f"{settled.epochs:g}")) == settled


def test_other_minutes_count_the_same_measurement(settle: Any, measured: list[Any]) -> None:
    epochs = [settle(TRAINING.replace(minutes=many)).epochs for many in (2, 4, 2)]
    assert epochs[0] == epochs[2] == pytest.approx(epochs[1] / 2, rel=0.01)
    assert len(measured) == 1


def test_epochs_stay(settle: Any, measured: list[Any]) -> None:
    training = TrainingConfig(epochs=3)
    assert settle(training) is training
    assert not measured


def test_batches_of_a_step_count() -> None:
    costs = Costs(1.0, 0.0)
    two = TRAINING.replace(optimizer=OptimizerConfig(accumulation=2))
    assert epochs_in(TRAINING, costs, 60) == 2
    assert epochs_in(two, costs, 60) == 4


def test_no_time_for_a_step(settle: Any, measured: list[Any]) -> None:
    with pytest.raises(UserError, match=r"minutes: 0\.02: one step and its evaluation take 0\.025 minutes; give more"):
        settle(TRAINING.replace(minutes=0.02))


@pytest.mark.parametrize("devices", ["mirrored", "workers"])
def test_several_devices_need_epochs(settle: Any, measured: list[Any], devices: str) -> None:
    with pytest.raises(UserError, match=f"minutes: is for one device, not for {devices}; give epochs"):
        settle(TRAINING.replace(devices=devices))
    assert not measured


@pytest.mark.parametrize(
    ("before", "now", "schedule", "expected"),
    [
        ({"minutes": 2}, {"minutes": 4}, ConstantConfig(), True),
        ({"minutes": 4}, {"minutes": 2}, ConstantConfig(), False),
        ({"minutes": 2}, {"minutes": 4}, CosineConfig(), False),
        ({"minutes": 2}, {"epochs": 10_000}, ConstantConfig(), True),
        ({"epochs": 1}, {"minutes": 4}, ConstantConfig(), True),
    ],
)
def test_more_minutes_go_on_where_more_epochs_do(
    settle: Any, measured: list[Any], tmp_path: Path, before: dict, now: dict, schedule: Any, expected: bool
) -> None:
    optimizer = OptimizerConfig(schedule=schedule)
    one, other = (TrainingConfig(tokens=300, evaluate_every=1, optimizer=optimizer, **each) for each in (before, now))
    settle(TRAINING.replace(evaluate_every=1))
    assert goes_on(CONFIG, TASK, one, other, tmp_path) == expected


def test_what_was_never_measured_does_not_go_on(tmp_path: Path) -> None:
    optimizer = OptimizerConfig(schedule=ConstantConfig())
    training = TrainingConfig(tokens=300, epochs=1, optimizer=optimizer)
    assert not goes_on(CONFIG, TASK, training, training.replace(epochs=None, minutes=9), tmp_path)


@pytest.mark.slow
def test_a_wider_model_takes_longer() -> None:
    """Real processes: with 64 times the width a step is many times the work."""
    small, large = (
        measure(config, TASK, TRAINING, BATCHES) for config in (CONFIG, CONFIG.replace(width=512, dropout=0.1))
    )
    assert 0 < small.step < large.step
    assert 0 < small.interval < large.interval
