"""Log-probabilities from logits and their softmax, without another exponential."""

from keras import ops

from keras_s2s.typing import Tensor

_INACCURATE = 1e-30


def normaliser(logits: Tensor, softmax: Tensor) -> Tensor:
    """The logarithm of the sum of exponentials, by the largest logit and its probability: (..., V) each -> (...)."""
    return ops.max(logits, axis=-1) - ops.log(ops.max(softmax, axis=-1))


def at(logits: Tensor, labels: Tensor) -> Tensor:
    """The logits of labels: (N, V), (N,) -> (N,)."""
    return ops.take_along_axis(logits, labels[:, None], axis=1)[:, 0]


def log_probability(logits: Tensor, softmax: Tensor, labels: Tensor) -> Tensor:
    """The logarithms of the labels' probabilities: (N, V) each, (N,) -> (N,).

    Where none of them is so small that it is inaccurate, which is almost always, no row is read as a whole.
    """
    probability = at(softmax, labels)
    return ops.cond(
        ops.all(probability > _INACCURATE),
        lambda: ops.log(probability),
        lambda: at(logits, labels) - normaliser(logits, softmax),
    )


def smoothed_cross_entropy(logits: Tensor, softmax: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The loss of each row, see `CrossEntropy`: logits and their softmax (N, V), labels (N,) -> (N,)."""
    loss = -log_probability(logits, softmax, labels)
    return loss + smoothing * (at(logits, labels) - ops.mean(logits, axis=1)) if smoothing else loss


def away_from_target(gradient: Tensor, labels: Tensor, upstream: Tensor, smoothing: float) -> Tensor:
    """The gradient (N, V) less the smoothed distribution of the labels (N,), times the upstream (N, 1)."""
    if smoothing:
        gradient = gradient - smoothing / gradient.shape[1] * upstream
    places = ops.stack([ops.arange(ops.shape(labels)[0]), labels], axis=1)
    return ops.scatter_update(gradient, places, (smoothing - 1) * upstream[:, 0], reduction="add")
