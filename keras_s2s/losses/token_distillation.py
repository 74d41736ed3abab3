"""Token-level distillation: the distribution of a teacher at each place is one more label."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import keras
from keras import ops
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from keras_s2s.labels import TEACHER_IDS, TEACHER_LOG_PROBABILITIES, Labels
from keras_s2s.layers.product import product_of
from keras_s2s.losses import of_logits
from keras_s2s.losses.config import LOSSES, LossConfig
from keras_s2s.losses.cross_entropy import Smoothing
from keras_s2s.losses.labelled import LabelledLoss
from keras_s2s.losses.of_product import Between, mean_loss
from keras_s2s.typing import Tensor


@keras.saving.register_keras_serializable("keras_s2s")
class TokenDistillation(LabelledLoss):
    """(1 - a) CE(label) - a T² sum_v q_T(v) log p_T(v), the mean over real tokens (Hinton et al. 2015).

    With T = 1 it is the word-level distillation of Kim and Rush (2016). CE is the label-smoothed cross entropy of
    `CrossEntropy`. p_T and q_T are the distributions of the student and of the teacher at the temperature T,
    softmax(logits / T). T² keeps the gradient of the second part as large as that of the first.

    Of the teacher the k likeliest ids are known, and q_T is theirs alone: softmax(log-probabilities / T) over the k,
    which is exact where k = V. What the teacher gave to the other ids is shared among the k in proportion.

    Labels have `teacher_ids` (B, T, k) and `teacher_log_probabilities` (B, T, k) beside the ids (B, T); logits are
    (B, T, V). Give weights (B, T) that are 0 at padding. Of logits that know what they are the product of
    (`layers.product`), only those with a weight are computed, as by `CrossEntropy`, and once for both parts.

    Args:
        alpha: a, what the teacher counts, above 0 and up to 1; 1 is the teacher alone.
        temperature: T.
        smoothing: of the labels, from 0 to below 1.
    """

    def __init__(
        self, alpha: float = 0.5, temperature: float = 1.0, smoothing: float = 0.0, name: str = "token_distillation"
    ) -> None:
        super().__init__(name)
        self.alpha, self.temperature, self.smoothing = alpha, temperature, smoothing

    def __call__(self, labels: Labels, outputs: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Labels, logits (B, T, V) and weights (B, T) -> the mean."""
        product = product_of(outputs)
        if product is None or sample_weight is None:
            return super().__call__(labels, outputs, sample_weight)
        return mean_loss(
            product._replace(x=product.x[None]),
            labels.ids,
            sample_weight,
            self.smoothing,
            self._of_teacher(),
            self._known(labels),
            1 - self.alpha,
        )

    def call(self, labels: Labels, outputs: Tensor) -> Tensor:
        """Labels and logits (B, T, V) -> (B, T)."""
        logits = ops.reshape(ops.cast(outputs, "float32"), (-1, outputs.shape[-1]))  # (B·T, V)
        ids = ops.reshape(ops.cast(labels.ids, "int32"), (-1,))
        known = [ops.reshape(values, (-1, values.shape[-1])) for values in self._known(labels)]
        loss = _loss_of_rows(self._of_teacher(), 1 - self.alpha, self.smoothing)(logits, ids, *known)
        return ops.reshape(loss, ops.shape(labels.ids))

    def get_config(self) -> dict[str, Any]:
        """Alpha, temperature, smoothing and the name."""
        of_loss = {"alpha": self.alpha, "temperature": self.temperature, "smoothing": self.smoothing}
        return {**of_loss, "name": self.name}

    def _of_teacher(self) -> Between:
        return _towards_teacher(self.alpha, self.temperature)

    def _known(self, labels: Labels) -> list[Tensor]:
        """The teacher's ids and q_T, (B, T, k) each."""
        log_probabilities = ops.cast(labels[TEACHER_LOG_PROBABILITIES], "float32")
        return [ops.cast(labels[TEACHER_IDS], "int32"), ops.softmax(log_probabilities / self.temperature)]


@LOSSES.register
class TokenDistillationConfig(LossConfig):
    """`TokenDistillation` in a recipe. It has the cross entropy of the labels in it.

    Args:
        kind: its name.
        weight: what both parts count beside other losses.
        teachers: whose distributions are learnt: recipes, files beside this one, or folders of checkpoints. Several are
            an ensemble. None are named in Python, where `training.teach` is given models.
        teacher_weights: of several, equal ones if not said.
        method: how several agree, "log-linear" or "linear", see `decoding.Ensemble`.
        k: so many of the likeliest ids of each place are kept on disk.
        alpha: what the teachers count, above 0 and up to 1; the labels count the rest.
        temperature: of both distributions.
        smoothing: of the labels, from 0 to below 1.
    """

    kind: Literal["token_distillation"] = "token_distillation"
    teachers: tuple[str, ...] = ()
    teacher_weights: tuple[PositiveFloat, ...] | None = None
    method: Literal["log-linear", "linear"] = "log-linear"
    k: PositiveInt = 16
    alpha: float = Field(default=0.5, gt=0, le=1)
    temperature: PositiveFloat = 1.0
    smoothing: Smoothing = 0.0

    @model_validator(mode="after")
    def _weighs(self) -> Self:
        if self.teacher_weights is not None and len(self.teacher_weights) != len(self.teachers):
            counts = f"{len(self.teachers)} teachers and {len(self.teacher_weights)} teacher_weights"
            raise ValueError(f"{counts}; give each teacher one")
        return self

    def loss(self) -> TokenDistillation:
        """Makes the loss."""
        return TokenDistillation(self.alpha, self.temperature, self.smoothing)


def _towards_teacher(alpha: float, temperature: float) -> Between:
    """a T² times the cross entropy of q_T and p_T. Its gradient by the logits is a T (p_T - q_T)."""

    def between(
        logits: Sequence[Tensor], softmaxes: Sequence[Tensor], known: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        [x], [p], [ids, q] = logits, softmaxes, known
        if temperature == 1:  # One softmax is enough.
            soft, p_soft, by_x = x, p, p
        else:
            soft = x / temperature
            p_soft = ops.softmax(soft)
            by_x = (1 - alpha) * p + alpha * temperature * p_soft
        loss = of_logits.normaliser(soft, p_soft) - ops.sum(q * ops.take_along_axis(soft, ids, axis=1), axis=1)
        rows = ops.broadcast_to(ops.arange(ops.shape(ids)[0])[:, None], ops.shape(ids))
        places = ops.reshape(ops.stack([rows, ids], axis=-1), (-1, 2))
        towards = ops.reshape(-alpha * temperature * q, (-1,))
        return alpha * temperature**2 * loss, [ops.scatter_update(by_x, places, towards, reduction="add")]

    return between


def _loss_of_rows(between: Between, share: float, smoothing: float) -> Any:
    """The loss with its gradient written out: logits (N, V), labels (N,), ids and q_T (N, k) -> (N,)."""

    @ops.custom_gradient
    def loss(logits: Tensor, labels: Tensor, ids: Tensor, q: Tensor) -> tuple[Tensor, Any]:
        softmax = ops.softmax(logits)
        of_teacher, [by_logits] = between([logits], [softmax], [ids, q])
        of_labels = of_logits.smoothed_cross_entropy(logits, softmax, labels, smoothing)

        def gradient(upstream: Tensor) -> tuple[Tensor | None, ...]:
            upstream = upstream[:, None]
            by_both = of_logits.away_from_target(by_logits * upstream, labels, share * upstream, smoothing)
            return by_both, None, None, None

        return of_teacher + share * of_labels, gradient

    return loss
