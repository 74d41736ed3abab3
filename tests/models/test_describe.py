"""A model's parts, counted."""

from typing import Any

from keras_s2s.models import (
    ConvolutionConfig,
    CTCHeadConfig,
    GRUDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    Part,
    TransformerEncoderConfig,
    build,
    describe,
)


def test_the_parts_are_the_whole(variant: Any) -> None:
    assert sum(part.parameters for part in describe(variant)) == variant.count_params()


def test_parts_stand_in_the_order_of_the_datas_way() -> None:
    config = ModelConfig(
        source_features=3,
        target_vocabulary=9,
        width=8,
        front=ConvolutionConfig(layers=1),
        encoder=TransformerEncoderConfig(layers=2),
        decoder=GRUDecoderConfig(),
        ctc=CTCHeadConfig(upsampling=2),
    )
    parts = describe(build(config))
    assert [(part.name, part.kind, part.shape) for part in parts] == [
        ("front", "Convolution", "(B, S', D)"),
        ("encoder", "transformer, 2 layers", "(B, S', D)"),
        ("target_embedding", "Embedding", "(R, T, D)"),
        ("bridge", "state", "B rows"),
        ("decoder", "gru, 1 layer", "(R, T, D)"),
        ("logits", "linear", "(R, T, V)"),
        ("ctc", "CTC", "(B, S'·2, V+1)"),
    ]
    assert parts[0].parameters == 3 * 3 * 8 + 8
    assert parts[2].parameters == 9 * 8


def test_what_is_shared_is_counted_at_its_first_part() -> None:
    config = ModelConfig(
        source_vocabulary=9,
        target_vocabulary=9,
        width=8,
        encoder=LSTMEncoderConfig(),
        decoder=GRUDecoderConfig(),
        share_embeddings=True,
        tie_output=True,
    )
    parts = describe(build(config))
    assert parts[0] == Part("embedding", "Embedding", "(B, S, D)", 72)
    assert [part.name for part in parts] == ["embedding", "encoder", "bridge", "decoder", "logits"]
    assert parts[-1] == Part("logits", "tied linear", "(R, T, V)", 9)
