"""Training of a task's model: plain `compile` and `fit`, and a folder from which an interrupted run goes on."""

import sys
from pathlib import Path
from typing import Literal

import keras

from keras_s2s.data import Task, batches
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import ModelConfig, Seq2Seq, build
from keras_s2s.training.callbacks import DecodedMetrics
from keras_s2s.training.config import TrainingConfig

CHECKPOINT = "best.keras"


def train(config: ModelConfig, task: Task, training: TrainingConfig, folder: Path) -> Path:
    """Trains a model and keeps the one that decodes the dev data best.

    Called again after an interruption, it goes on from the last whole epoch.

    Args:
        config: the model.
        task: data, tokenizers and metrics.
        training: how.
        folder: for checkpoints.

    Returns:
        The best model's `.keras` file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(training.seed)
    dataset = batches(
        task.train,
        task.source_tokenizer,
        task.target_tokenizer,
        tokens=training.tokens,
        seed=training.seed,
        maximum_length=training.maximum_length,
    )
    model = build(config)
    model.compile(
        optimizer=_optimizer(training, int(dataset.cardinality())),
        loss=CrossEntropy(training.label_smoothing),
    )
    metrics = DecodedMetrics(task, folder / CHECKPOINT, training.evaluate_every)
    # Of two backups one is whole, whenever the run is stopped.
    backup = keras.callbacks.BackupAndRestore(str(folder / "backup"), double_checkpoint=True)
    model.fit(
        dataset,
        epochs=training.epochs,
        shuffle=False,
        verbose=_verbosity(),
        callbacks=[metrics, backup],
    )
    return folder / CHECKPOINT


def load(path: Path) -> Seq2Seq:
    """Builds the model of a `.keras` file that `train` wrote, with its weights."""
    return keras.models.load_model(path, compile=False)


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
