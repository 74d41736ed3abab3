"""Optimisers by name: Keras's own, with a schedule, clipping, accumulation and a moving average."""

import contextlib
import difflib
import inspect
import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import keras
from keras import ops
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from keras_s2s.config import Config
from keras_s2s.errors import UserError
from keras_s2s.training.schedules import CosineConfig, ScheduleConfig, make_schedule

Option = bool | int | float | str

# What stands elsewhere in the config, or makes no sense beside it.
_ELSEWHERE = {
    "learning_rate": "schedule.learning_rate",
    "global_clipnorm": "clip_norm",
    "clipnorm": "clip_norm",
    "clipvalue": "clip_norm",
    "use_ema": "average",
    "ema_momentum": "average",
    "ema_overwrite_frequency": "average",
    "gradient_accumulation_steps": "accumulation",
}
_NO_OPTIONS = ("self", "name", "kwargs", "loss_scale_factor", "exclude_layers")
# Layers with a row or column a token. Muon is not for them (Jordan et al. 2024); embeddings it knows by itself.
_OF_TOKENS = ["logits", "classes", "emission", "transition"]


class OptimizerConfig(Config):
    """An optimiser of Keras and what surrounds it.

    Args:
        kind: name of its class, such as adam, adamw, sgd, lion or adafactor. "muon" makes the steps of matrices
            orthogonal (Jordan et al. 2024; Liu et al. 2025), and is Adam for embeddings, output layers and vectors.
        options: arguments of its class, such as `beta_2: 0.98` or `weight_decay: 0.01`.
        schedule: of the learning rate.
        clip_norm: gradients of a larger norm, all weights together, are scaled down to it; null for never.
        accumulation: batches whose mean gradient makes one step; "auto" for as few as memory allows, which then share
            the ids of `training.tokens`.
        average: decay of a moving average of the weights by step, such as 0.999, which is then evaluated and saved in
            the place of the weights themselves; null for none.
    """

    kind: str = "adam"
    options: dict[str, Option] = Field(default_factory=dict)
    schedule: ScheduleConfig = Field(default_factory=CosineConfig)
    clip_norm: PositiveFloat | None = 1.0
    accumulation: PositiveInt | Literal["auto"] = 1
    average: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _is_of_keras(self) -> Self:
        known = _known_options(_class_of(self.kind))
        for name, value in self.options.items():
            _check_option(self.kind, name, value, known)
        return self

    @property
    def batches(self) -> int:
        """Batches of a step.

        Raises:
            UserError: that is not settled yet.
        """
        if self.accumulation == "auto":
            raise UserError(
                "optimizer: accumulation: auto: is for keras_s2s.training.train, which tries; give a number"
            )
        return self.accumulation


def make_optimizer(config: OptimizerConfig, steps: int) -> keras.optimizers.Optimizer:
    """Makes an optimiser.

    Args:
        config: which.
        steps: of all training. A step updates the weights once, so `accumulation` batches are one.

    Raises:
        UserError: Keras does not take the options, or the schedule does not suit the number of steps.
    """
    known = _known_options(_class_of(config.kind))
    options: dict[str, Any] = {name: _plain(value, known[name]) for name, value in config.options.items()}
    if config.kind == "muon":
        options["exclude_layers"] = _OF_TOKENS
    if config.batches > 1:
        options["gradient_accumulation_steps"] = config.batches
    if config.average is not None:
        # Keras averages after every batch, also where the weights stayed as they were.
        options |= {"use_ema": True, "ema_momentum": config.average ** (1 / config.batches)}
    schedule = make_schedule(config.schedule, steps, config.batches)
    try:
        return _class_of(config.kind)(learning_rate=schedule, global_clipnorm=config.clip_norm, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer: {config.kind}: options: {str(error).splitlines()[0]}") from None


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Inside the block the model has the moving average of its weights, afterwards its own ones again.

    Nothing happens to a model whose optimiser keeps no average, or before its first step.
    """
    optimizer = model.optimizer
    if (
        not getattr(optimizer, "use_ema", False)
        or not optimizer.built
        or not int(ops.convert_to_numpy(optimizer.iterations))
    ):
        yield
        return
    variables = model.trainable_variables
    own = [variable.numpy() for variable in variables]
    optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, own, strict=True):
            variable.assign(value)


def _classes() -> dict[str, type[keras.optimizers.Optimizer]]:
    """Keras's optimisers by their names in lower case."""
    found = {name.lower(): value for name, value in vars(keras.optimizers).items() if inspect.isclass(value)}
    base = keras.optimizers.Optimizer
    wrappers = ("optimizer", "lossscaleoptimizer", "multioptimizer")
    return {name: value for name, value in found.items() if issubclass(value, base) and name not in wrappers}


def _class_of(kind: str) -> type[keras.optimizers.Optimizer]:
    known = _classes()
    if kind not in known:
        near = difflib.get_close_matches(kind.lower(), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"Keras has {', '.join(sorted(known))}"
        raise ValueError(f"kind: '{kind}' is no optimiser of Keras; {hint}")
    return known[kind]


def _known_options(optimizer: type) -> dict[str, Any]:
    """Arguments and their defaults."""
    parameters = inspect.signature(optimizer.__init__).parameters  # type: ignore[misc]
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if name not in _NO_OPTIONS and name not in _ELSEWHERE
    }


def _check_option(kind: str, name: str, value: Option, known: dict[str, Any]) -> None:
    if name in _ELSEWHERE:
        raise ValueError(f"options.{name}: say it with the key '{_ELSEWHERE[name]}' of the optimizer")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(sorted(known))}"
        raise ValueError(f"options.{name}: {kind} has no such option; {hint}")
    default = known[name]
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"options.{name}: expected true or false, not {value!r}")
    elif not _is_number(value):
        raise ValueError(f"options.{name}: expected a number, not {value!r}")


def _is_number(value: Option) -> bool:
    """Whether a number is meant; YAML reads 1e-9, without a point, as text."""
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))
    except ValueError:
        return False


def _plain(value: Option, default: Any) -> Option:
    """A checked value as the default's type; where Keras has none by default, a number."""
    return value if isinstance(default, bool) else int(value) if isinstance(default, int) else float(value)
