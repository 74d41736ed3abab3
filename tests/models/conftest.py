"""One tiny model of every kind and variant, built once."""

import functools
from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import pytest

from keras_s2s.layers import CELLS, MIXERS
from keras_s2s.models import (
    ConvolutionConfig,
    CRFHeadConfig,
    CTCHeadConfig,
    GRUDecoderConfig,
    GRUEncoderConfig,
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    SSRUDecoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)

BLOCKS: dict[str, Any] = {"layers": 2, "heads": 4, "feed_forward": 24}
ENCODERS: dict[str, Any] = {
    **{kind: {"kind": kind, "layers": 2} for kind in CELLS},
    "transformer": TransformerEncoderConfig(**{**BLOCKS, "heads": 2}),
}
DECODERS: dict[str, Any] = {
    **{kind: {"kind": kind, "layers": 2} for kind in CELLS},
    **{kind: {"kind": kind, **BLOCKS} for kind in MIXERS},
}


def blocks(**options: Any) -> dict[str, Any]:
    """Encoder and decoder alike."""
    options = {**BLOCKS, "layers": 1, **options}
    return {"encoder": TransformerEncoderConfig(**options), "decoder": TransformerDecoderConfig(**options)}


def gru(**options: Any) -> dict[str, Any]:
    return {"encoder": GRUEncoderConfig(), "decoder": GRUDecoderConfig(**options)}


FEATURES: dict[str, Any] = {"source_vocabulary": None, "source_features": 5}
NO_SOURCE: dict[str, Any] = {"source_vocabulary": None, "encoder": None}
VARIANTS: dict[str, dict[str, Any]] = {
    "lstm forwards": {"encoder": LSTMEncoderConfig(layers=2, bidirectional=False), "decoder": LSTMDecoderConfig()},
    "gru forwards": {"encoder": GRUEncoderConfig(bidirectional=False), "decoder": GRUDecoderConfig()},
    "transformer forwards": {
        "encoder": TransformerEncoderConfig(**BLOCKS, bidirectional=False),
        "decoder": LSTMDecoderConfig(),
    },
    **{f"{kind} attention": gru(attention=kind) for kind in ("dot", "general", "scaled")},
    "fed gru": gru(input_feeding=True, attention="general"),
    "fed lstm": {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig(layers=2, input_feeding=True)},
    **{f"{kind} positions": blocks(positions=kind) for kind in ("learned", "rotary", "relative", "alibi")},
    "learned ssru": {"encoder": GRUEncoderConfig(), "decoder": SSRUDecoderConfig(**BLOCKS, positions="learned")},
    "rms and gelu": blocks(norm="rms", activation="gelu"),
    "swiglu, post rms": blocks(layers=2, norm="rms", norm_place="post", activation="swiglu"),
    "sizes of each layer": blocks(layers=3, heads=[4, 2, 1], feed_forward=[24, 8, 12], positions="rotary"),
    "heads of their own width": {
        "encoder": TransformerEncoderConfig(layers=2, heads=[3, 1], head_width=8, feed_forward=[7, 24]),
        "decoder": TransformerDecoderConfig(
            layers=2, heads=[1, 3], memory_heads=[2, 1], head_width=[8, 6], feed_forward=[24, 5], positions="rotary"
        ),
    },
    "slopes": blocks(heads=3, head_width=4, positions="alibi", slopes=[0.5, 0.25, 0.0625]),
    "memory heads": {
        "encoder": GRUEncoderConfig(),
        "decoder": SSRUDecoderConfig(**BLOCKS, memory_heads=[3, 1]),
    },
    "unequal": {
        "encoder": TransformerEncoderConfig(**{**BLOCKS, "layers": 3}, layer_drop=0.5),
        "decoder": SSRUDecoderConfig(**{**BLOCKS, "layers": 1}, norm_place="post", layer_drop=0.5),
    },
    "shared and tied": {
        **blocks(),
        "source_vocabulary": 12,
        "share_embeddings": True,
        "tie_output": True,
        "ctc": CTCHeadConfig(),
    },
    "guided gru": {**gru(), "guided_alignment": True},
    "guided transformer": {**blocks(layers=2), "guided_alignment": True},
    "guided ssru": {"encoder": GRUEncoderConfig(), "decoder": SSRUDecoderConfig(**BLOCKS), "guided_alignment": True},
    "frames": {**blocks(positions="relative"), **FEATURES},
    "shortened frames": {**gru(), **FEATURES, "front": ConvolutionConfig()},
}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    f"{kind} alone": {**NO_SOURCE, "decoder": decoder} for kind, decoder in DECODERS.items()
} | {"rotary alone": {**NO_SOURCE, "decoder": TransformerDecoderConfig(**BLOCKS, positions="rotary")}}
LABELLERS: dict[str, dict[str, Any]] = {
    "ctc": {"encoder": GRUEncoderConfig(), "ctc": CTCHeadConfig(upsampling=2)},
    "frames to ctc": {"encoder": GRUEncoderConfig(), **FEATURES, "front": ConvolutionConfig(), "ctc": CTCHeadConfig()},
    "crf": {"encoder": ENCODERS["transformer"], "crf": CRFHeadConfig()},
    "both heads": {"encoder": LSTMEncoderConfig(), "ctc": CTCHeadConfig(), "crf": CRFHeadConfig()},
}
PRODUCT = {f"{e} to {d}": {"encoder": ENCODERS[e], "decoder": DECODERS[d]} for e, d in product(ENCODERS, DECODERS)}
# Every encoder and every decoder; across families there are pairs among the variants.
QUICK = {"lstm to lstm", "gru to gru", "transformer to transformer", "lstm to ssru"}
READERS = PRODUCT | VARIANTS
DECODING = READERS | LANGUAGE_MODELS
MODELS = DECODING | LABELLERS


@functools.cache
def make(name: str) -> Any:
    """A model whose weights are large, offsets and scales too, so that nothing stays unseen."""
    sizes: dict[str, Any] = {"source_vocabulary": 10, "target_vocabulary": 12, "width": 16, "dropout": 0.3}
    model = build(ModelConfig(**{**sizes, **MODELS[name]}))
    rng = np.random.default_rng(4)
    model.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in model.get_weights()])
    return model


def params(names: Iterable[str]) -> list[Any]:
    """The names; further pairs of kinds are slow."""
    return [pytest.param(n, marks=[pytest.mark.slow] if n in PRODUCT.keys() - QUICK else []) for n in names]


@pytest.fixture(scope="session", params=params(DECODING))
def model(request: Any) -> Any:
    """Every model that has a decoder."""
    return make(request.param)


@pytest.fixture(scope="session", params=params(READERS))
def reader(request: Any) -> Any:
    """Every model that has an encoder and a decoder."""
    return make(request.param)


@pytest.fixture(scope="session", params=LANGUAGE_MODELS)
def language_model(request: Any) -> Any:
    """Every model that has a decoder alone."""
    return make(request.param)


@pytest.fixture(scope="session", params=[*VARIANTS, *LANGUAGE_MODELS, *LABELLERS])
def variant(request: Any) -> Any:
    """Every model but the plain products of kinds, whose parts are all in these."""
    return make(request.param)


@pytest.fixture(scope="session")
def kinds() -> dict[str, set[str]]:
    """The kinds that the models above have."""
    return {"encoders": set(ENCODERS), "decoders": set(DECODERS)}
