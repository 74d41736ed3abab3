"""Sums of probabilities given by their logarithms, without infinities: their differences are not numbers."""

from keras import ops

from keras_s2s.typing import Tensor

FLOOR = -1e9
"""The logarithm of nothing. Sums of a few stay far below `IMPOSSIBLE`."""
IMPOSSIBLE = FLOOR / 2
"""Whatever is below has no path."""


def log_add(*terms: Tensor) -> Tensor:
    """log sum_n exp(x_n), element by element."""
    highest = terms[0]
    for term in terms[1:]:
        highest = ops.maximum(highest, term)
    return highest + ops.log(sum(ops.exp(term - highest) for term in terms))


def log_sum(x: Tensor) -> Tensor:
    """log sum exp(x) over the last axis.

    Of the same numbers it is the same to the byte wherever they stand, with nothing (`FLOOR`) behind them or without:
    the kernel of a log-softmax sees to that, and those of sums do not.
    """
    return ops.max(x, axis=-1) - ops.max(ops.log_softmax(x, axis=-1), axis=-1)


def sum_in_order(x: Tensor) -> Tensor:
    """Sums over places, (B, S) -> (B,), one after the other: zeros at the end, as of padding, change no rounding."""
    return ops.cumsum(x, axis=1)[:, -1]


def select(x: Tensor, index: Tensor) -> Tensor:
    """Picks along the second axis, sentence by sentence: x (B, N, ...), index (B, ...) -> (B, ..., ...)."""
    shape = tuple(ops.shape(x))
    first = ops.reshape(ops.arange(shape[0]) * shape[1], (-1, *[1] * (len(index.shape) - 1)))
    return ops.take(ops.reshape(x, (-1, *shape[2:])), first + index, axis=0)


def best(x: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum over the last axis and where it first is: (..., N) -> (...), (...) int32.

    Unlike `argmax`, `top_k` has an ONNX form.
    """
    values, index = ops.top_k(x, 1)
    return values[..., 0], ops.cast(index[..., 0], "int32")
