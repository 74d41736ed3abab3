"""The options of a model's parts: front, encoders, decoders, heads."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from keras_s2s.config import Config
from keras_s2s.layers import CELLS, MIXERS, SelfAttention

Rate = Annotated[NonNegativeFloat, Field(lt=1)]
Sizes = PositiveInt | tuple[PositiveInt, ...]
"""One number for all layers, or one for each."""


class ConvolutionConfig(Config):
    """Strided convolutions over feature frames; each layer makes the sequence `stride` times shorter."""

    layers: PositiveInt = 2
    kernel: PositiveInt = 3
    stride: PositiveInt = 2


class BlockConfig(Config):
    """The options that all stacks of Transformer blocks share.

    Args:
        layers: number of blocks.
        heads: H, of every attention; a list has a number for each layer.
        head_width: d, the size of a head of every attention; a list has one for each layer; null for the model's
            width / H.
        feed_forward: inner size of the feed-forward part; a list has one for each layer.
        positions: vectors added to the input ("sinusoidal", "learned"), rotated queries and keys ("rotary"), or biases
            of attention by distance ("relative": learned by bucket, "alibi": linear).
        slopes: of "alibi" positions, one for each head; null for those of Press et al. (2022).
        maximum_length: number of "learned" positions; whatever stands beyond shares the last one.
        norm: "layer" or "rms".
        norm_place: "pre", x + f(norm(x)) and a norm at the end; "post", norm(x + f(x)).
        activation: of the feed-forward part.
        layer_drop: probability of leaving out a whole block in training (Fan et al. 2020).
    """

    layers: PositiveInt = 4
    heads: Sizes = 4
    head_width: Sizes | None = None
    feed_forward: Sizes = 256
    positions: Literal["sinusoidal", "learned", "rotary", "relative", "alibi"] = "sinusoidal"
    slopes: tuple[PositiveFloat, ...] | None = None
    maximum_length: PositiveInt = 512
    norm: Literal["layer", "rms"] = "layer"
    norm_place: Literal["pre", "post"] = "pre"
    activation: Literal["relu", "gelu", "swiglu"] = "relu"
    layer_drop: Rate = 0.0

    @field_validator("heads", "head_width", "feed_forward", "memory_heads", check_fields=False)
    @classmethod
    def _for_each_layer(cls, sizes: Sizes | None, info: ValidationInfo) -> Sizes | None:
        layers = info.data.get("layers")
        if isinstance(sizes, tuple) and layers is not None and len(sizes) != layers:
            raise ValueError(f"{len(sizes)} numbers for {layers} layers; give one number for all, or one for each")
        return sizes

    @model_validator(mode="after")
    def _shares_biases(self) -> Self:
        if self.positions in ("relative", "alibi") and len({*self.heads_of_layers()}) > 1:
            raise ValueError(
                f"{self.positions} positions have a bias for each head, which all layers share; "
                "give all layers the same number of heads"
            )
        if self.slopes is not None and self.positions != "alibi":
            raise ValueError(f"slopes: {self.positions} positions have none; leave them out")
        if self.slopes is not None and len(self.slopes) != self.heads_of_layers()[0]:
            raise ValueError(f"slopes: {len(self.slopes)} for {self.heads_of_layers()[0]} heads; give each head one")
        return self

    def heads_of_layers(self) -> tuple[int, ...]:
        """H of each layer."""
        return self._of_layers(self.heads)

    def head_width_of_layers(self, width: int) -> tuple[int, ...]:
        """d of each layer, in a model of that width."""
        if self.head_width is None:
            return tuple(width // heads for heads in self.heads_of_layers())
        return self._of_layers(self.head_width)

    def options_of_heads(self, layer: int) -> dict[str, Any]:
        """What a layer that mixes tokens is told of its heads besides H."""
        return {} if self.head_width is None else {"head_width": self._of_layers(self.head_width)[layer]}

    def feed_forward_of_layers(self) -> tuple[int, ...]:
        """The inner size of each layer's feed-forward part."""
        return self._of_layers(self.feed_forward)

    def _of_layers(self, sizes: int | tuple[int, ...]) -> tuple[int, ...]:
        return sizes if isinstance(sizes, tuple) else (sizes,) * self.layers


_ENCODERS = ("lstm", "gru", "transformer")  # kinds with a class of their own
_DECODERS = ("lstm", "gru", "transformer", "ssru")


def _encoder_kind(kind: str) -> str:
    if kind in _ENCODERS:
        raise ValueError(f"'{kind}' has a config class of its own; take that")
    if kind not in CELLS:
        known = ", ".join(dict.fromkeys((*_ENCODERS, *CELLS)))
        raise ValueError(f"no such encoder; there are {known}; layers.register_cell adds a cell of your own")
    return kind


