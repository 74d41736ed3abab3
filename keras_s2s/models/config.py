"""What a model is made of, as typed, frozen data."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from keras_s2s.config import Config

Rate = Annotated[NonNegativeFloat, Field(lt=1)]


class LSTMEncoderConfig(Config):
    """Stacked bidirectional LSTMs, half of the model's width each way; residual from the second layer on."""

    kind: Literal["lstm"] = "lstm"
    layers: PositiveInt = 1


class TransformerEncoderConfig(Config):
    """Pre-norm Transformer blocks with sinusoidal positions."""

    kind: Literal["transformer"] = "transformer"
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    feed_forward: PositiveInt = 256


class LSTMDecoderConfig(Config):
    """Stacked LSTMs, then additive attention from the top one; residual from the second layer on."""

    kind: Literal["lstm"] = "lstm"
    layers: PositiveInt = 1


class TransformerDecoderConfig(Config):
    """Pre-norm Transformer blocks with sinusoidal positions and attention to the encoder in each."""

    kind: Literal["transformer"] = "transformer"
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    feed_forward: PositiveInt = 256


EncoderConfig = Annotated[LSTMEncoderConfig | TransformerEncoderConfig, Field(discriminator="kind")]
DecoderConfig = Annotated[LSTMDecoderConfig | TransformerDecoderConfig, Field(discriminator="kind")]


class Architecture(Config):
    """A model but for its vocabularies, which a tokenizer decides.

    Args:
        width: D, the size of embeddings, encoder outputs and decoder outputs alike.
        encoder: what reads the source.
        decoder: what writes the target.
        dropout: rate after embeddings and in every block.
        share_embeddings: one table for source and target; both vocabularies must be one.
        tie_output: the output layer's matrix is the target's embedding table (Press and Wolf 2017).
    """

    width: PositiveInt = 128
    encoder: EncoderConfig
    decoder: DecoderConfig
    dropout: Rate = 0.1
    share_embeddings: bool = False
    tie_output: bool = False

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width < 4 or self.width % 2:
            raise ValueError(f"width {self.width} must be even, and at least 4")
        for part in (self.encoder, self.decoder):
            if isinstance(part, TransformerEncoderConfig | TransformerDecoderConfig) and self.width % part.heads:
                raise ValueError(f"width {self.width} is not a multiple of {part.heads} heads")
        return self


class ModelConfig(Architecture):
    """A whole model.

    Args:
        source_vocabulary: ids that a source may hold, padding and the other special ones included.
        target_vocabulary: V, the same for the target.
    """

    source_vocabulary: Annotated[int, Field(ge=5)]
    target_vocabulary: Annotated[int, Field(ge=5)]

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.share_embeddings and self.source_vocabulary != self.target_vocabulary:
            raise ValueError(
                f"share_embeddings needs one vocabulary, but the source has {self.source_vocabulary} entries "
                f"and the target {self.target_vocabulary}; use a joint tokenizer"
            )
        return self
