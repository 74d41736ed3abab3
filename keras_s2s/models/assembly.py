"""The parts of a model, made from its config."""

from typing import Any

import keras

from keras_s2s.layers import CELLS, MIXERS, Embedding
from keras_s2s.models.config import ModelConfig
from keras_s2s.models.heads import CRFHead, CTCHead, TokenHead
from keras_s2s.models.part_config import BlockConfig, RecurrentDecoderConfig
from keras_s2s.models.recurrent_bridge import RecurrentBridge
from keras_s2s.models.recurrent_decoder import RecurrentDecoder
from keras_s2s.models.recurrent_encoder import RecurrentEncoder
from keras_s2s.models.scheduled_sampling import ScheduledSampling
from keras_s2s.models.sources import FeatureSource, TokenSource
from keras_s2s.models.transformer_bridge import TransformerBridge
from keras_s2s.models.transformer_decoder import TransformerDecoder
from keras_s2s.models.transformer_encoder import TransformerEncoder

ENCODERS: dict[str, Any] = {"transformer": TransformerEncoder}
"""Encoders that are no stacks of cells, by kind."""

DECODERS: dict[str, tuple[Any, Any]] = {}
"""Bridges and decoders that are made neither of cells nor of mixers, by kind."""


class Parts:
    """The layers of a model, None where its config names none.

    Args:
        config: the model's.
    """

    def __init__(self, config: ModelConfig) -> None:
        embedding = None
        if config.decoder:
            embedding = Embedding(config.target_vocabulary, config.width, name="target_embedding")
        self.encoder: Any = None
        self.bridge: Any = None
        self.decoder: Any = None
        self.head: Any = None
        self.scheduled_sampling: Any = None
        self.ctc: Any = None
        self.crf: Any = None
        if config.encoder:
            source = _source(config, embedding if config.share_embeddings else None)
            make = _encoder(config.encoder.kind)
            self.encoder = make(config.encoder, source, config.width, config.dropout, name="encoder")
        if config.decoder:
            make_bridge, make_decoder = _decoder(config.decoder.kind)
            reads = config.encoder is not None
            self.bridge = make_bridge(config.decoder, config.width, reads, name="bridge")
            self.decoder = make_decoder(config.decoder, embedding, config.dropout, reads, name="decoder")
            self.head = TokenHead(config.target_vocabulary, embedding if config.tie_output else None, name="logits")
            if isinstance(config.decoder, RecurrentDecoderConfig) and config.decoder.scheduled_sampling:
                self.scheduled_sampling = ScheduledSampling(
                    config.decoder.scheduled_sampling, self.decoder, self.head, name="scheduled_sampling"
                )
        if config.ctc:
            self.ctc = CTCHead(config.target_vocabulary, config.width, config.ctc.upsampling, name="ctc")
        if config.crf:
            self.crf = CRFHead(config.target_vocabulary, name="crf")
        for part in filter(None, vars(self).values()):
            _build_by_call(part)


def _build_by_call(part: keras.layers.Layer) -> None:
    """Leaves it to the first call of a layer that is made of layers to build them.

    Keras would trace the call of such a layer, at every level, only to see its parts built, and trace it again.
    """
    for layer in part._flatten_layers():
        if layer._layers and type(layer).build is keras.layers.Layer.build:
            layer.built = True


def _encoder(kind: str) -> Any:
    return RecurrentEncoder if kind in CELLS else ENCODERS[kind]


def _decoder(kind: str) -> tuple[Any, Any]:
    """The bridge and the decoder."""
    if kind in CELLS:
        return RecurrentBridge, RecurrentDecoder
    return (TransformerBridge, TransformerDecoder) if kind in MIXERS else DECODERS[kind]


def _source(config: ModelConfig, shared: Embedding | None) -> keras.layers.Layer:
    vocabulary = config.source_vocabulary
    if vocabulary is None:
        return FeatureSource(config.width, config.front, name="source")
    embedding = shared or Embedding(vocabulary, config.width, name="source_embedding")
    # The blocks of a Transformer add positions of unit size; embeddings are drawn smaller, for a tied output.
    scale = config.width**0.5 if isinstance(config.encoder, BlockConfig) else 1.0
    return TokenSource(embedding, scale, name="source")
