"""The loss of a CTC head."""

from typing import Any, ClassVar, Literal

import keras

from keras_s2s.dynamic import ctc
from keras_s2s.losses.config import LOSSES, LossConfig
from keras_s2s.losses.spread import spread
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class CTC(keras.losses.Loss):
    """-log p(labels), summed over all alignments (Graves et al. 2006).

    Labels are (B, T) ids, ended by EOS and padded with 0, logits (B, S, C) with the blank last, padded frames certainly
    blank. A sentence's loss is spread evenly over its labels, EOS included: with weights (B, T) that are 1 at labels
    and 0 at padding, the loss is the sum over sentences divided by the number of labels. Labels that do not fit the
    frames cost about 1e9 and have no gradient: leave such pairs out.
    """

    def __init__(self, name: str = "ctc") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")

    def call(self, labels: Tensor, logits: Tensor) -> Tensor:
        """(B, T), (B, S, C) -> (B, T)."""
        return spread(-ctc.log_probability(logits, labels), labels)

    def get_config(self) -> dict[str, Any]:
        """The name."""
        return {"name": self.name}


@LOSSES.register
class CTCConfig(LossConfig):
    """`CTC` in a recipe.

    Args:
        kind: its name.
        weight: what it counts.
    """

    head: ClassVar[str] = "ctc"
    kind: Literal["ctc"] = "ctc"

    def loss(self) -> CTC:
        """Makes the loss."""
        return CTC()
