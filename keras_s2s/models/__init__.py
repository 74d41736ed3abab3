"""Typed config; encoders, decoders, heads; their functional assembly."""

import keras_s2s.backend  # noqa: F401
from keras_s2s.models.config import Architecture, ModelConfig
from keras_s2s.models.describe import Part, describe
from keras_s2s.models.part_config import (
    BlockDecoderConfig,
    ConvolutionConfig,
    CRFHeadConfig,
    CTCHeadConfig,
    GRUDecoderConfig,
    GRUEncoderConfig,
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    RecurrentDecoderConfig,
    RecurrentEncoderConfig,
    SSRUDecoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
)
from keras_s2s.models.seq2seq import Seq2Seq, build

__all__ = [
    "Architecture",
    "BlockDecoderConfig",
    "CRFHeadConfig",
    "CTCHeadConfig",
    "ConvolutionConfig",
    "GRUDecoderConfig",
    "GRUEncoderConfig",
    "LSTMDecoderConfig",
    "LSTMEncoderConfig",
    "ModelConfig",
    "Part",
    "RecurrentDecoderConfig",
    "RecurrentEncoderConfig",
    "SSRUDecoderConfig",
    "Seq2Seq",
    "TransformerDecoderConfig",
    "TransformerEncoderConfig",
    "build",
    "describe",
]
