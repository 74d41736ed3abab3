"""Training of a task's model: plain `compile` and `fit`, and a folder from which an interrupted run goes on."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras

from keras_s2s.data import Task, batches
from keras_s2s.data.heads import Head
from keras_s2s.errors import UserError
from keras_s2s.losses import CRF, CTC, CrossEntropy
from keras_s2s.models import ModelConfig, Seq2Seq, build
from keras_s2s.training.callbacks import DecodedMetrics, DevPerplexity
from keras_s2s.training.config import TrainingConfig

CHECKPOINT = "best.keras"


def train(
    config: ModelConfig,
    task: Task,
    training: TrainingConfig,
    folder: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Path:
    """Trains a model and keeps the one that decodes the dev data best, or the language model that expects them most.

    Called again after an interruption, it goes on from the last whole epoch.

    Args:
        config: the model.
        task: data, tokenizers and metrics.
        training: how.
        folder: for checkpoints.
        callbacks: more of them; they see `dev_NAME` of each metric in the logs of an epoch that was judged.

    Returns:
        The best model's `.keras` file.

    Raises:
        UserError: the data do not suit the model, or `loss_weights` its heads.
    """
    heads = _heads(config)
    _check_weights(training, heads)
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(training.seed)
    dataset = batches(
        task.train,
        task.source_tokenizer,
        task.target_tokenizer,
        tokens=training.tokens,
        seed=training.seed,
        maximum_length=training.maximum_length,
        heads=heads,
        upsampling=config.ctc.upsampling if config.ctc is not None else 1,
    )
    model = build(config)
    model.compile(optimizer=_optimizer(training, int(dataset.cardinality())), **_losses(training, heads))
    judge = DevPerplexity if config.encoder is None else DecodedMetrics
    best = judge(task, folder / CHECKPOINT, training.evaluate_every)
    # Of two backups one is whole, whenever the run is stopped.
    backup = keras.callbacks.BackupAndRestore(str(folder / "backup"), double_checkpoint=True)
    model.fit(
        dataset,
        epochs=training.epochs,
        shuffle=False,
        verbose=_verbosity(),
        callbacks=[best, backup, *callbacks],
    )
    return folder / CHECKPOINT


def load(path: Path) -> Seq2Seq:
    """Builds the model of a `.keras` file that `train` wrote, with its weights."""
    return keras.models.load_model(path, compile=False)


def _heads(config: ModelConfig) -> list[Head]:
    parts: dict[Head, Any] = {"logits": config.decoder, "ctc": config.ctc, "crf": config.crf}
    return [name for name, part in parts.items() if part is not None]


def _check_weights(training: TrainingConfig, heads: Sequence[Head]) -> None:
    if training.loss_weights and len(heads) == 1:
        raise UserError(f"training: loss_weights: the model has one head, {heads[0]}, so there is nothing to weigh")
    for name in training.loss_weights:
        if name not in heads:
            raise UserError(f"training: loss_weights: {name}: the model has no such head; it has {', '.join(heads)}")


def _losses(training: TrainingConfig, heads: Sequence[Head]) -> dict[str, Any]:
    """Arguments of `compile`."""
    losses = {"logits": CrossEntropy(training.label_smoothing), "ctc": CTC(), "crf": CRF()}
    if len(heads) == 1:
        return {"loss": losses[heads[0]]}
    return {
        "loss": {head: losses[head] for head in heads},
        "loss_weights": {head: training.loss_weights.get(head, 1.0) for head in heads},
    }


def _optimizer(training: TrainingConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    steps = training.epochs * steps_per_epoch
    warm_up = int(training.warm_up * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warm_up else training.learning_rate,
        decay_steps=steps - warm_up,
        warmup_target=training.learning_rate if warm_up else None,
        warmup_steps=warm_up,
    )
    return keras.optimizers.Adam(schedule, beta_2=training.beta_2, global_clipnorm=training.clip_norm)


def _verbosity() -> Literal[1, 2]:
    """A progress bar on a terminal, a line an epoch elsewhere."""
    return 1 if sys.stdout.isatty() else 2
