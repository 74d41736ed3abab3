"""Callbacks for `fit`: how a model is judged on the dev data."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_s2s import status
from keras_s2s.data import Task, batches, source_inputs
from keras_s2s.decoding import available, make_program
from keras_s2s.errors import UserError
from keras_s2s.evaluation import evaluate
from keras_s2s.training.criteria import PERPLEXITY, Criterion
from keras_s2s.training.optimizers import averaged_weights
from keras_s2s.training.precision import float32

BATCH = 128
"""Dev sentences that are decoded together."""
# One hypothesis of each text is ranked against no other.
_SCORER = {"length_penalty": 1.0, "length_penalty_base": 0.0, "word_reward": 0.0, "with_scores": False}


class Judge(keras.callbacks.Callback):
    """Judges the model on the dev data at the end of every epoch of `fit`, and logs each value as `dev_NAME`.

    Where the optimiser keeps a moving average of the weights, that is what is judged; and always in float32, as the
    saved model computes.

    Args:
        task: dev data.
        criteria: by which of the values models are compared, the most important first.

    Raises:
        UserError: there are no dev data.
    """

    def __init__(self, task: Task, criteria: Sequence[Criterion]) -> None:
        if not len(task.dev):
            raise UserError("training: no dev pairs to choose the best model on; give some")
        super().__init__()
        self.task, self.criteria = task, tuple(criteria)

    def judge(self) -> dict[str, float]:
        """Values of the model as it is, by name."""
        raise NotImplementedError

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Logs the values."""
        with averaged_weights(self.model), float32(self.model):
            values = self.judge()
        if logs is not None:
            logs.update({f"dev_{name}": value for name, value in values.items()})


class DecodedMetrics(Judge):
    """Decodes the dev data by the model's cheapest strategy and computes the task's metrics.

    The first metric decides which model is the best, among equals the next one.

    That is greedy search with a decoder, otherwise the best path of a CTC head, otherwise Viterbi's of a CRF head.

    Args:
        task: dev data, tokenizers and metrics.

    Attributes:
        hypotheses: what the dev sources gave the last time, in order; empty before.

    Raises:
        UserError: there are no dev data, or a metric is unknown, or there is none.
    """

    def __init__(self, task: Task) -> None:
        if not task.metrics:
            raise UserError("training: no metrics to choose the best model by; name one, such as exact_match")
        super().__init__(task, [Criterion.of_metric(name) for name in task.metrics])
        self.hypotheses: Sequence[str] = ()

    @functools.cached_property
    def _program(self) -> Any:
        return make_program(self.model, available(self.model)[0])

    def judge(self) -> dict[str, float]:
        """The task's metrics."""
        self.hypotheses = self.decode()
        with status.doing(f"dev data: {', '.join(self.task.metrics)}"):
            return evaluate(self.task.metrics, self.hypotheses, self.task.dev.targets)

    def decode(self) -> list[str]:
        """The model's outputs for the dev sources, in order."""
        sources = self.task.dev.sources
        order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
        tokens: dict[int, Sequence[int]] = {}
        with status.doing(lambda: f"dev data: {len(tokens):,} of {len(order):,} sentences decoded"):
            for start in range(0, len(order), BATCH):
                some = order[start : start + BATCH]
                found = self._run(source_inputs([sources[i] for i in some], self.task.source_tokenizer))
                tokens.update(zip(some, found["tokens"][:, 0].numpy().tolist(), strict=True))
        return self.task.target_tokenizer.decode([tokens[i] for i in range(len(order))])

    def _run(self, source: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
        limits = {
            "max_length_factor": self.task.max_length_factor,
            "max_length_extra": self.task.max_length_extra,
        }
        given = {**source, **limits, **_SCORER}
        return self._program(*(tf.constant(given[spec.name], spec.dtype) for spec in self._program.input_signature))


class DevPerplexity(Judge):
    """Computes a language model's perplexity of the dev targets: exp of the mean cross entropy of a token, EOS too.

    Args:
        task: dev data and target tokenizer.

    Raises:
        UserError: there are no dev data.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task, [PERPLEXITY])
        self.dataset = batches(task.dev, None, task.target_tokenizer, seed=None)

    def judge(self) -> dict[str, float]:
        """`{"perplexity": …}`."""
        total, count = 0.0, 0.0
        with status.doing("dev data: perplexity"):
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
