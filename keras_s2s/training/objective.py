"""What a training minimises: the heads of a model, and a loss for each."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_s2s.data.heads import Head
from keras_s2s.errors import UserError
from keras_s2s.losses import CRF, CTC, BagOfTokens, CrossEntropy, GuidedAlignment, RDrop, Total
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
    if training.subword_sampling and "attention" in heads:
        raise UserError("training: subword_sampling: alignments are of whole pieces; leave out guided_alignment, or it")


def losses_of(training: TrainingConfig, heads: Sequence[Head]) -> dict[str, Any]:
    """Arguments of `compile`."""
    losses = {"logits": _of_logits(training), "ctc": CTC(), "crf": CRF(), "attention": GuidedAlignment()}
    if len(heads) == 1:
        return {"loss": losses[heads[0]]}
    return {
        "loss": {head: losses[head] for head in heads},
        "loss_weights": {head: training.loss_weights.get(head, 1.0) for head in heads},
    }


def _of_logits(training: TrainingConfig) -> keras.losses.Loss:
    loss: keras.losses.Loss = CrossEntropy(training.label_smoothing)
    if training.r_drop:
        loss = RDrop(training.label_smoothing, training.r_drop)
    return Total([(loss, 1.0), (BagOfTokens(), training.bag_of_tokens)]) if training.bag_of_tokens else loss
