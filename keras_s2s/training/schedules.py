"""How the learning rate changes over training."""

import math
from typing import Annotated, Any, Literal

import keras
from keras import ops
from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from keras_s2s.config import Config
from keras_s2s.errors import UserError
from keras_s2s.typing import Tensor


def _steps_or_share(warm_up: float) -> float:
    if warm_up >= 1 and warm_up != int(warm_up):
        raise ValueError("expected a whole number of steps, or a share of all steps below 1")
    return warm_up


WarmUp = Annotated[NonNegativeFloat, AfterValidator(_steps_or_share)]
Share = Annotated[NonNegativeFloat, Field(le=1)]


class ConstantConfig(Config):
    """A rate that stays.

    Args:
        learning_rate: the highest one.
        warm_up: steps in which the rate rises to it linearly; below 1 their share of all steps.
    """

    kind: Literal["constant"] = "constant"
    learning_rate: PositiveFloat = 1e-3
    warm_up: WarmUp = 0.0


class InverseSqrtConfig(Config):
    """A rate that falls with the root of the step: learning_rate · sqrt(warm_up / n) in step n, counted from 1.

    Args:
        learning_rate: the highest one.
        warm_up: steps in which the rate rises to it linearly; below 1 their share of all steps.
    """

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    learning_rate: PositiveFloat = 1e-3
    warm_up: Annotated[WarmUp, Field(gt=0)] = 4000


class NoamConfig(Config):
    """scale · width^-0.5 · min(n^-0.5, n · warm_up^-1.5) in step n, counted from 1 (Vaswani et al. 2017, equation 3).

    Args:
        width: the model's.
        scale: factor of the rate, 1 in the paper.
        warm_up: steps in which the rate rises; below 1 their share of all steps.
    """

    kind: Literal["noam"] = "noam"
    width: PositiveInt
    scale: PositiveFloat = 1.0
    warm_up: Annotated[WarmUp, Field(gt=0)] = 4000


class FallingConfig(Config):
    """A rate that comes to an end.

    Args:
        learning_rate: the highest one.
        warm_up: steps in which the rate rises to it linearly; below 1 their share of all steps.
        end: share of it that is left after the last step.
    """

    learning_rate: PositiveFloat = 1e-3
    warm_up: WarmUp = 0.05
    end: Share = 0.0


class CosineConfig(FallingConfig):
    """A rate that falls by half a cosine (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"] = "cosine"


class LinearConfig(FallingConfig):
    """A rate that falls linearly."""

    kind: Literal["linear"] = "linear"


ScheduleConfig = Annotated[
    ConstantConfig | InverseSqrtConfig | NoamConfig | CosineConfig | LinearConfig, Field(discriminator="kind")
]


def is_open_ended(config: Any) -> bool:
    """Whether the rate of a step is the same however many steps follow, of what a `ScheduleConfig` describes."""
    return not isinstance(config, FallingConfig) and (config.warm_up == 0 or config.warm_up >= 1)


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up to a peak, and what subclasses make of the steps after it.

    Steps are counted from 0, and in the last step of the warm-up the rate is the peak.

    Args:
        peak: the highest rate.
        warm_up: number of steps.
        accumulation: calls of a step. An optimiser that accumulates gradients asks by batches, not by steps.
    """

    def __init__(self, peak: float, warm_up: int = 0, accumulation: int = 1) -> None:
        super().__init__()
        self.peak, self.warm_up, self.accumulation = peak, warm_up, accumulation

    def __call__(self, step: Tensor) -> Tensor:
        """The rate of a step."""
        step = ops.cast(ops.cast(step, "int64") // self.accumulation, "float32")
        share = self.after(step)
        if self.warm_up:
            share = ops.where(step < self.warm_up, (step + 1) / self.warm_up, share)
        return self.peak * share

    def after(self, step: Tensor) -> Tensor:
        """The share of the peak in a step behind the warm-up."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"peak": self.peak, "warm_up": self.warm_up, "accumulation": self.accumulation}


@keras.saving.register_keras_serializable("keras_s2s")
class Constant(Schedule):
    """See `ConstantConfig`."""

    def after(self, step: Tensor) -> Tensor:
        """1."""
        return ops.ones_like(step)


@keras.saving.register_keras_serializable("keras_s2s")
class InverseSqrt(Schedule):
    """See `InverseSqrtConfig`."""

    def after(self, step: Tensor) -> Tensor:
        """sqrt(warm_up / n), n counted from 1."""
        return ops.sqrt(self.warm_up / (step + 1))


class Falling(Schedule):
    """A schedule that comes to an end.

    Args:
        peak: the highest rate.
        steps: of all training.
        warm_up: number of steps.
        end: share of the peak after the last step.
        accumulation: see `Schedule`.
    """

    def __init__(self, peak: float, steps: int, warm_up: int = 0, end: float = 0.0, accumulation: int = 1) -> None:
        super().__init__(peak, warm_up, accumulation)
        self.steps, self.end = steps, end

    def after(self, step: Tensor) -> Tensor:
        """From 1 to `end`."""
        way = ops.clip((step - self.warm_up) / (self.steps - self.warm_up), 0.0, 1.0)
        return self.end + (1 - self.end) * self.left(way)

    def left(self, way: Tensor) -> Tensor:
        """The share that is left, from 1 at the way 0 to 0 at the way 1."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "steps": self.steps, "end": self.end}


@keras.saving.register_keras_serializable("keras_s2s")
class Cosine(Falling):
    """See `CosineConfig`."""

    def left(self, way: Tensor) -> Tensor:
        """Half a cosine."""
        return (1 + ops.cos(math.pi * way)) / 2


@keras.saving.register_keras_serializable("keras_s2s")
class Linear(Falling):
    """See `LinearConfig`."""

    def left(self, way: Tensor) -> Tensor:
        """A line."""
        return 1 - way


def make_schedule(config: Any, steps: int, accumulation: int = 1) -> Schedule:
    """Makes the schedule that a `ScheduleConfig` describes.

    Args:
        config: which.
        steps: of all training; a step updates the weights once.
        accumulation: batches of a step.

    Raises:
        UserError: the warm-up is longer than a training whose end the schedule must know.
    """
    warm_up = round(config.warm_up * steps) if config.warm_up < 1 else int(config.warm_up)
    if isinstance(config, FallingConfig):
        if warm_up >= steps:
            raise UserError(
                f"schedule: warm_up is {warm_up} steps, but training has {steps} in all; lower warm_up or train longer"
            )
        falling = Cosine if isinstance(config, CosineConfig) else Linear
        return falling(config.learning_rate, steps, warm_up, config.end, accumulation)
    if isinstance(config, ConstantConfig):
        return Constant(config.learning_rate, warm_up, accumulation)
    warm_up = max(warm_up, 1)
    if isinstance(config, NoamConfig):
        return InverseSqrt(config.scale * (config.width * warm_up) ** -0.5, warm_up, accumulation)
    return InverseSqrt(config.learning_rate, warm_up, accumulation)
