"""R-Drop: two passes of a sentence through dropout should say the same."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
from keras import ops
from pydantic import PositiveFloat

from keras_s2s.layers.product import product_of
from keras_s2s.losses.config import LOSSES, LossConfig
from keras_s2s.losses.cross_entropy import Smoothing
from keras_s2s.losses.of_logits import away_from_target, smoothed_cross_entropy
from keras_s2s.losses.of_product import Between, mean_loss
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class RDrop(keras.losses.Loss):
    """Label-smoothed cross entropy and the divergence of two passes, the mean over real tokens (Liang et al. 2021).

    Every sentence stands in the batch twice, in rows 2i and 2i+1, so that dropout makes two distributions p and q of
    each token. A token of either row has its own smoothed cross entropy, see `CrossEntropy`, and half of the pair's
    alpha/2 (KL(p, q) + KL(q, p)), so that both rows together have the sum of the paper's equation 4.

    Labels are (2B, T) ids, logits (2B, T, V). Give weights (2B, T) that are 0 at padding. Of logits that know what they
    are the product of (`layers.product`), only those with a weight are computed, as by `CrossEntropy`; the labels and
    weights of row 2i stand for those of row 2i+1 too.

    Args:
        smoothing: of the cross entropy, from 0 to below 1.
        alpha: what the divergence counts; 5 in the paper's translation, 1 and less elsewhere.
    """

    def __init__(self, smoothing: float = 0.0, alpha: float = 5.0, name: str = "r_drop") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")
        self.smoothing, self.alpha = smoothing, alpha

    def __call__(self, labels: Tensor, logits: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Labels (2B, T), logits (2B, T, V) and weights (2B, T) -> the mean."""
        product = product_of(logits)
        if product is None or sample_weight is None:
            return super().__call__(labels, logits, sample_weight)
        passes = ops.stack([product.x[::2], product.x[1::2]])  # (2, B, T, D)
        product, between = product._replace(x=passes), _divergence(self.alpha)
        return mean_loss(product, labels[::2], sample_weight[::2], self.smoothing, between)

    def call(self, labels: Tensor, logits: Tensor) -> Tensor:
        """(2B, T), (2B, T, V) -> (2B, T)."""
        shape = tuple(ops.shape(labels))
        pairs = (-1, 2, shape[1])
        of_pairs = ops.reshape(ops.cast(logits, "float32"), (*pairs, logits.shape[-1]))
        losses = _loss_of_pairs(self.smoothing, self.alpha)(of_pairs, ops.reshape(ops.cast(labels, "int32"), pairs))
        return ops.reshape(losses, shape)

    def get_config(self) -> dict[str, Any]:
        """The smoothing, alpha and the name."""
        return {"smoothing": self.smoothing, "alpha": self.alpha, "name": self.name}


@LOSSES.register
class RDropConfig(LossConfig):
    """`RDrop` in a recipe.

    Args:
        kind: its name.
        weight: what it counts.
        smoothing: of the cross entropy, from 0 to below 1.
        alpha: what the divergence counts.
    """

    passes: ClassVar[int] = 2
    kind: Literal["r_drop"] = "r_drop"
    smoothing: Smoothing = 0.0
    alpha: PositiveFloat = 5.0

    def loss(self) -> RDrop:
        """Makes the loss."""
        return RDrop(self.smoothing, self.alpha)


def _divergence(alpha: float) -> Between:
    """alpha/2 (KL(p, q) + KL(q, p)) of both passes together; for the equations see `_loss_of_pairs`."""
    half = alpha / 2

    def between(
        logits: Sequence[Tensor], softmaxes: Sequence[Tensor], known: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        (x, y), (p, q) = logits, softmaxes
        difference = x - y
        means = p_mean, q_mean = ops.sum(p * difference, axis=1), ops.sum(q * difference, axis=1)
        return half * (p_mean - q_mean), _by_logits(p, q, difference, means, half, 1.0, 1.0)

    return between


def _by_logits(
    p: Tensor, q: Tensor, difference: Tensor, means: tuple[Tensor, Tensor], both: Any, by_one: Any, by_other: Any
) -> tuple[Tensor, Tensor]:
    """The gradients (N, V) by x and by y, but for the targets' part; for the equations see `_loss_of_pairs`.

    Args:
        p: (N, V), as q and the difference.
        q: of the other pass.
        difference: x - y.
        means: of the difference, by p and by q, (N,) each.
        both: what the divergence counts: a number or (N, 1).
        by_one: what the cross entropy of p counts, likewise.
        by_other: that of q.
    """
    p_mean, q_mean = means
    pull = both * difference
    by_x = p * (pull + (both * (1 - p_mean[:, None]) + by_one)) - both * q
    by_y = q * ((both * (1 + q_mean[:, None]) + by_other) - pull) - both * p
    return by_x, by_y


def _loss_of_pairs(smoothing: float, alpha: float) -> Any:
    """The loss with its gradient written out: logits (B, 2, T, V), labels (B, 2, T) -> (B, 2, T).

    With logits x and y of a token, p = softmax(x), q = softmax(y), d = x - y and m = sum_v p d, the divergence
    KL(p, q) + KL(q, p) is sum_v (p - q) d, whatever constants are added to x or y, and its gradient by x is
    p (d - m) + p - q. Automatic differentiation passes over (B, T, V) twice as often.
    """

    @ops.custom_gradient
    def loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Any]:
        vocabulary = logits.shape[-1]
        x, y = (ops.reshape(logits[:, i], (-1, vocabulary)) for i in range(2))  # (N, V) each, N = B·T
        x_labels, y_labels = (ops.reshape(labels[:, i], (-1,)) for i in range(2))
        p, q, difference = ops.softmax(x), ops.softmax(y), x - y
        means = p_mean, q_mean = ops.sum(p * difference, axis=1), ops.sum(q * difference, axis=1)
        one, other = (smoothed_cross_entropy(*of_row, smoothing) for of_row in ((x, p, x_labels), (y, q, y_labels)))
        length = ops.shape(labels)[2]

        def paired(of_x: Tensor, of_y: Tensor) -> Tensor:  # (N, ...), (N, ...) -> (B, 2, T, ...)
            return ops.stack([ops.reshape(v, (-1, length, *v.shape[1:])) for v in (of_x, of_y)], axis=1)

        def gradient(upstream: Tensor) -> tuple[Tensor, None]:  # (B, 2, T)
            by_one, by_other = (ops.reshape(upstream[:, i], (-1, 1)) for i in range(2))
            both = alpha / 4 * (by_one + by_other)
            by_x, by_y = _by_logits(p, q, difference, means, both, by_one, by_other)
            return paired(
                away_from_target(by_x, x_labels, by_one, smoothing),
                away_from_target(by_y, y_labels, by_other, smoothing),
            ), None

        return paired(one, other) + alpha / 4 * paired(p_mean - q_mean, p_mean - q_mean), gradient

    return loss
