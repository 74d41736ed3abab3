"""The options of a model's parts: front, encoders, decoders, heads."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from keras_s2s.config import Config

Rate = Annotated[NonNegativeFloat, Field(lt=1)]


class ConvolutionConfig(Config):
    """Strided convolutions over feature frames; each layer makes the sequence `stride` times shorter."""

    layers: PositiveInt = 2
    kernel: PositiveInt = 3
    stride: PositiveInt = 2


class BlockConfig(Config):
    """What all stacks of Transformer blocks have in common.

    Args:
        layers: number of blocks.
        heads: H, of every attention.
        feed_forward: inner size of the feed-forward part.
        positions: vectors added to the input ("sinusoidal", "learned"), rotated queries and keys ("rotary"), or biases
            of attention by distance ("relative": learned by bucket, "alibi": linear).
        maximum_length: number of "learned" positions; whatever stands beyond shares the last one.
        norm: "layer" or "rms".
        norm_place: "pre", x + f(norm(x)) and a norm at the end; "post", norm(x + f(x)).
        activation: of the feed-forward part.
        layer_drop: probability of leaving out a whole block in training (Fan et al. 2020).
    """

    layers: PositiveInt = 4
    heads: PositiveInt = 4
    feed_forward: PositiveInt = 256
    positions: Literal["sinusoidal", "learned", "rotary", "relative", "alibi"] = "sinusoidal"
    maximum_length: PositiveInt = 512
    norm: Literal["layer", "rms"] = "layer"
    norm_place: Literal["pre", "post"] = "pre"
    activation: Literal["relu", "gelu", "swiglu"] = "relu"
    layer_drop: Rate = 0.0


class RecurrentEncoderConfig(Config):
    """Stacked recurrent layers, residual from the second on.

    Args:
        layers: how many.
        bidirectional: half of the model's width each way; otherwise all of it forwards.
    """

    layers: PositiveInt = 1
    bidirectional: bool = True


class LSTMEncoderConfig(RecurrentEncoderConfig):
    """Stacked LSTMs."""

    kind: Literal["lstm"] = "lstm"


class GRUEncoderConfig(RecurrentEncoderConfig):
    """Stacked GRUs."""

    kind: Literal["gru"] = "gru"


class TransformerEncoderConfig(BlockConfig):
    """Transformer blocks.

    Args:
        bidirectional: whether a token sees those behind it.
    """

    kind: Literal["transformer"] = "transformer"
    bidirectional: bool = True


class RecurrentDecoderConfig(Config):
    """Stacked recurrent layers, residual from the second on, then attention from the top one.

    Args:
        layers: how many.
        attention: "additive" (Bahdanau et al. 2015), "dot" or "general" (Luong et al. 2015), "scaled" (dot, divided by
            the root of the width). A language model has none.
        input_feeding: the step before's attentional vector joins the input (Luong et al. 2015).
        scheduled_sampling: share of target tokens that, at the end of training, are replaced by the model's own
            predictions; it rises from 0 (Bengio et al. 2015).
    """

    layers: PositiveInt = 1
    attention: Literal["additive", "dot", "general", "scaled"] = "additive"
    input_feeding: bool = False
    scheduled_sampling: Rate = 0.0


class LSTMDecoderConfig(RecurrentDecoderConfig):
    """Stacked LSTMs."""

    kind: Literal["lstm"] = "lstm"


class GRUDecoderConfig(RecurrentDecoderConfig):
    """Stacked GRUs."""

    kind: Literal["gru"] = "gru"


class TransformerDecoderConfig(BlockConfig):
    """Transformer blocks with attention to the encoder in each."""

    kind: Literal["transformer"] = "transformer"


class SSRUDecoderConfig(BlockConfig):
    """Transformer blocks with an SSRU in the place of self-attention (Kim et al. 2019)."""

    kind: Literal["ssru"] = "ssru"
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"


class CTCHeadConfig(Config):
    """Connectionist temporal classification (Graves et al. 2006).

    Args:
        upsampling: k, frames made of each encoder output, so that an output can be longer than its source
            (Libovický and Helcl 2018).
    """

    upsampling: PositiveInt = 1


class CRFHeadConfig(Config):
    """A linear-chain conditional random field (Lafferty et al. 2001): one label for each source token."""


EncoderConfig = Annotated[
    LSTMEncoderConfig | GRUEncoderConfig | TransformerEncoderConfig,
    Field(discriminator="kind"),
]
DecoderConfig = Annotated[
    LSTMDecoderConfig | GRUDecoderConfig | TransformerDecoderConfig | SSRUDecoderConfig,
    Field(discriminator="kind"),
]
