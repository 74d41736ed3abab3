"""Target-distribution matching: the tokens of a whole sentence, in any order."""

from typing import Any, Literal

import keras
from keras import ops

from keras_s2s.losses.config import LOSSES, LossConfig
from keras_s2s.losses.of_logits import normaliser
from keras_s2s.losses.spread import spread
from keras_s2s.special_ids import EOS
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class BagOfTokens(keras.losses.Loss):
    """n KL(target's bag, expected bag) of each sentence of n tokens, after "bag-of-words as target" (Ma et al. 2018).

    The target's bag is the share of each id among the n labels; the expected bag is the mean of the softmaxes at these
    n places. EOS and padding are in neither: EOS stands once in every target and says nothing of it. What the model
    gives to them at other places is missing from the expected bag, and so is paid for. As in the paper a sentence's
    loss is a sum over its n tokens; it is spread evenly over its labels, so that a weight of 1 beside cross entropy
    gives both the same say.

    Labels are (B, T) ids, ended by EOS and padded with 0, logits (B, T, V).
    """

    def __init__(self, name: str = "bag_of_tokens") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")

    def call(self, labels: Tensor, logits: Tensor) -> Tensor:
        """(B, T), (B, T, V) -> (B, T)."""
        labels = ops.cast(labels, "int32")
        return spread(_divergence(ops.cast(logits, "float32"), labels), labels)

    def get_config(self) -> dict[str, Any]:
        """The name."""
        return {"name": self.name}


@LOSSES.register
class BagOfTokensConfig(LossConfig):
    """`BagOfTokens` in a recipe.

    Args:
        kind: its name.
        weight: what it counts.
    """

    kind: Literal["bag_of_tokens"] = "bag_of_tokens"

    def loss(self) -> BagOfTokens:
        """Makes the loss."""
        return BagOfTokens()


@ops.custom_gradient
def _divergence(logits: Tensor, labels: Tensor) -> tuple[Tensor, Any]:
    """n KL of each sentence: (B, T, V), (B, T) -> (B,).

    Only the expected share of ids that are labels matters, so all but one softmax, and one product in the gradient, is
    of shape (B, T, T).
    """
    real = ops.logical_and(labels != 0, labels != EOS)  # (B, T)
    weight = ops.cast(real, "float32")
    same = ops.cast(labels[:, :, None] == labels[:, None, :], "float32")
    occurrences = ops.sum(same * weight[:, None, :], axis=2)  # of each label in its bag, (B, T)
    probabilities = ops.softmax(logits)
    columns = ops.broadcast_to(labels[:, None, :], ops.shape(same))
    log_of_sum = normaliser(logits, probabilities)[:, :, None]
    of_labels = ops.take_along_axis(logits, columns, axis=2) - log_of_sum  # place t, label j: (B, T, T)
    of_labels = ops.where(real[:, :, None], of_labels, -1e9)
    expected = ops.logsumexp(of_labels, axis=1)  # log of n times the expected share, (B, T)
    value = ops.sum(weight * (ops.log(ops.maximum(occurrences, 1.0)) - expected), axis=1)

    def gradient(upstream: Tensor) -> tuple[Tensor, None]:
        # How much of a label's expected share comes from each place.
        share = ops.exp(of_labels - expected[:, None, :]) * weight[:, :, None] * upstream[:, None, None]
        pull = ops.sum(share * weight[:, None, :], axis=2, keepdims=True)  # (B, T, 1)
        everywhere = probabilities * pull
        # A label that occurs twice is written twice, with one value.
        at_labels = ops.take_along_axis(everywhere, columns, axis=2) - share * (occurrences * weight)[:, None, :]
        sentences, length = tuple(ops.shape(labels))
        places = ops.meshgrid(ops.arange(sentences), ops.arange(length), ops.arange(length), indexing="ij")[:2]
        places = ops.reshape(ops.stack([*places, columns], axis=-1), (-1, 3))
        return ops.scatter_update(everywhere, places, ops.reshape(at_labels, (-1,))), None

    return value, gradient
