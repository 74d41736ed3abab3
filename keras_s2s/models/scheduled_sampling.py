"""Training a decoder on its own predictions."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_s2s.special_ids import EOS
from keras_s2s.typing import State, Tensor


class ScheduledSampling(keras.layers.Layer):
    """In training puts the model's predictions in the place of some target ids (Bengio et al. 2015).

    All are predicted at once, in a first pass under teacher forcing (Mihaylova and Martins 2019; Duckworth et al.
    2019). They are the most probable tokens, for these are what greedy search would read, and the pass is without
    dropout, as decoding is. No gradient comes through it. BOS and padding stay, and so does a token in whose place the
    model predicts what no search ever reads: padding, BOS or EOS.

    Args:
        rate: share of places, when `scale` is 1.
        decoder: makes hidden (B, T, D) of ids and a state.
        head: makes logits (B, T, V) of these.

    Attributes:
        scale: from 0 to 1, a factor of the rate; `training.scheduled_sampling` raises it.
    """

    def __init__(self, rate: float, decoder: Any, head: Any, **options: Any) -> None:
        super().__init__(**options)
        self.rate = rate
        # In a function, for they are parts of the model, by their own names, and not of this layer.
        self.predict: Callable[[Tensor, State], Tensor] = lambda ids, state: head(
            decoder(ids, state, training=False)[0]
        )
        self.seed = keras.random.SeedGenerator()

    def build(self, *shapes: Any, **named: Any) -> None:
        """Makes the scale."""
        self.scale = self.add_weight(shape=(), initializer="zeros", trainable=False, name="scale")

    def call(self, ids: Tensor, state: State, training: bool | None = None) -> Tensor:
        """Target ids (B, T) and the decoder's first state -> what it reads in their place, (B, T)."""
        if not training:
            return ids
        predicted = ops.argmax(self.predict(ids, state), axis=-1)
        # What follows BOS is the first that can be predicted.
        predicted = ops.pad(ops.cast(predicted, ids.dtype)[:, :-1], ((0, 0), (1, 0)))
        chosen = keras.random.uniform(ops.shape(ids), seed=self.seed) < self.rate * self.scale
        return ops.where(
            ops.logical_and(chosen, ops.logical_and(ops.not_equal(ids, 0), predicted > EOS)), predicted, ids
        )
