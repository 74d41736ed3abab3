"""The loss of a model on dev data, by which pruning judges."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_s2s.data import Task, batches
from keras_s2s.losses import CRF, CTC, CrossEntropy
from keras_s2s.models import Seq2Seq
from keras_s2s.typing import Tensor

_LOSSES: dict[Any, keras.losses.Loss] = {"logits": CrossEntropy(), "ctc": CTC(), "crf": CRF()}


def mean_dev_loss(model: Seq2Seq, task: Task) -> float:
    """The loss of a dev pair: the sum over its tokens, without smoothing, of all heads of the model that have one.

    Args:
        model: any.
        task: its dev data and tokenizers.

    Raises:
        UserError: there are no dev pairs.
    """
    dataset = dev_batches(model, task)

    @tf.function(input_signature=dataset.element_spec, autograph=False)
    def loss(inputs: Any, labels: Any, weights: Any) -> Tensor:
        return sum_of_losses(model, model(inputs, training=False), labels, weights)

    return sum(float(loss(*batch)) for batch in dataset) / len(task.dev)


def dev_batches(model: Seq2Seq, task: Task) -> tf.data.Dataset:
    """The dev pairs, with the labels of the model's heads."""
    upsampling = 1 if model.config.ctc is None else model.config.ctc.upsampling
    tokenizers = task.source_tokenizer, task.target_tokenizer
    return batches(task.dev, *tokenizers, seed=None, heads=_heads(model), upsampling=upsampling)


def sum_of_losses(model: Seq2Seq, outputs: Any, labels: Any, weights: Any) -> Tensor:
    """The sum over all tokens of a batch: the losses themselves are means."""
    total = 0.0
    for head in _heads(model):
        of_head = [values[head] if isinstance(values, dict) else values for values in (labels, outputs, weights)]
        total += _LOSSES[head](*of_head) * ops.sum(of_head[-1])
    return total


def _heads(model: Seq2Seq) -> Any:
    return [name for name in model.head_names if name in _LOSSES]
