"""The functional assembly of a model from its config."""

from typing import Any, Self

import keras

from keras_s2s.layers import Embedding
from keras_s2s.models.config import ModelConfig
from keras_s2s.models.encoders import LSTMEncoder, TransformerEncoder
from keras_s2s.models.heads import TokenHead
from keras_s2s.models.lstm_decoder import LSTMBridge, LSTMDecoder
from keras_s2s.models.transformer_decoder import TransformerBridge, TransformerDecoder

ENCODERS = {"lstm": LSTMEncoder, "transformer": TransformerEncoder}
DECODERS = {"lstm": (LSTMBridge, LSTMDecoder), "transformer": (TransformerBridge, TransformerDecoder)}


@keras.saving.register_keras_serializable("keras_s2s")
class Seq2Seq(keras.Model):
    """A functional model: `source_ids` (B, S) and `target_ids` (B, T) -> `logits` (B, T, V).

    It is saved as its config and its weights, and loaded by building it again. Its parts, for decoding:
    `encoder(source_ids)` gives encoder outputs, `bridge` makes of them the decoder's first state,
    `decoder(ids, state)` advances it, `head` scores the next token.
    """

    def __init__(self, config: ModelConfig) -> None:
        target_embedding = Embedding(config.target_vocabulary, config.width, name="target_embedding")
        source_embedding = target_embedding
        if not config.share_embeddings:
            source_embedding = Embedding(config.source_vocabulary, config.width, name="source_embedding")
        make_bridge, make_decoder = DECODERS[config.decoder.kind]
        encoder = ENCODERS[config.encoder.kind](config.encoder, source_embedding, config.dropout, name="encoder")
        bridge = make_bridge(config.decoder, config.width, name="bridge")
        decoder = make_decoder(config.decoder, target_embedding, config.dropout, name="decoder")
        tied = target_embedding if config.tie_output else None
        head = TokenHead(config.target_vocabulary, tied, name="logits")

        source_ids = keras.Input((None,), dtype="int32", name="source_ids")
        target_ids = keras.Input((None,), dtype="int32", name="target_ids")
        hidden, _ = decoder(target_ids, bridge(encoder(source_ids)))
        inputs = {"source_ids": source_ids, "target_ids": target_ids}
        super().__init__(inputs=inputs, outputs=head(hidden), name="seq2seq")
        self.config = config
        self.encoder, self.bridge, self.decoder, self.head = encoder, bridge, decoder, head

    def get_config(self) -> dict[str, Any]:
        """The config as plain data."""
        return {"config": self.config.model_dump()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Builds the model that `get_config` describes, with new weights."""
        return cls(ModelConfig.model_validate(config["config"]))


def build(config: ModelConfig) -> Seq2Seq:
    """Makes a model with new weights, ready for `compile` and `fit`."""
    return Seq2Seq(config)
