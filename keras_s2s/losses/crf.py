"""The loss of a CRF head."""

from typing import Any, ClassVar, Literal

import keras
from keras import ops

from keras_s2s.dynamic import crf
from keras_s2s.losses.config import LOSSES, LossConfig
from keras_s2s.losses.spread import spread
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class CRF(keras.losses.Loss):
    """-log p(labels) of a linear chain (Lafferty et al. 2001).

    Labels are (B, T) ids, one for each token of the source and EOS for its EOS, padded with 0; log-potentials are
    (B, S, V, V), see `dynamic.crf`. T and S differ by padding alone. A sentence's loss is spread evenly over its
    labels: with weights (B, T) that are 1 at labels and 0 at padding, the loss is the sum over sentences divided by the
    number of labels.
    """

    def __init__(self, name: str = "crf") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")

    def call(self, labels: Tensor, potentials: Tensor) -> Tensor:
        """(B, T), (B, S, V, V) -> (B, T)."""
        potentials = ops.cast(potentials, "float32")
        length = ops.shape(potentials)[1]
        padding = ops.zeros((ops.shape(labels)[0], length), labels.dtype)
        of_places = ops.concatenate([labels, padding], axis=1)[:, :length]  # (B, S)
        return spread(crf.log_partition(potentials) - crf.path_score(potentials, of_places), labels)

    def get_config(self) -> dict[str, Any]:
        """The name."""
        return {"name": self.name}


@LOSSES.register
class CRFConfig(LossConfig):
    """`CRF` in a recipe.

    Args:
        kind: its name.
        weight: what it counts.
    """

    head: ClassVar[str] = "crf"
    kind: Literal["crf"] = "crf"

    def loss(self) -> CRF:
        """Makes the loss."""
        return CRF()
