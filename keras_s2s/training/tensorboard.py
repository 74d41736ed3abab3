"""Logs of a training for TensorBoard."""

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from keras_s2s.data import Task, encode_sources
from keras_s2s.decoding import make_program, problems
from keras_s2s.evaluation import attention_picture, markdown_table

SAMPLES, PICTURES = 10, 3
_LONGEST = 60  # pieces; a larger picture cannot be read


class Decoded(Protocol):
    """The callback that decodes the dev data, a `DecodedMetrics`.

    Attributes:
        task: its dev data are the sources and references.
        hypotheses: of the last time, in the order of the dev data; none before the first.
    """

    task: Task
    hypotheses: Sequence[str]


class TensorBoard(keras.callbacks.Callback):
    """Writes event files at the end of each epoch of `fit`: `tensorboard --logdir FOLDER` draws them.

    - `train/`: the losses, the learning rate, and tokens a second without the time for decoding.
    - `dev/`: all that the logs have as `dev_NAME`.
    - `samples`: sources, references and hypotheses from all over the dev data, as a table.
    - `attention/N`: where the model looks as it writes some of these hypotheses, if it has attention.

    Steps count updates of the optimiser. Let this callback come after the one that decodes; samples are written when
    it has decoded.

    Args:
        folder: for the event files. A run that goes on adds one.
        decoded: has the hypotheses; without it there are no samples.
        tokens_at: the number of source and target tokens in the batch of a step, counted from 0; without it there is no
            speed.
    """

    def __init__(
        self, folder: Path, decoded: Decoded | None = None, tokens_at: Callable[[int], int] | None = None
    ) -> None:
        super().__init__()
        self.folder, self.decoded, self.tokens_at = folder, decoded, tokens_at
        self._writer: Any = None
        self._align: Any = None
        self._first_step, self._began, self._ended = 0, 0.0, 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins an event file."""
        self._writer = tf.summary.create_file_writer(str(self.folder))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._first_step, self._began = self._step(), time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops the clock; another step lets it go on."""
        self._ended = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes."""
        logs = logs or {}
        step = self._step()
        judged = any(name.startswith("dev_") for name in logs)
        with self._writer.as_default(step):
            for name, value in self._scalars(logs, step).items():
                _write(name, "scalars", "SCALAR", tf.constant(value, tf.float32))
            if judged and self.decoded is not None and self.decoded.hypotheses:
                self._write_samples(self.decoded.task, self.decoded.hypotheses)
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the file."""
        self._writer.close()

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def _scalars(self, logs: dict[str, Any], step: int) -> dict[str, float]:
        values = {_tag(name): float(value) for name, value in logs.items()}
        values["train/learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        if self.tokens_at is not None and step > self._first_step:
            tokens = sum(map(self.tokens_at, range(self._first_step, step)))
            values["train/tokens_per_second"] = tokens / (self._ended - self._began)
        return values

    def _write_samples(self, task: Task, hypotheses: Sequence[str]) -> None:
        picked = _spread(len(hypotheses), SAMPLES)
        rows = [[_shown(task.dev.sources[i]), task.dev.targets[i], hypotheses[i]] for i in picked]
        table = markdown_table(["source", "reference", "hypothesis"], rows)
        _write("samples", "text", "TENSOR", tf.constant(table))
        # Features have no pieces to write beside a picture.
        if task.source_tokenizer is None or problems(self.model, "align"):
            return
        for number, i in enumerate(picked[:: -(-len(picked) // PICTURES)], start=1):
            png = self._picture(task, task.dev.sources[i], hypotheses[i])
            if png is not None:
                height, width, _ = tf.io.decode_png(png).shape
                _write(f"attention/{number}", "images", "BLOB_SEQUENCE", tf.constant([str(width), str(height), png]))

    def _picture(self, task: Task, source: str, hypothesis: str) -> bytes | None:
        """A PNG; None of a pair that is too long."""
        assert task.source_tokenizer is not None
        source_ids = encode_sources([source], task.source_tokenizer)  # (1, S), padded
        target_ids = encode_sources([hypothesis], task.target_tokenizer)  # (1, T), padded
        columns = task.source_tokenizer.pieces(source_ids[source_ids != 0])
        rows = task.target_tokenizer.pieces(target_ids[target_ids != 0])
        if max(len(columns), len(rows)) > _LONGEST:
            return None
        if self._align is None:
            self._align = make_program(self.model, "align")
        attention = self._align(tf.constant(source_ids), tf.constant(target_ids))["attention"]  # (1, T, S)
        file = io.BytesIO()
        weights = attention[0, : len(rows), : len(columns)].numpy()
        attention_picture(file, weights, columns, rows, f"{source} → {hypothesis}")
        return file.getvalue()


def _write(tag: str, plugin: str, data_class: str, value: tf.Tensor) -> None:
    """Writes a summary for one of TensorBoard's plugins, which `tf.summary.scalar` and others need installed for it."""
    metadata = tf.compat.v1.SummaryMetadata(data_class=f"DATA_CLASS_{data_class}")
    metadata.plugin_data.plugin_name = plugin
    tf.summary.write(tag, value, metadata=metadata)


def _tag(name: str) -> str:
    return f"dev/{name.removeprefix('dev_')}" if name.startswith("dev_") else f"train/{name}"


def _spread(count: int, most: int) -> list[int]:
    """At most so many numbers below `count`, evenly spread, always the same ones."""
    return np.linspace(0, count - 1, min(count, most)).astype(int).tolist()


def _shown(source: Any) -> str:
    return source if isinstance(source, str) else f"{len(source)} frames"
