import pytest

from keras_s2s import UserError
from keras_s2s.config import parse
from keras_s2s.training import TrainingConfig


def test_epochs_are_all_that_must_be_said() -> None:
    assert parse(TrainingConfig, {"epochs": 3}, "recipe.yaml") == TrainingConfig(epochs=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "recipe.yaml: epochs: this key is required"),
        ({"epochs": 0}, "recipe.yaml: epochs: Input should be greater than 0, got 0"),
        ({"epochs": 1.5}, "recipe.yaml: epochs: "),
        ({"epochs": 1, "tokens": -1}, "recipe.yaml: tokens: "),
        ({"epochs": 1, "learning_rate": 0}, "recipe.yaml: learning_rate: "),
        ({"epochs": 1, "warm_up": 1}, "recipe.yaml: warm_up: Input should be less than 1, got 1"),
        ({"epochs": 1, "warm_up": -0.1}, "recipe.yaml: warm_up: "),
        ({"epochs": 1, "beta_2": 1}, "recipe.yaml: beta_2: "),
        ({"epochs": 1, "clip_norm": 0}, "recipe.yaml: clip_norm: "),
        ({"epochs": 1, "label_smoothing": 1}, "recipe.yaml: label_smoothing: "),
        ({"epochs": 1, "label_smoothing": -0.1}, "recipe.yaml: label_smoothing: "),
        ({"epochs": 1, "evaluate_every": 0}, "recipe.yaml: evaluate_every: "),
        (
            {"epochs": 1, "lerning_rate": 0.1},
            "recipe.yaml: lerning_rate: unknown key; did you mean 'learning_rate'?",
        ),
    ],
)
def test_mistakes_are_one_line(changes: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(TrainingConfig, changes, "recipe.yaml")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
