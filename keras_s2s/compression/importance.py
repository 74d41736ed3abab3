"""How important heads and feed-forward units of Transformer blocks are."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_s2s import status
from keras_s2s.compression.dev_loss import dev_batches, sum_of_losses
from keras_s2s.compression.kept import Kept, PartName, StackName, stacks_of
from keras_s2s.data import Task
from keras_s2s.layers import Linear, SelfAttention, fused
from keras_s2s.models import Seq2Seq
from keras_s2s.typing import Tensor


class Place(NamedTuple):
    """A part of a block."""

    stack: StackName
    block: int
    part: PartName


Scores = dict[Place, np.ndarray]
"""The importance of each head, or unit, of each part."""


class _Product(NamedTuple):
    """The product behind the heads, or units, of a part, and all that make up one of them.

    Attributes:
        total: how many heads or units.
        behind: the product that takes what all of them give, (..., total · size).
        before: the products whose columns belong to them, and how often each has them.
    """

    total: int
    behind: Linear
    before: list[tuple[Linear, int]]

    @property
    def weights(self) -> Iterator[keras.Variable]:
        """All that go with them."""
        yield self.behind.kernel
        for product, _ in self.before:
            yield product.kernel
            if product.bias is not None:
                yield product.bias


def by_gradient(model: Seq2Seq, task: Task) -> Scores:
    """The change of the loss if a head or a unit gave zeros, to first order, the mean over dev pairs of its size.

    That is |sum of what it gives times the gradient of the loss by it|, the sum over a pair's tokens and a head's
    numbers (Michel et al. 2019; Molchanov et al. 2017). The loss is that of the model's heads, without smoothing.

    Args:
        model: with Transformer blocks.
        task: its dev data and tokenizers.

    Raises:
        UserError: there are no dev pairs.
    """
    places = _products(model)
    totals: Scores = {}
    dataset = dev_batches(model, task)
    sums = _sums_of_sizes(model, places, dataset.element_spec)
    done = 0
    with status.doing(lambda: f"importance: {done:,} of {len(task.dev):,} dev pairs"):
        for batch in dataset:
            found = sums(*batch)
            totals = {place: totals.get(place, 0.0) + found[place].numpy() for place in places}
            done += len(next(iter(batch[0].values())))
    return {place: total / len(task.dev) for place, total in totals.items()}


def by_norm(model: Seq2Seq) -> Scores:
    """The Euclidean norm of the weights of each head and unit: the columns that make it, and the rows that read it."""
    return {
        place: np.sqrt(
            _squares(product.behind.kernel.numpy().T, product.total)
            + sum(
                _squares(part, product.total)
                for before, parts in product.before
                for part in np.split(before.kernel.numpy(), parts, axis=1)
            )
        )
        for place, product in _products(model).items()
    }


def numbers_of(model: Seq2Seq) -> Scores:
    """How many parameters go with each head and unit."""
    return {
        place: np.full(product.total, sum(math.prod(weight.shape) for weight in product.weights) / product.total)
        for place, product in _products(model).items()
    }


def _squares(columns: np.ndarray, count: int) -> np.ndarray:
    """The sum of squares of each of `count` groups of columns."""
    return np.square(columns).reshape(len(columns), count, -1).sum((0, 2))


def _products(model: Seq2Seq) -> dict[Place, _Product]:
    """The parts of all blocks that may lose something."""
    return {
        Place(stack.name, number, part): product
        for stack in stacks_of(model)
        for number, kept in Kept.all_of(model).of(stack.name).items()
        for part, product in _products_of(model, stack.blocks[number], number, kept)
    }


def _products_of(model: Seq2Seq, block: Any, number: int, kept: Any) -> Iterator[tuple[PartName, _Product]]:
    if isinstance(block.mixer, SelfAttention):
        mixer = block.mixer
        yield "heads", _Product(len(kept.heads), mixer.output_projection, [(mixer.query_key_value, 3)])
    if block.cross_attention is not None:
        before = [(block.cross_attention.query, 1), (model.bridge.keys_values[number].key_value, 2)]
        yield "memory_heads", _Product(len(kept.memory_heads), block.cross_attention.output_projection, before)
    forward = block.feed_forward
    ups = [(product, 1) for product in (forward.up, forward.gate) if product is not None]
    yield "units", _Product(len(kept.units), forward.down, ups)


def _sums_of_sizes(model: Seq2Seq, places: Mapping[Place, _Product], spec: Any) -> Any:
    """A function of a batch: the sums over its pairs of the sizes of the changes, by place."""

    @tf.function(input_signature=spec, autograph=False)
    def sums(inputs: Any, labels: Any, weights: Any) -> dict[Place, tf.Tensor]:
        rows = tf.shape(next(iter(inputs.values())))[0]
        with tf.GradientTape() as tape:
            gates = {place: tf.ones((rows, product.total)) for place, product in places.items()}
            tape.watch(gates)
            by_kernel = {id(product.behind.kernel): gates[place] for place, product in places.items()}
            with fused.lowering(_Gates(by_kernel)):
                outputs = model(inputs, training=False)
            loss = sum_of_losses(model, outputs, labels, weights)
        gradients = tape.gradient(loss, gates)
        return {place: tf.reduce_sum(tf.abs(gradients[place]), axis=0) for place in places}

    return sums


class _Gates:
    """The backend of `layers.fused.lowering` that multiplies what heads and units give by gates.

    Args:
        gates: (B, total) by the identity of the kernel of the product that takes it.
    """

    def __init__(self, gates: Mapping[int, Tensor]) -> None:
        self._gates = gates

    def linear(self, x: Tensor, kernel: Any, *others: Any, **options: Any) -> Tensor:
        """See `layers.fused.linear`."""
        gate = self._gates.get(id(kernel))
        if gate is not None:
            x = x * ops.repeat(gate, x.shape[-1] // gate.shape[-1], axis=-1)[:, None]  # (B, T, total · size)
        with fused.lowering(None):
            return fused.linear(x, kernel, *others, **options)