class RecurrentEncoderConfig(Config):
    """Stacked recurrent layers, residual from the second on.

    All layers have the model's width, since their outputs are added to each other.

    Args:
        kind: the name of a cell, see `layers.register_cell`.
        layers: how many.
        bidirectional: half of the model's width each way; otherwise all of it forwards.
    """

    kind: Annotated[str, AfterValidator(_encoder_kind)]
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


def _decoder_kind(kind: str) -> str:
    if kind in _DECODERS:
        raise ValueError(f"'{kind}' has a config class of its own; take that")
    if kind not in CELLS and kind not in MIXERS:
        known = ", ".join(dict.fromkeys((*_DECODERS, *CELLS, *MIXERS)))
        raise ValueError(
            f"no such decoder; there are {known}; layers.register_cell and register_mixer add those of your own"
        )
    return kind


class RecurrentDecoderConfig(Config):
    """Stacked recurrent layers, residual from the second on, then attention from the top one.

    All layers have the model's width, since their outputs are added to each other.

    Args:
        kind: the name of a cell, see `layers.register_cell`.
        layers: how many.
        attention: "additive" (Bahdanau et al. 2015), "dot" or "general" (Luong et al. 2015), "scaled" (dot, divided by
            the root of the width). A language model has none.
        input_feeding: the step before's attentional vector joins the input (Luong et al. 2015).
        scheduled_sampling: share of target tokens that, at the end of training, are replaced by the model's own
            predictions; it rises from 0 (Bengio et al. 2015).
    """

    kind: Annotated[str, AfterValidator(_decoder_kind)]
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


class BlockDecoderConfig(BlockConfig):
    """Transformer blocks, with attention to the encoder in each, whose tokens are mixed by a mixer.

    Args:
        kind: the name of a mixer, see `layers.register_mixer`.
        memory_heads: H of the attention to the encoder; a list has one for each layer; null for as many as `heads`
            says. Their size is that of the layer's other heads.
    """

    kind: Annotated[str, AfterValidator(_decoder_kind)]
    memory_heads: Sizes | None = None

    def memory_heads_of_layers(self) -> tuple[int, ...]:
        """H of each layer's attention to the encoder."""
        return self.heads_of_layers() if self.memory_heads is None else self._of_layers(self.memory_heads)

    def options_of_heads(self, layer: int) -> dict[str, Any]:
        """What a mixer is told of its heads besides H; `head_width` is for those that attend."""
        return super().options_of_heads(layer) if issubclass(MIXERS[self.kind], SelfAttention) else {}

    @model_validator(mode="after")
    def _mixes(self) -> Self:
        known = MIXERS[self.kind].positions
        if self.positions not in known:
            raise ValueError(f"{self.kind} works with {' or '.join(known)} positions, not with {self.positions}")
        return self


class TransformerDecoderConfig(BlockDecoderConfig):
    """Transformer blocks with self-attention."""

    kind: Literal["transformer"] = "transformer"


class SSRUDecoderConfig(BlockDecoderConfig):
    """Transformer blocks with an SSRU in the place of self-attention (Kim et al. 2019)."""

    kind: Literal["ssru"] = "ssru"


class CTCHeadConfig(Config):
    """Connectionist temporal classification (Graves et al. 2006).

    Args:
        upsampling: k, frames made of each encoder output, so that an output can be longer than its source
            (Libovický and Helcl 2018).
    """

    upsampling: PositiveInt = 1


class CRFHeadConfig(Config):
    """A linear-chain conditional random field (Lafferty et al. 2001): one label for each source token."""


def _kind(config: Any) -> Any:
    return config.get("kind") if isinstance(config, Mapping) else getattr(config, "kind", None)


def _encoder(config: Any) -> str:
    """The tag of an encoder's class; a kind without one is a cell."""
    kind = _kind(config)
    return kind if kind in _ENCODERS else "cell"


def _decoder(config: Any) -> str:
    kind = _kind(config)
    if kind in _DECODERS:
        return kind
    return "mixer" if isinstance(kind, str) and kind in MIXERS else "cell"


EncoderConfig = Annotated[
    Annotated[LSTMEncoderConfig, Tag("lstm")]
    | Annotated[GRUEncoderConfig, Tag("gru")]
    | Annotated[TransformerEncoderConfig, Tag("transformer")]
    | Annotated[RecurrentEncoderConfig, Tag("cell")],
    Discriminator(_encoder),
]
DecoderConfig = Annotated[
    Annotated[LSTMDecoderConfig, Tag("lstm")]
    | Annotated[GRUDecoderConfig, Tag("gru")]
    | Annotated[TransformerDecoderConfig, Tag("transformer")]
    | Annotated[SSRUDecoderConfig, Tag("ssru")]
    | Annotated[RecurrentDecoderConfig, Tag("cell")]
    | Annotated[BlockDecoderConfig, Tag("mixer")],
    Discriminator(_decoder),
]
