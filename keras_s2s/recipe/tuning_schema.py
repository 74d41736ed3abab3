"""The keys of a recipe's `tuning`."""

from typing import Self

from pydantic import NonNegativeInt, PositiveInt, field_validator, model_validator

from keras_s2s.config import Config

Value = bool | int | float | str | None


class Parameter(Config):
    """The values that a key may take: a range, of whole numbers if its ends are, or choices.

    Args:
        low: the least value.
        high: the greatest value.
        log: whether values are drawn by their logarithm.
        step: between values, from `low` on.
        choices: the values.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: tuple[Value, ...] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.choices is not None:
            if self.model_fields_set != {"choices"}:
                raise ValueError("expected either 'choices', or 'low' and 'high'")
            if not self.choices:
                raise ValueError("choices: expected at least one value")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected either 'choices', or 'low' and 'high'")
        if self.low > self.high:
            raise ValueError(f"low, {self.low}, is above high, {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a 'low' above 0, and no 'step'")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step: expected more than 0, got {self.step}")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether the values of a range are whole numbers."""
        return all(isinstance(value, int) for value in (self.low, self.high, 1 if self.step is None else self.step))


class TuningConfig(Config):
    """The search for better values of a recipe's keys, by the first of its metrics on the dev data.

    Args:
        space: the values of each key; a key of a part has dots, such as `training.optimizer.schedule.learning_rate`.
        trials: how many are made.
        seed: of the values that are drawn.
    """

    space: dict[str, Parameter]
    trials: PositiveInt = 20
    seed: NonNegativeInt = 1

    @field_validator("space")
    @classmethod
    def _has_keys(cls, space: dict[str, Parameter]) -> dict[str, Parameter]:
        if not space:
            raise ValueError("expected at least one key of the recipe, such as model.dropout")
        return space
