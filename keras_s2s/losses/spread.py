"""The loss of a sentence as losses of its labels."""

from keras import ops

from keras_s2s.typing import Tensor


def spread(loss: Tensor, labels: Tensor) -> Tensor:
    """Divides a sentence's loss (B,) evenly among its labels (B, T) that are not 0; padding has none: (B, T)."""
    real = ops.cast(labels != 0, loss.dtype)
    return loss[:, None] * real / ops.maximum(ops.sum(real, axis=1, keepdims=True), 1.0)
