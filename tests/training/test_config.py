import pytest

from keras_s2s import UserError
from keras_s2s.config import parse
from keras_s2s.training import TrainingConfig


def test_epochs_are_all_that_must_be_said() -> None:
    assert parse(TrainingConfig, {"epochs": 3}, "recipe.yaml") == TrainingConfig(epochs=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "recipe.yaml: TrainingConfig: needs 'epochs' or 'minutes'"),
        ({"epochs": 1, "minutes": 1}, "recipe.yaml: TrainingConfig: has 'epochs' and 'minutes'; leave out one of them"),
        ({"minutes": 0}, "recipe.yaml: minutes: Input should be greater than 0, got 0"),
        ({"epochs": 0}, "recipe.yaml: epochs: Input should be greater than 0, got 0"),
        ({"epochs": 1, "tokens": -1}, "recipe.yaml: tokens: "),
        (
            {"epochs": 1, "optimizer": {"schedule": {"kind": "cosine", "warm_up": 1.5}}},
            "recipe.yaml: optimizer.schedule.",
        ),
        ({"epochs": 1, "optimizer": {"kind": "adan"}}, "recipe.yaml: optimizer: "),
        ({"epochs": 1, "optimizer": {"clip_norm": 0}}, "recipe.yaml: optimizer.clip_norm: "),
        (
            {"epochs": 1, "average": "best"},
            "recipe.yaml: TrainingConfig: average: best: needs at least two",
        ),
        ({"epochs": 1, "devices": "two"}, "recipe.yaml: devices: "),
        ({"epochs": 1, "subword_sampling": 1}, "recipe.yaml: subword_sampling: "),
        ({"epochs": 1, "label_smoothing": 1}, "recipe.yaml: label_smoothing: "),
        ({"epochs": 1, "label_smoothing": -0.1}, "recipe.yaml: label_smoothing: "),
        ({"epochs": 1, "evaluate_every": 0}, "recipe.yaml: evaluate_every: "),
        (
            {"epochs": 1, "label_smoothin": 0.1},
            "recipe.yaml: label_smoothin: unknown key; did you mean 'label_smoothing'?",
        ),
    ],
)
def test_mistakes_are_one_line(changes: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(TrainingConfig, changes, "recipe.yaml")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
