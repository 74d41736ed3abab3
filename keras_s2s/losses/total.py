"""Several losses of one output."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_s2s.labels import Labels
from keras_s2s.losses.labelled import LabelledLoss
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class Total(keras.losses.Loss):
    """A weighted sum of losses that all have the same labels and the same output.

    `Total([(CrossEntropy(0.1), 1.0), (BagOfTokens(), 0.3)])`: `compile` takes but one loss an output. Of `Labels` each
    part is given what it reads: all of them if it is a `LabelledLoss`, else the ids.

    Args:
        parts: losses and their weights.
    """

    def __init__(self, parts: Sequence[tuple[keras.losses.Loss, float]], name: str = "total") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")
        self.parts = [(keras.losses.get(loss), float(weight)) for loss, weight in parts]

    def __call__(self, labels: Tensor, outputs: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Labels (B, T), what the parts read, and weights (B, T) -> the weighted sum of the parts' means."""
        return sum(weight * loss(_read_by(loss, labels), outputs, sample_weight) for loss, weight in self.parts)

    def call(self, labels: Tensor, outputs: Tensor) -> Tensor:
        """(B, T) and what the parts read -> (B, T)."""
        return sum(weight * loss.call(_read_by(loss, labels), outputs) for loss, weight in self.parts)

    def get_config(self) -> dict[str, Any]:
        """The parts and the name."""
        return {"parts": [[keras.losses.serialize(loss), weight] for loss, weight in self.parts], "name": self.name}


def _read_by(loss: keras.losses.Loss, labels: Any) -> Any:
    return labels.ids if isinstance(labels, Labels) and not isinstance(loss, LabelledLoss) else labels
