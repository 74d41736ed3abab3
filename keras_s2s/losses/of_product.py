"""The cross entropy of logits that are a product, computed with its gradient, a few rows at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_s2s.layers.product import Product, chunks
from keras_s2s.losses import of_logits
from keras_s2s.typing import Tensor

# What the distributions of all passes owe each other, or a teacher: their logits and softmaxes (C, V), and what else is
# known of these tokens (C, ...) -> a loss (C,) beside the cross entropies, and by each pass's logits the gradient of it
# and of the cross entropy, but for the part of the label.
Between = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], tuple[Tensor, Sequence[Tensor]]]

# At most so many rows of logits stay in a processor's cache until all that is wanted of them is known.
_ROWS = 512
_STEP = 16
_LEAST = 1e-37


def mean_loss(
    product: Product,
    labels: Tensor,
    weights: Tensor,
    smoothing: float,
    between: Between | None = None,
    known: Sequence[Tensor] = (),
    share: float = 1.0,
) -> Tensor:
    """The weighted mean over all passes, of those rows alone that have a weight: a scalar.

    Args:
        product: its x is (passes, ..., D): every token once in each pass.
        labels: (...) ids.
        weights: (...).
        smoothing: of the cross entropy.
        between: what is added to the passes' cross entropies.
        known: (..., k) each, what `between` reads of each token.
        share: what the cross entropies count.
    """
    passes = product.x.shape[0]
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
    weights = ops.reshape(ops.cast(weights, "float32"), (-1,))
    places = ops.nonzero(weights)[0]
    x = ops.take(ops.reshape(product.x, (passes, -1, product.x.shape[-1])), places, axis=1)
    labels, weights = (ops.take(values, places) for values in (labels, weights))
    known = [ops.take(ops.reshape(values, (-1, values.shape[-1])), places, axis=0) for values in known]
    total = _sum_of_rows(smoothing, between, share)(x, labels, weights, product.matrix, product.bias, *known)
    mean = total / ops.maximum(passes * ops.sum(weights), _LEAST)
    # Keras divides means, and this one too, by the number of replicas, but not what is a scalar already.
    return _Computed(name="computed")(ops.zeros((1,)), ops.reshape(mean, (1,)))


class _Computed(keras.losses.Loss):
    """A loss that is computed already."""

    def call(self, nothing: Tensor, value: Tensor) -> Tensor:
        """The value."""
        return value


def _sum_of_rows(smoothing: float, between: Between | None, share: float) -> Any:
    """The sum of w_n times the losses of token n, and its gradient, from one softmax of each row.

    The gradient by the logits is softmax - target. The target's part, one label and a constant, is small products of
    its own, so that nothing but the softmax is ever as large as the logits.

    The offset is one more column of the matrix, for which each x has a one. All products in the loop are of matrices as
    they lie in memory: of transposed ones oneDNN makes up to a sixth less a second.
    """
    of_label = share * (1 - smoothing)

    @ops.custom_gradient
    def total(
        x: Tensor, labels: Tensor, weights: Tensor, matrix: Tensor, bias: Tensor, *known: Tensor
    ) -> tuple[Tensor, Any]:
        passes, (vocabulary, width) = x.shape[0], matrix.shape
        of_any = share * smoothing / vocabulary
        table = ops.concatenate([matrix, ops.cast(bias, matrix.dtype)[:, None]], axis=1)  # (V, D+1)
        columns = ops.transpose(table)
        full = ops.concatenate([x, ops.ones_like(x[..., :1])], axis=-1)  # (P, N, D+1)
        weighted = ops.cast(full, "float32") * weights[:, None]

        count = ops.maximum(ops.shape(x)[1], 1)
        # C: all alike, so that the last chunk is full too, and of few sizes, for each has kernels of its own.
        size = _quotient(count, _STEP * _quotient(passes * count, _ROWS)) * _STEP
        label_chunks, weight_chunks = chunks(labels, size), chunks(weights, size)
        known_chunks = [chunks(values, size) for values in known]
        of_passes = [chunks(full[i], size) for i in range(passes)]
        across = [
            ops.transpose(chunks(ops.cast(weighted[i], x.dtype), size), (0, 2, 1))  # (N/C, D+1, C)
            for i in range(passes)
        ]
        number = ops.shape(label_chunks)[0]

        def add_chunk(i: Tensor, value: Tensor, by_columns: Tensor, by_x: Tensor) -> tuple[Tensor, ...]:
            labels = label_chunks[i]  # (C,)
            logits = [ops.cast(ops.matmul(of_pass[i], columns), "float32") for of_pass in of_passes]  # (C, V) each
            softmaxes = [ops.softmax(of_pass) for of_pass in logits]
            of_tokens = [values[i] for values in known_chunks]
            loss, by_logits = between(logits, softmaxes, of_tokens) if between else (0.0, softmaxes)
            for of_pass, softmax in zip(logits, softmaxes, strict=True):
                of_token = smoothing * of_logits.at(of_pass, labels)
                loss = loss + share * (of_token - of_logits.log_probability(of_pass, softmax, labels))
            value = value + ops.sum(weight_chunks[i] * loss)
            by_logits = [ops.cast(of_pass, x.dtype) for of_pass in by_logits]
            for of_pass, by in zip(across, by_logits, strict=True):
                by_columns = by_columns + ops.cast(ops.matmul(of_pass[i], by), "float32")
            of_x = ops.stack([ops.cast(ops.matmul(by, matrix), "float32") for by in by_logits])  # (P, C, D)
            # In place, where `ops.slice_update` is a program of XLA that is compiled for each shape.
            return i + 1, value, by_columns, ops.scatter_update(by_x, [[i]], of_x[None])

        nothing = [ops.zeros(shape) for shape in ((), (width + 1, vocabulary), (number, passes, size, width))]
        of_all = ops.while_loop(lambda i, *_: i < number, add_chunk, [ops.zeros((), "int32"), *nothing])
        _, value, by_columns, by_x = of_all
        by_x = ops.reshape(ops.transpose(by_x, (1, 0, 2, 3)), (passes, -1, width))[:, : ops.shape(x)[1]]
        of_tokens, sum_of_table = ops.sum(weighted, axis=0), ops.sum(ops.cast(table, "float32"), axis=0)
        sum_of_weighted = ops.sum(of_tokens, axis=0)  # (D+1,), as sum_of_table
        value = value - of_any * ops.sum(sum_of_table * sum_of_weighted)

        def gradient(upstream: Tensor) -> tuple[Tensor | None, ...]:
            of_labels = ops.cast(ops.take(matrix, labels, axis=0), "float32")
            target = of_label * of_labels + of_any * sum_of_table[:width]
            by_table = ops.transpose(by_columns) - of_any * sum_of_weighted
            by_table = ops.scatter_update(by_table, labels[:, None], -of_label * of_tokens, reduction="add")
            by_table = upstream * by_table
            return (
                ops.cast(upstream * weights[:, None] * (by_x - target), x.dtype),
                None,
                None,
                ops.cast(by_table[:, :width], matrix.dtype),
                ops.cast(by_table[:, width], bias.dtype),
                *[None] * len(known),
            )

        return value, gradient

    return total


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    """a / b, rounded up."""
    return -(-a // b)
