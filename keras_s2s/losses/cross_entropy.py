"""Cross entropy of the next token, with label smoothing."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers.product import Product, chunks, product_of

Tensor = Any

# So many rows of logits stay in a processor's cache until all that is wanted of them is known.
_ROWS = 256
_LEAST = 1e-37


@keras.saving.register_keras_serializable("keras_s2s")
class CrossEntropy(keras.losses.Loss):
    """-(1 - e) log p(label) - e/V sum_v log p(v), the mean over real tokens (Szegedy et al. 2016, section 7).

    Labels are (B, T) ids, logits (B, T, V). Give weights (B, T) that are 0 at padding: the sum is divided by theirs.

    Of logits that know what they are the product of (`layers.product`), only those with a weight are computed, a few
    rows at a time, and value and gradient in one go.

    Args:
        smoothing: e, from 0 to below 1.
    """

    def __init__(self, smoothing: float = 0.0, name: str = "cross_entropy") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")
        self.smoothing = smoothing

    def __call__(self, labels: Tensor, logits: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Labels (B, T), logits (B, T, V) and weights (B, T) -> the mean."""
        product = product_of(logits)
        if product is None or sample_weight is None:
            return super().__call__(labels, logits, sample_weight)
        labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
        weights = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        # Keras divides means, and this one too, by the number of replicas, but not what is a scalar already.
        mean = _of_product(product, labels, weights, self.smoothing)
        return _Mean()(ops.zeros((1,)), ops.reshape(mean, (1,)))

    def call(self, labels: Tensor, logits: Tensor) -> Tensor:
        """(B, T), (B, T, V) -> (B, T)."""
        flat = ops.reshape(ops.cast(logits, "float32"), (-1, logits.shape[-1]))  # (B·T, V)
        loss = _smoothed_cross_entropy(self.smoothing)(flat, ops.reshape(ops.cast(labels, "int32"), (-1,)))
        return ops.reshape(loss, ops.shape(labels))

    def get_config(self) -> dict[str, Any]:
        """The smoothing and the name."""
        return {"smoothing": self.smoothing, "name": self.name}


class _Mean(keras.losses.Loss):
    """A loss that is computed already."""

    def call(self, nothing: Tensor, value: Tensor) -> Tensor:
        """The value."""
        return value


def _of_product(product: Product, labels: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """The weighted mean of the loss of rows x (..., D), labels (N,), weights (N,): a scalar."""
    places = ops.nonzero(weights)[0]
    rows = ops.reshape(product.x, (-1, product.x.shape[-1]))
    given = (ops.take(values, places, axis=0) for values in (rows, labels, weights))
    return _sum_of_rows(smoothing)(*given, product.matrix, product.bias) / ops.maximum(ops.sum(weights), _LEAST)


def _sum_of_rows(smoothing: float) -> Any:
    """The sum of w_n times the loss of row n, and its gradient, from one softmax of each row.

    The gradient by the logits is softmax - target. The target's part, one label and a constant, is small products of
    its own, so that nothing but the softmax is ever as large as the logits.
    """

    @ops.custom_gradient
    def total(x: Tensor, labels: Tensor, weights: Tensor, matrix: Tensor, bias: Tensor) -> tuple[Tensor, Any]:
        vocabulary, width = matrix.shape

        rows = tuple(chunks(values, _ROWS) for values in (x, labels, weights))
        number = ops.shape(rows[0])[0]

        def add_chunk(i: Tensor, value: Tensor, by_matrix: Tensor, by_bias: Tensor, by_x: Tensor) -> tuple[Tensor, ...]:
            x, labels, weights = (values[i] for values in rows)  # (C, D), (C,), (C,)
            logits = ops.cast(ops.matmul(x, ops.transpose(matrix)), "float32") + bias  # (C, V)
            softmax = ops.softmax(logits)
            value = value + ops.sum(weights * _smoothed(logits, softmax, labels, smoothing))
            softmax = ops.cast(softmax, x.dtype)
            weights = ops.cast(weights, x.dtype)[:, None]
            by_matrix = by_matrix + ops.cast(ops.matmul(ops.transpose(softmax), x * weights), "float32")
            by_bias = by_bias + ops.cast(ops.matmul(ops.transpose(softmax), weights)[:, 0], "float32")
            of_x = ops.cast(ops.matmul(softmax, matrix) * weights, "float32")
            return i + 1, value, by_matrix, by_bias, ops.slice_update(by_x, (i * _ROWS, 0), of_x)

        nothing = [ops.zeros(shape) for shape in ((), (vocabulary, width), (vocabulary,), (number * _ROWS, width))]
        of_all = ops.while_loop(lambda i, *_: i < number, add_chunk, [ops.zeros((), "int32"), *nothing])
        _, value, by_matrix, by_bias, by_x = of_all
        by_x = by_x[: ops.shape(x)[0]]

        def gradient(upstream: Tensor) -> tuple[Tensor | None, ...]:
            weighted = ops.cast(x, "float32") * weights[:, None]
            of_label, of_any = 1 - smoothing, smoothing / vocabulary
            full = ops.cast(matrix, "float32")
            target = of_label * ops.take(full, labels, axis=0) + of_any * ops.sum(full, axis=0)
            away = by_matrix - of_any * ops.sum(weighted, axis=0)
            away = ops.scatter_update(away, labels[:, None], -of_label * weighted, reduction="add")
            bias_away = by_bias - of_any * ops.sum(weights)
            bias_away = ops.scatter_update(bias_away, labels[:, None], -of_label * weights, reduction="add")
            return (
                ops.cast(upstream * (by_x - weights[:, None] * target), x.dtype),
                None,
                None,
                ops.cast(upstream * away, matrix.dtype),
                ops.cast(upstream * bias_away, bias.dtype),
            )

        return value, gradient

    return total


def _smoothed(logits: Tensor, softmax: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The loss of each row: logits and their softmax (N, V), labels (N,) -> (N,)."""
    # The largest logit and its probability give the normaliser without another exponential.
    normaliser = ops.max(logits, axis=1) - ops.log(ops.max(softmax, axis=1))
    loss = normaliser - (1 - smoothing) * ops.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return loss - smoothing * ops.mean(logits, axis=1) if smoothing else loss


def _smoothed_cross_entropy(smoothing: float) -> Any:
    """The loss with its gradient written out, softmax - target, without a one-hot of the labels.

    Automatic differentiation passes over (B, T, V) several times more.
    """

    @ops.custom_gradient
    def loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Any]:
        softmax = ops.softmax(logits)  # (N, V)

        def gradient(upstream: Tensor) -> tuple[Tensor, None]:
            everywhere = (softmax - smoothing / logits.shape[1]) * upstream[:, None]
            places = ops.stack([ops.arange(ops.shape(labels)[0]), labels], axis=1)
            return ops.scatter_update(everywhere, places, (smoothing - 1) * upstream, reduction="add"), None

        return _smoothed(logits, softmax, labels, smoothing), gradient

    return loss
