"""Attention, positions, recurrent cells, feed-forward: Keras layers, written in `keras.ops`."""

import keras_s2s.backend  # noqa: F401
from keras_s2s.layers.attention import (
    AdditiveAttention,
    CrossAttention,
    DotAttention,
    GeneralAttention,
    MemoryKeysValues,
    SelfAttention,
    causal_mask,
)
from keras_s2s.layers.bidirectional import Bidirectional
from keras_s2s.layers.cells import CELLS, Cell, register_cell
from keras_s2s.layers.cells.gru import GRU
from keras_s2s.layers.cells.lstm import LSTM
from keras_s2s.layers.convolution import Convolution
from keras_s2s.layers.core import Embedding, LayerNorm, Linear, RMSNorm
from keras_s2s.layers.dropout import Dropout
from keras_s2s.layers.feed_forward import FeedForward
from keras_s2s.layers.layer_drop import LayerDrop
from keras_s2s.layers.mixers import MIXERS, Mixer, Tokens, register_mixer
from keras_s2s.layers.mixers.attention import AttentionMixer
from keras_s2s.layers.mixers.ssru import SSRU
from keras_s2s.layers.positions import ALiBi, LearnedPositions, RelativeBias, alibi_slopes, rotate, sinusoids
from keras_s2s.layers.scan import linear_recurrence

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "MIXERS",
    "SSRU",
    "ALiBi",
    "AdditiveAttention",
    "AttentionMixer",
    "Bidirectional",
    "Cell",
    "Convolution",
    "CrossAttention",
    "DotAttention",
    "Dropout",
    "Embedding",
    "FeedForward",
    "GeneralAttention",
    "LayerDrop",
    "LayerNorm",
    "LearnedPositions",
    "Linear",
    "MemoryKeysValues",
    "Mixer",
    "RMSNorm",
    "RelativeBias",
    "SelfAttention",
    "Tokens",
    "alibi_slopes",
    "causal_mask",
    "linear_recurrence",
    "register_cell",
    "register_mixer",
    "rotate",
    "sinusoids",
]
