"""The objective of a training: the heads of a model, the losses of each, and how the pairs of a batch are changed."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_s2s.data.augmentations import Augmentation, TextAugmentation
from keras_s2s.data.augmentations.subword_sampling import SubwordSampling
from keras_s2s.data.heads import Head
from keras_s2s.errors import UserError
from keras_s2s.labels import LabelSource
from keras_s2s.losses import (
    BagOfTokensConfig,
    CRFConfig,
    CrossEntropyConfig,
    CTCConfig,
    GuidedAlignmentConfig,
    LabelledLoss,
    LossConfig,
    RDropConfig,
    TokenDistillationConfig,
    Total,
)
from keras_s2s.models import ModelConfig
from keras_s2s.training.config import TrainingConfig


def heads_of(config: ModelConfig) -> list[Head]:
    """The outputs of a model that have a loss."""
    parts: dict[Head, Any] = {
        "logits": config.decoder,
        "ctc": config.ctc,
        "crf": config.crf,
        "attention": config.guided_alignment or None,
    }
    return [name for name, part in parts.items() if part is not None]


def check(training: TrainingConfig, heads: Sequence[Head]) -> None:
    """Makes sure that all losses that a training names have a head.

    Raises:
        UserError: one has none.
    """
    if training.loss_weights and len(heads) == 1:
        raise UserError(f"training: loss_weights: the model has one head, {heads[0]}, so there is nothing to weigh")
    for name in training.loss_weights:
        if name not in heads:
            raise UserError(f"training: loss_weights: {name}: the model has no such head; it has {', '.join(heads)}")
    for key in ("r_drop", "bag_of_tokens"):
        if getattr(training, key) and "logits" not in heads:
            raise UserError(f"training: {key}: needs a decoder, and the model has none; leave it out")
    for loss in training.losses:
        if loss.head not in heads:
            has = ", ".join(heads)
            raise UserError(
                f"training: losses: {loss.kind}: reads '{loss.head}', and the model has {has}; leave it out"
            )
    if any(loss.head == "logits" for loss in training.losses):
        for key in ("label_smoothing", "r_drop", "bag_of_tokens"):
            if getattr(training, key):
                raise UserError(f"training: {key}: 'losses' names all losses of the decoder; say it there")
    learns_from_teacher = distillation_of(training) is not None
    for key in ("subword_sampling", "augmentations"):
        if getattr(training, key) and "attention" in heads:
            raise UserError(
                f"training: {key}: alignments are of texts as they were read; leave out guided_alignment, or it"
            )
        if getattr(training, key) and learns_from_teacher:
            raise UserError(
                f"training: {key}: a teacher's labels are of ids as they were read; leave out token_distillation, or it"
            )


def distillation_of(training: TrainingConfig) -> TokenDistillationConfig | None:
    """The loss that learns from a teacher's labels, if there is one.

    Raises:
        UserError: there are several.
    """
    found = [loss for loss in training.losses if isinstance(loss, TokenDistillationConfig)]
    if len(found) > 1:
        raise UserError("training: losses: token_distillation: stands there twice; name all teachers in one")
    return found[0] if found else None


def terms_of(training: TrainingConfig, heads: Sequence[Head]) -> dict[Head, list[LossConfig]]:
    """The losses of each head: those that a training names, or, where it names none of a head, the usual ones."""
    usual: dict[Head, list[LossConfig]] = {
        "logits": _usual_of_logits(training),
        "ctc": [CTCConfig()],
        "crf": [CRFConfig()],
        "attention": [GuidedAlignmentConfig()],
    }
    return {head: [loss for loss in training.losses if loss.head == head] or usual[head] for head in heads}


def losses_of(training: TrainingConfig, heads: Sequence[Head]) -> dict[str, Any]:
    """Arguments of `compile`."""
    terms = terms_of(training, heads)
    parts = {head: [(term.loss(), term.weight) for term in terms[head]] for head in heads}
    is_labelled = any(isinstance(loss, LabelledLoss) for of_head in parts.values() for loss, _ in of_head)
    losses = {head: _total(of_head, is_labelled) for head, of_head in parts.items()}
    if len(heads) == 1:
        return {"loss": losses[heads[0]]}
    return {"loss": losses, "loss_weights": {head: training.loss_weights.get(head, 1.0) for head in heads}}


def labels_of(training: TrainingConfig, heads: Sequence[Head]) -> dict[str, LabelSource]:
    """The labels that losses read beside those of their heads.

    Raises:
        UserError: two losses give one name to different ones.
    """
    found: dict[str, LabelSource] = {}
    for loss in (loss for losses in terms_of(training, heads).values() for loss in losses):
        for name, source in loss.labels().items():
            if name in found or name in heads:
                raise UserError(
                    f"training: losses: {loss.kind}: there are labels '{name}' already; name them otherwise"
                )
            found[name] = source
    return found


def passes_of(training: TrainingConfig, heads: Sequence[Head]) -> int:
    """In how many neighbouring rows of a batch each pair stands."""
    return max(loss.passes for losses in terms_of(training, heads).values() for loss in losses)


def augmentations_of(training: TrainingConfig) -> list[Augmentation]:
    """The augmentations of a training; `subword_sampling` comes behind all that read texts."""
    named = list(training.augmentations)
    if not training.subword_sampling:
        return named
    behind = max((n for n, each in enumerate(named, start=1) if isinstance(each, TextAugmentation)), default=0)
    return [*named[:behind], SubwordSampling(rate=training.subword_sampling), *named[behind:]]


def _usual_of_logits(training: TrainingConfig) -> list[LossConfig]:
    smoothing = training.label_smoothing
    first: LossConfig = CrossEntropyConfig(smoothing=smoothing)
    if training.r_drop:
        first = RDropConfig(smoothing=smoothing, alpha=training.r_drop)
    return [first, *([BagOfTokensConfig(weight=training.bag_of_tokens)] if training.bag_of_tokens else [])]


def _total(parts: Sequence[tuple[keras.losses.Loss, float]], is_labelled: bool) -> keras.losses.Loss:
    """One loss of several, and one that reads its part of `Labels` where some loss has made the batch have them."""
    [(first, weight), *others] = parts
    return Total(parts) if others or is_labelled or weight != 1 else first
