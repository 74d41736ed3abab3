"""Callbacks for `fit`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_s2s.data import Task, encode_sources
from keras_s2s.decoding import PROGRAMS
from keras_s2s.errors import UserError
from keras_s2s.evaluation import evaluate, find_metric

_BATCH = 128
_LONGEST = (tf.constant(2.0), tf.constant(10))
_AVERAGE = (tf.constant(1.0), tf.constant(0.0))


class DecodedMetrics(keras.callbacks.Callback):
    """Decodes the dev data greedily, logs the task's metrics, and keeps the best model on disk.

    The first metric decides which is best. Metrics appear in the logs as `dev_NAME`.

    Args:
        task: dev data, tokenizers and metrics.
        path: where the best model is saved, a `.keras` file.
        every: epochs between two decodings; the last epoch is always decoded.

    Raises:
        UserError: there are no dev data, or a metric is unknown.
    """

    def __init__(self, task: Task, path: Path, every: int = 1) -> None:
        super().__init__()
        if not len(task.dev):
            raise UserError("training: no dev pairs to choose the best model on; give some")
        self.metrics = [find_metric(name) for name in task.metrics]
        self.task, self.path, self.every = task, path, every
        self.best: float | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Compiles the decoder, and forgets nothing when training goes on."""
        self._program = PROGRAMS["greedy"](self.model)
        score = self.path.with_suffix(".best")
        self.best = float(score.read_text()) if self.path.exists() and score.exists() else None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Decodes and saves."""
        if (epoch + 1) % self.every and epoch + 1 != self.params["epochs"]:
            return
        values = evaluate(self.task.metrics, self.decode(), self.task.dev.targets)
        if logs is not None:
            logs.update({f"dev_{name}": value for name, value in values.items()})
        value = values[self.metrics[0].name]
        if self.best is None or self._is_better(value, self.best):
            self.best = value
            _save(self.model, self.path)
            self.path.with_suffix(".best").write_text(repr(value))

    def _is_better(self, value: float, other: float) -> bool:
        return value > other if self.metrics[0].higher_is_better else value < other

    def decode(self) -> list[str]:
        """The model's outputs for the dev sources, in order."""
        sources = self.task.dev.sources
        order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
        tokens: dict[int, Sequence[int]] = {}
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            ids = encode_sources([sources[i] for i in some], self.task.source_tokenizer)
            found = self._program(tf.constant(ids), *_LONGEST, *_AVERAGE)
            tokens.update(zip(some, found["tokens"][:, 0].numpy().tolist(), strict=True))
        return self.task.target_tokenizer.decode([tokens[i] for i in range(len(order))])


def _save(model: keras.Model, path: Path) -> None:
    """Writes beside and renames, so that an interruption loses nothing."""
    beside = path.with_name(f"new.{path.name}")
    model.save(beside)
    beside.replace(path)
