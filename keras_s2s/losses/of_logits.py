"""What losses take from logits and their softmax, without another exponential."""

from typing import Any

from keras import ops

Tensor = Any


def normaliser(logits: Tensor, softmax: Tensor) -> Tensor:
    """The logarithm of the sum of exponentials, by the largest logit and its probability: (..., V) each -> (...)."""
    return ops.max(logits, axis=-1) - ops.log(ops.max(softmax, axis=-1))


def at(logits: Tensor, labels: Tensor) -> Tensor:
    """The logits of labels: (N, V), (N,) -> (N,)."""
    return ops.take_along_axis(logits, labels[:, None], axis=1)[:, 0]


def smoothed_cross_entropy(logits: Tensor, softmax: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The loss of each row, see `CrossEntropy`: logits and their softmax (N, V), labels (N,) -> (N,)."""
    loss = normaliser(logits, softmax) - (1 - smoothing) * at(logits, labels)
    return loss - smoothing * ops.mean(logits, axis=1) if smoothing else loss
