"""Losses that a recipe may name."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar

import keras
from pydantic import BeforeValidator, PositiveFloat, SerializeAsAny

from keras_s2s.config import Config
from keras_s2s.labels import LabelSource
from keras_s2s.registry import ConfigRegistry


class LossConfig(Config, ABC):
    """A loss of one of a model's heads. A subclass's fields are the options that a recipe gives it.

    Args:
        kind: its name in a recipe.
        weight: what it counts beside the other losses of its head.

    Attributes:
        head: the output that it reads, "logits", "ctc", "crf" or "attention".
        passes: in how many neighbouring rows of a batch each pair stands, 1 or 2.
    """

    head: ClassVar[str] = "logits"
    passes: ClassVar[int] = 1
    kind: str
    weight: PositiveFloat = 1.0

    @abstractmethod
    def loss(self) -> keras.losses.Loss:
        """Makes the loss, of labels (B, T) and the head's output, with the reduction `mean_with_sample_weight`."""

    def labels(self) -> Mapping[str, LabelSource]:
        """The labels that it reads beside the head's, by name. If there are any, the loss is a `LabelledLoss`."""
        return {}


LOSSES: ConfigRegistry[LossConfig] = ConfigRegistry("loss", LossConfig)
"""All that a recipe may name in `training.losses`; `LOSSES.register` adds one."""

NamedLoss = Annotated[SerializeAsAny[LossConfig], BeforeValidator(LOSSES.parse)]
"""The type of a config's field that names one."""
