"""Cross entropy of the next token, with label smoothing."""

from typing import Annotated, Any, Literal

import keras
from keras import ops
from pydantic import Field

from keras_s2s.layers.product import product_of
from keras_s2s.losses import of_logits
from keras_s2s.losses.config import LOSSES, LossConfig
from keras_s2s.losses.of_product import mean_loss
from keras_s2s.typing import Tensor


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
        return mean_loss(product._replace(x=product.x[None]), labels, sample_weight, self.smoothing)

    def call(self, labels: Tensor, logits: Tensor) -> Tensor:
        """(B, T), (B, T, V) -> (B, T)."""
        flat = ops.reshape(ops.cast(logits, "float32"), (-1, logits.shape[-1]))  # (B·T, V)
        loss = _smoothed_cross_entropy(self.smoothing)(flat, ops.reshape(ops.cast(labels, "int32"), (-1,)))
        return ops.reshape(loss, ops.shape(labels))

    def get_config(self) -> dict[str, Any]:
        """The smoothing and the name."""
        return {"smoothing": self.smoothing, "name": self.name}


Smoothing = Annotated[float, Field(ge=0, lt=1)]


@LOSSES.register
class CrossEntropyConfig(LossConfig):
    """`CrossEntropy` in a recipe.

    Args:
        kind: its name.
        weight: what it counts.
        smoothing: e, from 0 to below 1.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    smoothing: Smoothing = 0.0

    def loss(self) -> CrossEntropy:
        """Makes the loss."""
        return CrossEntropy(self.smoothing)


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
