"""Attention that is told where to look."""

from typing import Any, ClassVar, Literal

import keras
from keras import ops

from keras_s2s.losses.config import LOSSES, LossConfig
from keras_s2s.typing import Tensor

# Attention may be exactly 0 where it is wrong.
_LEAST = 1e-6


@keras.saving.register_keras_serializable("keras_s2s")
class GuidedAlignment(keras.losses.Loss):
    """-log of the attention that a target token pays to its source place (Chen et al. 2016), the mean over known ones.

    Labels are (B, T) places in the source, from 0, or -1 where none is known: give weights (B, T) that are 0 there. The
    attention is (B, T, S).
    """

    def __init__(self, name: str = "guided_alignment") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")

    def call(self, labels: Tensor, attention: Tensor) -> Tensor:
        """(B, T), (B, T, S) -> (B, T)."""
        attention = ops.cast(attention, "float32")
        places = ops.maximum(ops.cast(labels, "int32"), 0)
        paid = ops.take_along_axis(attention, places[:, :, None], axis=2)[:, :, 0]
        return -ops.log(paid + _LEAST)

    def get_config(self) -> dict[str, Any]:
        """The name."""
        return {"name": self.name}


@LOSSES.register
class GuidedAlignmentConfig(LossConfig):
    """`GuidedAlignment` in a recipe.

    Args:
        kind: its name.
        weight: what it counts.
    """

    head: ClassVar[str] = "attention"
    kind: Literal["guided_alignment"] = "guided_alignment"

    def loss(self) -> GuidedAlignment:
        """Makes the loss."""
        return GuidedAlignment()
