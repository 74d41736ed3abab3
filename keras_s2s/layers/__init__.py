"""Attention, positions, recurrent cells, feed-forward: Keras layers, written in `keras.ops`."""

from keras_s2s.layers.attention import (
    AdditiveAttention,
    CrossAttention,
    MemoryKeysValues,
    SelfAttention,
    causal_mask,
)
from keras_s2s.layers.core import Embedding, LayerNorm, Linear
from keras_s2s.layers.feed_forward import FeedForward
from keras_s2s.layers.positions import sinusoids
from keras_s2s.layers.recurrent import LSTM, BidirectionalLSTM

__all__ = [
    "LSTM",
    "AdditiveAttention",
    "BidirectionalLSTM",
    "CrossAttention",
    "Embedding",
    "FeedForward",
    "LayerNorm",
    "Linear",
    "MemoryKeysValues",
    "SelfAttention",
    "causal_mask",
    "sinusoids",
]
