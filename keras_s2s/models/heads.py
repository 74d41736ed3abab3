"""Output heads: layers on the outputs of a decoder or an encoder."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s2s.layers import Embedding, Linear, fused
from keras_s2s.layers.product import Product, remember
from keras_s2s.typing import Tensor

NEVER = -1e9  # a log-probability of nothing that stays finite under sums and gradients


class TokenHead(keras.layers.Layer):
    """Scores of the next token: hidden (R, T, D) -> logits (R, T, V).

    Args:
        vocabulary: V.
        tied: an embedding whose table is the product's matrix (Press and Wolf 2017), or None.
    """

    def __init__(self, vocabulary: int, tied: Embedding | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.vocabulary, self.tied = vocabulary, tied

    def build(self, input_shape: tuple) -> None:
        """Makes the matrix, unless it is tied, and the offset."""
        if self.tied is None:
            shape = (input_shape[-1], self.vocabulary)
            self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        # Added to products in float32, whatever their type.
        self.bias = self.add_weight(shape=(self.vocabulary,), initializer="zeros", autocast=False, name="bias")

    def call(self, hidden: Tensor, columns: Tensor | None = None) -> Tensor:
        """hidden (R, T, D) -> (R, T, V) float32, or (R, T, C) for the ids `columns` (C,) alone."""
        matrix = self.kernel if self.tied is None else self.tied.table
        logits = fused.linear(hidden, matrix, self.bias, transposed=self.tied is not None, columns=columns)
        logits = ops.cast(logits, "float32")
        if columns is not None or fused.is_lowered():  # What takes the product has its own factors.
            return logits
        # Tensors, for of a variable Keras would forget what it is cast to.
        by_rows, bias = ops.cast(matrix, self.compute_dtype), ops.cast(self.bias, "float32")
        by_rows = by_rows if self.tied is not None else ops.transpose(by_rows)
        return remember(logits, Product(hidden, by_rows, bias))


class CTCHead(keras.layers.Layer):
    """Scores of a label or a blank at each frame, for CTC (Graves et al. 2006).

    Args:
        vocabulary: V; the blank is class V.
        width: D.
        upsampling: k, the frames made of each encoder output by a linear layer to k·D that is cut into k
            (Libovický and Helcl 2018).
    """

    def __init__(self, vocabulary: int, width: int, upsampling: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.vocabulary, self.upsampling = vocabulary, upsampling
        self.split = Linear(upsampling * width, name="split") if upsampling > 1 else None
        self.classes = Linear(vocabulary + 1, name="classes")

    def call(self, encoded: dict[str, Tensor]) -> Tensor:
        """Scores frames.

        Args:
            encoded: encoder outputs `encoded` (B, S, D) and their `mask` (B, S).

        Returns:
            (B, S·k, V+1) float32, not normalised. At padding the blank is certain, so that no path changes there.
        """
        x, mask = encoded["encoded"], encoded["mask"]
        if self.split is not None:
            sentences, length, width = tuple(ops.shape(x))
            length = length * self.upsampling
            x = ops.reshape(self.split(x), (sentences, length, width))
            mask = ops.take(mask, ops.arange(length) // self.upsampling, axis=1)
        certain_blank = np.array([NEVER] * self.vocabulary + [0], "float32")
        return ops.where(mask[:, :, None], ops.cast(self.classes(x), "float32"), certain_blank)


class CRFHead(keras.layers.Layer):
    """Log-potentials of a linear chain of labels, one for each source token (Lafferty et al. 2001).

    potential[s, i, j] = transition[i, j] + emission[s, j], label i standing before label j. The chain begins behind
    BOS, so the first token's row is i = 1.

    Args:
        vocabulary: V.
    """

    def __init__(self, vocabulary: int, **options: Any) -> None:
        super().__init__(**options)
        self.vocabulary = vocabulary
        self.emission = Linear(vocabulary, name="emission")

    def build(self, encoded_shape: dict[str, tuple]) -> None:
        """Makes the transitions; all are equally likely at first."""
        self.emission.build(encoded_shape["encoded"])
        shape = (self.vocabulary, self.vocabulary)
        self.transition = self.add_weight(shape=shape, initializer="zeros", name="transition")

    def call(self, encoded: dict[str, Tensor]) -> Tensor:
        """Scores pairs of neighbouring labels.

        Args:
            encoded: encoder outputs `encoded` (B, S, D) and their `mask` (B, S).

        Returns:
            (B, S, V, V) float32. At padding the identity: the chain stays at its label at no cost.
        """
        emission = ops.cast(self.emission(encoded["encoded"]), "float32")
        potentials = emission[:, :, None, :] + ops.cast(self.transition, "float32")
        labels = ops.arange(self.vocabulary)
        stay = ops.where(labels[:, None] == labels[None, :], 0.0, NEVER)
        return ops.where(encoded["mask"][:, :, None, None], potentials, stay)
