"""Cross entropy of the next token, with label smoothing."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable("keras_s2s")
class CrossEntropy(keras.losses.Loss):
    """-(1 - e) log p(label) - e/V sum_v log p(v), the mean over real tokens (Szegedy et al. 2016, section 7).

    Labels are (B, T) ids, logits (B, T, V). Give weights (B, T) that are 0 at padding: the sum is divided by theirs.

    Args:
        smoothing: e, from 0 to below 1.
    """

    def __init__(self, smoothing: float = 0.0, name: str = "cross_entropy") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")
        self.smoothing = smoothing

    def call(self, labels: Tensor, logits: Tensor) -> Tensor:
        """(B, T), (B, T, V) -> (B, T)."""
        flat = ops.reshape(ops.cast(logits, "float32"), (-1, logits.shape[-1]))  # (B·T, V)
        loss = _smoothed_cross_entropy(self.smoothing)(flat, ops.reshape(ops.cast(labels, "int32"), (-1,)))
        return ops.reshape(loss, ops.shape(labels))

    def get_config(self) -> dict[str, Any]:
        """The smoothing and the name."""
        return {"smoothing": self.smoothing, "name": self.name}


def _smoothed_cross_entropy(smoothing: float) -> Any:
    """The loss with its gradient written out, softmax - target, without a one-hot of the labels.

    Automatic differentiation passes over (B, T, V) several times more.
    """

    @ops.custom_gradient
    def loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Any]:
        log_probabilities = ops.log_softmax(logits)  # (N, V)
        of_label = ops.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0]
        value = -(1 - smoothing) * of_label
        if smoothing:
            value = value - smoothing * ops.mean(log_probabilities, axis=1)

        def gradient(upstream: Tensor) -> tuple[Tensor, None]:
            everywhere = (ops.exp(log_probabilities) - smoothing / logits.shape[1]) * upstream[:, None]
            at_label = (ops.exp(of_label) - smoothing / logits.shape[1] - (1 - smoothing)) * upstream
            places = ops.stack([ops.arange(ops.shape(labels)[0]), labels], axis=1)
            return ops.scatter_update(everywhere, places, at_label), None

        return value, gradient

    return loss
