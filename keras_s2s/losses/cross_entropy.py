"""Cross entropy of the next token, with label smoothing."""

from typing import Any

import keras
from keras import ops

from keras_s2s.layers.product import Product, chunks, product_of
from keras_s2s.losses import of_logits

Tensor = Any

# At most so many rows of logits stay in a processor's cache until all that is wanted of them is known.
_ROWS = 512
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

    The offset is one more column of the matrix, for which each x has a one. All products in the loop are of matrices as
    they lie in memory: of transposed ones oneDNN makes up to a sixth less a second.
    """
    of_label = 1 - smoothing

    @ops.custom_gradient
    def total(x: Tensor, labels: Tensor, weights: Tensor, matrix: Tensor, bias: Tensor) -> tuple[Tensor, Any]:
        vocabulary, width = matrix.shape
        of_any = smoothing / vocabulary
        table = ops.concatenate([matrix, ops.cast(bias, matrix.dtype)[:, None]], axis=1)  # (V, D+1)
        columns = ops.transpose(table)
        full = ops.concatenate([x, ops.ones_like(x[:, :1])], axis=1)  # (N, D+1)
        weighted = ops.cast(full, "float32") * weights[:, None]

        count = ops.maximum(ops.shape(x)[0], 1)
        size = _quotient(count, _quotient(count, _ROWS))  # C: all alike, so that the last chunk is full too
        rows = tuple(chunks(values, size) for values in (full, labels, weights))
        across = ops.transpose(chunks(ops.cast(weighted, x.dtype), size), (0, 2, 1))  # (N/C, D+1, C)
        number = ops.shape(across)[0]

        def add_chunk(i: Tensor, value: Tensor, by_columns: Tensor, by_x: Tensor) -> tuple[Tensor, ...]:
            x, labels, weights = (values[i] for values in rows)  # (C, D+1), (C,), (C,)
            logits = ops.cast(ops.matmul(x, columns), "float32")  # (C, V)
            softmax = ops.softmax(logits)
            loss = smoothing * of_logits.at(logits, labels) - of_logits.log_probability(logits, softmax, labels)
            value = value + ops.sum(weights * loss)
            softmax = ops.cast(softmax, x.dtype)
            by_columns = by_columns + ops.cast(ops.matmul(across[i], softmax), "float32")
            of_x = ops.cast(ops.matmul(softmax, matrix), "float32")
            return i + 1, value, by_columns, ops.slice_update(by_x, (i * size, 0), of_x)

        nothing = [ops.zeros(shape) for shape in ((), (width + 1, vocabulary), (number * size, width))]
        of_all = ops.while_loop(lambda i, *_: i < number, add_chunk, [ops.zeros((), "int32"), *nothing])
        _, value, by_columns, by_x = of_all
        by_x = by_x[: ops.shape(x)[0]]
        sum_of_weighted, sum_of_table = ops.sum(weighted, axis=0), ops.sum(ops.cast(table, "float32"), axis=0)  # (D+1,)
        value = value - of_any * ops.sum(sum_of_table * sum_of_weighted)

        def gradient(upstream: Tensor) -> tuple[Tensor | None, ...]:
            of_labels = ops.cast(ops.take(matrix, labels, axis=0), "float32")
            target = of_label * of_labels + of_any * sum_of_table[:width]
            by_table = ops.transpose(by_columns) - of_any * sum_of_weighted
            by_table = ops.scatter_update(by_table, labels[:, None], -of_label * weighted, reduction="add")
            by_table = upstream * by_table
            return (
                ops.cast(upstream * weights[:, None] * (by_x - target), x.dtype),
                None,
                None,
                ops.cast(by_table[:, :width], matrix.dtype),
                ops.cast(by_table[:, width], bias.dtype),
            )

        return value, gradient

    return total


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b, rounded up."""
    return -(-a // b)


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

        return of_logits.smoothed_cross_entropy(logits, softmax, labels, smoothing), gradient

    return loss
