"""The factors of logits: hidden states and a table."""

from typing import NamedTuple

from keras import ops

from keras_s2s.typing import Tensor

_ATTRIBUTE = "_keras_s2s_product"


class Product(NamedTuple):
    """logits = x W^T + b, by its factors.

    A loss that has the factors need not hold all logits at once; where nothing else reads the logits, they are never
    computed.

    Attributes:
        x: (..., D).
        matrix: W, (V, D).
        bias: b, (V,).
    """

    x: Tensor
    matrix: Tensor
    bias: Tensor


def remember(logits: Tensor, product: Product) -> Tensor:
    """Notes on a tensor what it is the product of, as Keras notes logits on probabilities; the tensor itself."""
    setattr(logits, _ATTRIBUTE, product)
    return logits


def product_of(logits: Tensor) -> Product | None:
    """The product that `remember` noted on this very tensor, or None."""
    return getattr(logits, _ATTRIBUTE, None)


def chunks(values: Tensor, size: int) -> Tensor:
    """Cuts rows (N, ...) into chunks (N / size, size, ...), the last one filled up with zeros."""
    missing = -ops.shape(values)[0] % size
    padded = ops.pad(values, [[0, missing], *[[0, 0]] * (len(values.shape) - 1)])
    return ops.reshape(padded, (-1, size, *values.shape[1:]))
