"""The configuration of a model as typed, frozen data, and the combinations that are refused."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from keras_s2s.config import Config
from keras_s2s.models.part_config import (
    BlockConfig,
    BlockDecoderConfig,
    ConvolutionConfig,
    CRFHeadConfig,
    CTCHeadConfig,
    DecoderConfig,
    EncoderConfig,
    Rate,
    RecurrentDecoderConfig,
)

Vocabulary = Annotated[int, Field(ge=5)]


class Architecture(Config):
    """A model but for its vocabularies, which a tokenizer decides.

    An encoder and a decoder make a sequence-to-sequence model; a decoder alone is a language model; an encoder with a
    CTC or CRF head labels its source. Heads may stand beside a decoder.

    Args:
        width: D, the size of embeddings, encoder outputs and decoder outputs alike.
        front: makes sequences of features shorter; without it features are but projected to D.
        encoder: what reads the source.
        decoder: what writes the target.
        ctc: a CTC head on the encoder.
        crf: a CRF head on the encoder.
        dropout: rate after embeddings and in every block.
        share_embeddings: one table for source and target; both vocabularies must be one.
        tie_output: the output layer's matrix is the target's embedding table (Press and Wolf 2017).
        guided_alignment: the decoder's attention is an output beside its logits, for `losses.GuidedAlignment`. It is
            the model's option and not the decoder's, as it adds an output and no weight; decoding is as without it.
    """

    width: PositiveInt = 128
    front: ConvolutionConfig | None = None
    encoder: EncoderConfig | None = None
    decoder: DecoderConfig | None = None
    ctc: CTCHeadConfig | None = None
    crf: CRFHeadConfig | None = None
    dropout: Rate = 0.1
    share_embeddings: bool = False
    tie_output: bool = False
    guided_alignment: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.encoder is None:
            if self.decoder is None:
                raise ValueError("a model needs an encoder, a decoder or both")
            for name in ("front", "ctc", "crf", "share_embeddings", "guided_alignment"):
                if getattr(self, name):
                    raise ValueError(f"{name} needs an encoder, and a language model has none; leave it out")
            if isinstance(self.decoder, RecurrentDecoderConfig) and self.decoder.input_feeding:
                raise ValueError("decoder.input_feeding needs an encoder to attend to; a language model has none")
            if isinstance(self.decoder, BlockDecoderConfig) and self.decoder.memory_heads:
                raise ValueError("decoder.memory_heads needs an encoder to attend to; a language model has none")
        if self.decoder is None:
            if self.ctc is None and self.crf is None:
                raise ValueError("an encoder alone has no output; add a decoder, ctc or crf")
            for name, uses in (
                ("share_embeddings", "embedding"),
                ("tie_output", "embedding"),
                ("guided_alignment", "attention"),
            ):
                if getattr(self, name):
                    raise ValueError(f"{name} needs a decoder, whose {uses} it uses; leave it out")
        return self

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width < 4 or self.width % 2:
            raise ValueError(f"width {self.width} must be even, and at least 4")
        for part in (self.encoder, self.decoder):
            if isinstance(part, BlockConfig):
                self._divides_into_heads(part)
        return self

    def _divides_into_heads(self, part: BlockConfig) -> None:
        for layer, heads in enumerate(part.heads_of_layers()):
            if self.width % heads and not part.options_of_heads(layer):
                raise ValueError(f"width {self.width} is not a multiple of {heads} heads")
        for size in part.head_width_of_layers(self.width):
            if part.positions == "rotary" and size % 2:
                raise ValueError(f"rotary positions need heads of an even width, not {size}")

    @model_validator(mode="after")
    def _labels_once(self) -> Self:
        if self.crf and self.ctc and self.ctc.upsampling > 1:
            raise ValueError("crf gives each source token one label, so ctc.upsampling beside it must be 1")
        return self


class ModelConfig(Architecture):
    """A whole model. Its source is tokens or features; a language model has none.

    Args:
        source_vocabulary: ids that a source may hold, padding and the other special ones included.
        source_features: F, the size of a frame of a source that is no tokens.
        target_vocabulary: V, the ids that a target may hold.
    """

    source_vocabulary: Vocabulary | None = None
    source_features: PositiveInt | None = None
    target_vocabulary: Vocabulary

    @model_validator(mode="after")
    def _reads(self) -> Self:
        given = [name for name in ("source_vocabulary", "source_features") if getattr(self, name)]
        if self.encoder is None and given:
            raise ValueError(f"a language model reads no source; leave out {' and '.join(given)}")
        if self.encoder is not None and len(given) != 1:
            raise ValueError("an encoder needs source_vocabulary or source_features, one of the two")
        if self.source_features:
            if self.share_embeddings:
                raise ValueError("share_embeddings needs a source of tokens, not source_features")
            if self.crf:
                raise ValueError("crf labels tokens one by one, so it needs source_vocabulary; for frames use ctc")
        elif self.front:
            raise ValueError("front shortens frames, so it needs source_features; leave it out for tokens")
        return self

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.share_embeddings and self.source_vocabulary != self.target_vocabulary:
            raise ValueError(
                f"share_embeddings needs one vocabulary, but the source has {self.source_vocabulary} entries "
                f"and the target {self.target_vocabulary}; use a joint tokenizer"
            )
        return self
