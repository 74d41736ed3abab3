"""Losses that read more labels than the ids of the targets."""

from abc import abstractmethod
from typing import Any

import keras

from keras_s2s.labels import Labels
from keras_s2s.typing import Tensor


class LabelledLoss(keras.losses.Loss):
    """Base of losses that read labels beside the ids, such as a teacher's probabilities.

    The mean over real tokens of what `call` computes. Give weights (B, T) that are 0 at padding.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")

    def __call__(self, labels: Labels, outputs: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Labels, the head's outputs and weights (B, T) -> the mean."""
        losses = self.call(labels, outputs)
        return _Mean(name=self.name, reduction=self.reduction)(losses, losses, sample_weight)

    @abstractmethod
    def call(self, labels: Labels, outputs: Tensor) -> Tensor:
        """Labels and the head's outputs -> (B, T)."""

    def get_config(self) -> dict[str, Any]:
        """The name."""
        return {"name": self.name}


class _Mean(keras.losses.Loss):
    """The mean of losses that are computed already; Keras divides it by the number of replicas, as any other."""

    def call(self, _: Tensor, losses: Tensor) -> Tensor:
        """(B, T) -> (B, T)."""
        return losses
