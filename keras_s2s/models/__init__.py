"""Typed config; encoders, decoders, heads; their functional assembly."""

from keras_s2s.models.config import (
    Architecture,
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from keras_s2s.models.seq2seq import Seq2Seq, build

__all__ = [
    "Architecture",
    "LSTMDecoderConfig",
    "LSTMEncoderConfig",
    "ModelConfig",
    "Seq2Seq",
    "TransformerDecoderConfig",
    "TransformerEncoderConfig",
    "build",
]
