"""R-Drop: two passes of a sentence through dropout should say the same."""

from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable("keras_s2s")
class RDrop(keras.losses.Loss):
    """Label-smoothed cross entropy and the divergence of two passes, the mean over real tokens (Liang et al. 2021).

    Every sentence stands in the batch twice, in rows 2i and 2i+1, so that dropout makes two distributions p and q of
    each token. A token of either row has its own smoothed cross entropy, see `CrossEntropy`, and half of the pair's
    alpha/2 (KL(p, q) + KL(q, p)), so that both rows together have the sum of the paper's equation 4.

    Labels are (2B, T) ids, logits (2B, T, V). Give weights (2B, T) that are 0 at padding.

    Args:
        smoothing: of the cross entropy, from 0 to below 1.
        alpha: what the divergence counts; 5 in the paper's translation, 1 and less elsewhere.
    """

    def __init__(self, smoothing: float = 0.0, alpha: float = 5.0, name: str = "r_drop") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")
        self.smoothing, self.alpha = smoothing, alpha

    def call(self, labels: Tensor, logits: Tensor) -> Tensor:
        """(2B, T), (2B, T, V) -> (2B, T)."""
        sentences, length = tuple(ops.shape(labels))
        vocabulary = logits.shape[-1]
        pairs = ops.reshape(ops.cast(logits, "float32"), (-1, 2, length, vocabulary))
        one, other = (ops.reshape(pairs[:, i], (-1, vocabulary)) for i in range(2))  # (N, V) each, N = B·T
        of_pairs = ops.reshape(ops.cast(labels, "int32"), (-1, 2, length))
        one_labels, other_labels = (ops.reshape(of_pairs[:, i], (-1,)) for i in range(2))
        losses = _loss_of_pairs(self.smoothing, self.alpha)(one, other, one_labels, other_labels)
        losses = ops.transpose(ops.reshape(losses, (2, -1, length)), (1, 0, 2))  # (B, 2, T)
        return ops.reshape(losses, (sentences, length))

    def get_config(self) -> dict[str, Any]:
        """The smoothing, alpha and the name."""
        return {"smoothing": self.smoothing, "alpha": self.alpha, "name": self.name}


def _loss_of_pairs(smoothing: float, alpha: float) -> Any:
    """The losses (2, N) of both passes, logits x and y (N, V), with their gradients written out.

    With p = softmax(x), q = softmax(y), d = x - y and m = sum_v p d, the divergence KL(p, q) + KL(q, p) is
    sum_v (p - q) d, whatever constants are added to x or y, and its gradient by x is p (d - m) + p - q. Automatic
    differentiation of two log-softmaxes passes over (N, V) about three times as often.
    """

    @ops.custom_gradient
    def losses(x: Tensor, y: Tensor, x_labels: Tensor, y_labels: Tensor) -> tuple[Tensor, Any]:
        p, q, difference = ops.softmax(x), ops.softmax(y), x - y
        p_mean, q_mean = _inner(p, difference), _inner(q, difference)
        shared = alpha / 4 * (p_mean - q_mean)
        parts = [_cross_entropy(x, p, x_labels, smoothing), _cross_entropy(y, q, y_labels, smoothing)]

        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor, None, None]:
            both = alpha / 4 * (upstream[0] + upstream[1])
            pull = both[:, None] * difference
            by_x = p * (pull + (both * (1 - p_mean) + upstream[0])[:, None]) - both[:, None] * q
            by_y = q * ((both * (1 + q_mean) + upstream[1])[:, None] - pull) - both[:, None] * p
            return (
                _away_from_target(by_x, x_labels, upstream[0], smoothing),
                _away_from_target(by_y, y_labels, upstream[1], smoothing),
                None,
                None,
            )

        return ops.stack(parts) + shared, gradient

    return losses


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """(N, V), (N, V) -> (N,)."""
    return ops.einsum("nv,nv->n", a, b)


def _cross_entropy(logits: Tensor, probabilities: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The smoothed cross entropy of each row, (N,)."""
    # The largest logit and its probability give the normaliser without another exponential.
    normaliser = ops.max(logits, axis=1) - ops.log(ops.max(probabilities, axis=1))
    value = normaliser - (1 - smoothing) * ops.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return value - smoothing * ops.mean(logits, axis=1) if smoothing else value


def _away_from_target(gradient: Tensor, labels: Tensor, upstream: Tensor, smoothing: float) -> Tensor:
    """The gradient (N, V) less the smoothed target distribution times the upstream."""
    if smoothing:
        gradient = gradient - (smoothing / gradient.shape[1] * upstream)[:, None]
    places = ops.stack([ops.arange(ops.shape(labels)[0]), labels], axis=1)
    return ops.scatter_update(gradient, places, (smoothing - 1) * upstream, reduction="add")
