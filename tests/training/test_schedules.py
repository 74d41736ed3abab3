"""Schedules against their closed forms."""

from typing import Any

import keras
import numpy as np
import pytest
from pydantic import TypeAdapter

from keras_s2s import UserError
from keras_s2s.config import Config, parse
from keras_s2s.training.schedules import (
    ConstantConfig,
    CosineConfig,
    InverseSqrtConfig,
    LinearConfig,
    NoamConfig,
    ScheduleConfig,
    make_schedule,
)

STEPS = 1000
AT = (0, 1, 9, 98, 99, 100, 101, 500, 998, 999)


def noam(step: int) -> float:
    return 2.0 * 64**-0.5 * min((step + 1) ** -0.5, (step + 1) * 100**-1.5)


def warm(step: int) -> float | None:
    return 0.01 * (step + 1) / 100 if step < 100 else None


def inverse_sqrt(step: int) -> float:
    return warm(step) or 0.01 * (100 / (step + 1)) ** 0.5


def cosine(step: int) -> float:
    way = (step - 100) / 900
    return warm(step) or 0.01 * (0.1 + 0.9 * (1 + np.cos(np.pi * way)) / 2)


def linear(step: int) -> float:
    return warm(step) or 0.01 * (0.1 + 0.9 * (1 - (step - 100) / 900))


def constant(step: int) -> float:
    return warm(step) or 0.01


CASES: list[Any] = [
    (NoamConfig(width=64, scale=2.0, warm_up=100), noam),
    (InverseSqrtConfig(learning_rate=0.01, warm_up=100), inverse_sqrt),
    (CosineConfig(learning_rate=0.01, warm_up=100, end=0.1), cosine),
    (LinearConfig(learning_rate=0.01, warm_up=0.1, end=0.1), linear),
    (ConstantConfig(learning_rate=0.01, warm_up=0.1), constant),
]


@pytest.mark.parametrize(("config", "expected"), CASES, ids=lambda value: getattr(value, "kind", ""))
def test_rates_are_those_of_the_closed_form(config: Any, expected: Any) -> None:
    schedule = make_schedule(config, STEPS)
    np.testing.assert_allclose([float(schedule(step)) for step in AT], [expected(step) for step in AT], rtol=1e-5)


@pytest.mark.parametrize(("config", "expected"), CASES, ids=lambda value: getattr(value, "kind", ""))
def test_schedules_survive_being_saved(config: Any, expected: Any) -> None:
    optimizer = keras.optimizers.Adam(make_schedule(config, STEPS))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    again.iterations.assign(500)
    assert float(again.learning_rate) == pytest.approx(expected(500), rel=1e-5)


@pytest.mark.parametrize("config", [CosineConfig(warm_up=0), LinearConfig(warm_up=0), ConstantConfig()])
def test_without_warm_up_the_first_step_has_the_peak(config: Any) -> None:
    assert float(make_schedule(config, STEPS)(0)) == pytest.approx(1e-3)


def test_after_the_end_the_rate_stays() -> None:
    assert float(make_schedule(LinearConfig(end=0.25), 10)(99)) == pytest.approx(1e-3 * 0.25)
    assert float(make_schedule(CosineConfig(), 10)(99)) == pytest.approx(0, abs=1e-9)


def test_a_step_of_several_batches_has_one_rate() -> None:
    schedule = make_schedule(CASES[2][0], STEPS, accumulation=4)
    found = [float(schedule(batch)) for batch in (0, 3, 4, 2000, 2003)]
    np.testing.assert_allclose(found, [cosine(step) for step in (0, 0, 1, 500, 500)], rtol=1e-5)


class Recipe(Config):
    schedule: ScheduleConfig


def test_the_kind_chooses_the_config() -> None:
    assert TypeAdapter(ScheduleConfig).validate_python({"kind": "noam", "width": 8}) == NoamConfig(width=8)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"kind": "noam"}, "recipe: schedule.width: this key is required"),
        ({"kind": "linear", "width": 3}, "recipe: schedule.width: unknown key; known keys are "),
        ({"kind": "cosine", "warm_up": 1.5}, "recipe: schedule.warm_up: expected a whole number of steps, or a share "),
        ({"kind": "inverse_sqrt", "warm_up": 0}, "recipe: schedule.warm_up: Input should be greater than 0"),
    ],
)
def test_mistakes(schedule: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(Recipe, {"schedule": schedule}, "recipe")
    assert str(error.value).startswith(message)


def test_a_warm_up_without_end_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r"^schedule: warm_up is 50 steps, but training has 50 in all; "):
        make_schedule(CosineConfig(warm_up=50), 50)
