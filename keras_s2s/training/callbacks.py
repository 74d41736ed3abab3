"""Callbacks for `fit`: how a model is judged on the dev data."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from keras import ops

from keras_s2s.data import Task, batches, encode_sources
from keras_s2s.decoding import available, make_program
from keras_s2s.errors import UserError
from keras_s2s.evaluation import evaluate, find_metric
from keras_s2s.training.best import KeepBest

_BATCH = 128
# Hypotheses are ranked by their average log-probability; one hypothesis needs no more than that.
_SCORER = {"length_penalty": 1.0, "length_penalty_base": 0.0, "word_reward": 0.0}


class DecodedMetrics(KeepBest):
    """Decodes the dev data by the model's cheapest strategy and computes the task's metrics; the first one decides.

    That is greedy search with a decoder, otherwise the best path of a CTC head, otherwise Viterbi's of a CRF head.

    Args:
        task: dev data, tokenizers and metrics.
        path: where the best model is saved, a `.keras` file.
        every: epochs between two decodings; the last epoch is always decoded.

    Raises:
        UserError: there are no dev data, or a metric is unknown, or there is none.
    """

    def __init__(self, task: Task, path: Path, every: int = 1) -> None:
        _check_dev(task)
        if not task.metrics:
            raise UserError("training: no metrics to choose the best model by; name one, such as exact_match")
        metrics = [find_metric(name) for name in task.metrics]
        super().__init__(path, every, metrics[0].higher_is_better)
        self.task = task

    @functools.cached_property
    def _program(self) -> Any:
        return make_program(self.model, available(self.model)[0])

    def judge(self) -> dict[str, float]:
        """The task's metrics."""
        return evaluate(self.task.metrics, self.decode(), self.task.dev.targets)

    def decode(self) -> list[str]:
        """The model's outputs for the dev sources, in order."""
        assert self.task.source_tokenizer is not None
        sources = self.task.dev.sources
        order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
        tokens: dict[int, Sequence[int]] = {}
        for start in range(0, len(order), _BATCH):
            some = order[start : start + _BATCH]
            found = self._run(encode_sources([sources[i] for i in some], self.task.source_tokenizer))
            tokens.update(zip(some, found["tokens"][:, 0].numpy().tolist(), strict=True))
        return self.task.target_tokenizer.decode([tokens[i] for i in range(len(order))])

    def _run(self, source_ids: Any) -> dict[str, tf.Tensor]:
        limits = {
            "max_length_factor": self.task.max_length_factor,
            "max_length_extra": self.task.max_length_extra,
        }
        given = {"source_ids": source_ids, **limits, **_SCORER}
        return self._program(*(tf.constant(given[spec.name], spec.dtype) for spec in self._program.input_signature))


class DevPerplexity(KeepBest):
    """Computes a language model's perplexity of the dev targets: exp of the mean cross entropy of a token, EOS too.

    Args:
        task: dev data and target tokenizer.
        path: where the best model is saved, a `.keras` file.
        every: epochs between two judgements.

    Raises:
        UserError: there are no dev data.
    """

    def __init__(self, task: Task, path: Path, every: int = 1) -> None:
        _check_dev(task)
        super().__init__(path, every, higher_is_better=False)
        self.dataset = batches(task.dev, None, task.target_tokenizer, seed=None)

    def judge(self) -> dict[str, float]:
        """`{"perplexity": …}`."""
        total, count = 0.0, 0.0
        for inputs, labels, weights in self.dataset:
            total += float(self._program(inputs["target_ids"], labels, weights))
            count += float(tf.reduce_sum(weights))
        return {"perplexity": float(tf.exp(total / count))}

    @functools.cached_property
    def _program(self) -> Any:
        ids, weights = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.float32)

        @tf.function(input_signature=[ids, ids, weights])
        def loss(target_ids: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
            logits = self.model({"target_ids": target_ids}, training=False)  # (B, T, V)
            return ops.sum(weights * ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))

        return loss


def _check_dev(task: Task) -> None:
    if not len(task.dev):
        raise UserError("training: no dev pairs to choose the best model on; give some")
