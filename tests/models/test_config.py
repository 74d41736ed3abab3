"""Configs that fit together, and one clear line for those that do not."""

from typing import Any

import pytest

from keras_s2s.config import parse
from keras_s2s.errors import UserError
from keras_s2s.models import (
    BlockDecoderConfig,
    LSTMDecoderConfig,
    ModelConfig,
    RecurrentEncoderConfig,
    TransformerEncoderConfig,
)

GOOD: dict[str, Any] = {
    "source_vocabulary": 20,
    "target_vocabulary": 20,
    "width": 8,
    "encoder": {"kind": "transformer", "heads": 2},
    "decoder": {"kind": "lstm"},
}


def line(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        parse(ModelConfig, {**GOOD, **changes}, "model.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_plain_data_becomes_a_typed_config() -> None:
    config = parse(ModelConfig, GOOD, "model.yaml")
    assert config.encoder == TransformerEncoderConfig(heads=2)
    assert config.decoder == LSTMDecoderConfig()


def test_a_config_survives_as_plain_data() -> None:
    config = parse(ModelConfig, GOOD, "model.yaml")
    assert ModelConfig.model_validate(config.model_dump()) == config
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


def test_shared_embeddings_need_one_vocabulary() -> None:
    message = line(share_embeddings=True, target_vocabulary=21)
    assert "source has 20 entries and the target 21; use a joint tokenizer" in message
    parse(ModelConfig, {**GOOD, "share_embeddings": True}, "model.yaml")


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": {"kind": "transformer", "heads": 3}},
        {"decoder": {"kind": "transformer", "heads": 3}},
    ],
)
def test_the_width_is_a_multiple_of_the_heads(changes: dict) -> None:
    assert "width 8 is not a multiple of 3 heads" in line(**changes)


def test_the_width_is_even() -> None:
    message = line(width=9, encoder={"kind": "lstm"})
    assert "width 9 must be even" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dropout": 1.0}, "model.yaml: dropout: Input should be less than 1, got 1.0"),
        ({"source_vocabulary": 4}, "model.yaml: source_vocabulary: Input should be greater than or equal to 5, got 4"),
        ({"widht": 8}, "model.yaml: widht: unknown key; did you mean 'width'?"),
        (
            {"encoder": {"kind": "transformer", "layer": 2}},
            "model.yaml: encoder.layer: unknown key; did you mean 'layers'?",
        ),
        (
            {"decoder": {"kind": "lstm", "heads": 2}},
            "model.yaml: decoder.heads: unknown key; known keys are attention, input_feeding, kind, layers, "
            "scheduled_sampling",
        ),
        (
            {"decoder": {"kind": "lstm", "layers": 0}},
            "model.yaml: decoder.layers: Input should be greater than 0, got 0",
        ),
    ],
)
def test_a_wrong_key_or_value_is_named(changes: dict, expected: str) -> None:
    assert line(**changes) == expected


def test_replace_checks_that_the_parts_still_fit() -> None:
    config = parse(ModelConfig, GOOD, "model.yaml")
    assert config.replace(width=16).width == 16
    with pytest.raises(UserError, match="width 9"):
        config.replace(width=9)


LANGUAGE_MODEL: dict[str, Any] = {"source_vocabulary": None, "encoder": None}
LABELLER: dict[str, Any] = {"decoder": None}
FEATURES: dict[str, Any] = {"source_vocabulary": None, "source_features": 80}


@pytest.mark.parametrize(
    "changes",
    [
        LANGUAGE_MODEL,
        {**LABELLER, "ctc": {"upsampling": 3}},
        {**LABELLER, "crf": {}},
        {**LABELLER, "ctc": {}, "crf": {}},
        {"ctc": {}},
        FEATURES,
        {**FEATURES, "front": {"stride": 3}, "ctc": {}},
        {"encoder": {"kind": "gru", "bidirectional": False}, "decoder": {"kind": "gru", "input_feeding": True}},
        {"decoder": {"kind": "ssru", "heads": 2, "positions": "learned", "maximum_length": 9}},
        {"decoder": {"kind": "transformer", "layers": 3, "heads": [4, 2, 1], "feed_forward": [9, 8, 7]}},
        {"decoder": {"kind": "transformer", "layers": 2, "heads": [3, 1], "head_width": 2, "memory_heads": [1, 5]}},
        {"decoder": {"kind": "transformer", "layers": 2, "heads": [3, 1], "head_width": [2, 6]}},
        {"decoder": {"kind": "ssru", "layers": 2, "heads": 4, "memory_heads": [3, 1]}},
        {"encoder": {"kind": "transformer", "heads": 3, "head_width": 5, "positions": "alibi", "slopes": [1, 0.5, 2]}},
    ],
    ids=str,
)
def test_what_goes_together(changes: dict) -> None:
    config = parse(ModelConfig, {**GOOD, **changes}, "model.yaml")
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"encoder": None, "decoder": None}, "a model needs an encoder, a decoder or both"),
        (LABELLER, "an encoder alone has no output; add a decoder, ctc or crf"),
        ({**LANGUAGE_MODEL, "ctc": {}}, "ctc needs an encoder, and a language model has none; leave it out"),
        ({**LANGUAGE_MODEL, "crf": {}}, "crf needs an encoder, and a language model has none; leave it out"),
        ({**LANGUAGE_MODEL, "front": {}}, "front needs an encoder, and a language model has none; leave it out"),
        ({**LANGUAGE_MODEL, "guided_alignment": True}, "guided_alignment needs an encoder, and a language model has "),
        ({**LANGUAGE_MODEL, "share_embeddings": True}, "share_embeddings needs an encoder"),
        (
            {**LANGUAGE_MODEL, "decoder": {"kind": "gru", "input_feeding": True}},
            "decoder.input_feeding needs an encoder to attend to; a language model has none",
        ),
        ({"encoder": None}, "a language model reads no source; leave out source_vocabulary"),
        ({**LANGUAGE_MODEL, "source_features": 3}, "a language model reads no source; leave out source_features"),
        ({**LABELLER, "ctc": {}, "tie_output": True}, "tie_output needs a decoder, whose embedding it uses"),
        ({**LABELLER, "ctc": {}, "share_embeddings": True}, "share_embeddings needs a decoder"),
        ({**LABELLER, "ctc": {}, "guided_alignment": True}, "guided_alignment needs a decoder, whose attention "),
        ({"source_vocabulary": None}, "an encoder needs source_vocabulary or source_features, one of the two"),
        ({"source_features": 80}, "an encoder needs source_vocabulary or source_features, one of the two"),
        ({"front": {}}, "front shortens frames, so it needs source_features; leave it out for tokens"),
        ({**FEATURES, "share_embeddings": True}, "share_embeddings needs a source of tokens, not source_features"),
        ({**FEATURES, "crf": {}}, "crf labels tokens one by one, so it needs source_vocabulary; for frames use ctc"),
        ({"crf": {}, "ctc": {"upsampling": 2}}, "crf gives each source token one label, so ctc.upsampling beside it"),
        ({"ctc": {"upsampling": 0}}, "ctc.upsampling: Input should be greater than 0, got 0"),
        (
            {"encoder": {"kind": "transformer", "heads": 8, "positions": "rotary"}},
            "rotary positions need heads of an even width, not 1",
        ),
        ({"decoder": {"kind": "ssru", "heads": 3}}, "width 8 is not a multiple of 3 heads"),
        (
            {"decoder": {"kind": "ssru", "heads": 2, "positions": "rotary"}},
            "decoder: ssru works with sinusoidal or learned positions, not with rotary",
        ),
        (
            {"encoder": {"kind": "rnn"}},
            "encoder.kind: no such encoder; there are lstm, gru, transformer; layers.register_cell adds a cell of your "
            "own",
        ),
        ({"encoder": {"layers": 2}}, "encoder.kind: this key is required"),
        ({"decoder": {"kind": "rnn"}}, "decoder.kind: no such decoder; there are lstm, gru, transformer, ssru; "),
        (
            {"encoder": {"kind": "transformer", "layers": 3, "heads": [4, 2]}},
            "encoder.heads: 2 numbers for 3 layers; give one number for all, or one for each, got [4, 2]",
        ),
        (
            {"encoder": {"kind": "transformer", "layers": 2, "heads": [4, 0]}},
            "encoder.heads.1: Input should be greater",
        ),
        ({"encoder": {"kind": "transformer", "heads": "four"}}, "encoder.heads: Input should be a valid integer"),
        (
            {"decoder": {"kind": "ssru", "layers": 2, "heads": [2, 3]}},
            "width 8 is not a multiple of 3 heads",
        ),
        (
            {"encoder": {"kind": "transformer", "layers": 2, "heads": [2, 4], "positions": "alibi"}},
            "encoder: alibi positions have a bias for each head, which all layers share; give all layers the same ",
        ),
        (
            {**LANGUAGE_MODEL, "decoder": {"kind": "transformer", "memory_heads": 2}},
            "decoder.memory_heads needs an encoder to attend to; a language model has none",
        ),
        (
            {"decoder": {"kind": "transformer", "layers": 3, "head_width": [2, 4]}},
            "decoder.head_width: 2 numbers for 3 layers; give one number for all, or one for each, got [2, 4]",
        ),
        (
            {"decoder": {"kind": "transformer", "layers": 3, "memory_heads": [2, 4]}},
            "decoder.memory_heads: 2 numbers for 3 layers; give one number for all, or one for each, got [2, 4]",
        ),
        ({"decoder": {"kind": "ssru", "heads": 3, "head_width": 2}}, "width 8 is not a multiple of 3 heads"),
        (
            {"encoder": {"kind": "transformer", "heads": 3, "head_width": 5, "positions": "rotary"}},
            "rotary positions need heads of an even width, not 5",
        ),
        (
            {"encoder": {"kind": "transformer", "slopes": [1, 2, 3, 4]}},
            "encoder: slopes: sinusoidal positions have none; leave them out",
        ),
        (
            {"encoder": {"kind": "transformer", "positions": "alibi", "slopes": [1, 2]}},
            "encoder: slopes: 2 for 4 heads; give each head one",
        ),
        (
            {"decoder": {"kind": "lstm", "attention": "dott"}},
            "decoder.attention: Input should be 'additive', 'dot', 'general' or 'scaled', got 'dott'",
        ),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_said_in_one_line(changes: dict, expected: str) -> None:
    assert expected in line(**changes)


def test_a_kind_has_one_class() -> None:
    with pytest.raises(ValueError, match="'lstm' has a config class of its own; take that"):
        RecurrentEncoderConfig(kind="lstm")
    with pytest.raises(ValueError, match="'ssru' has a config class of its own; take that"):
        BlockDecoderConfig(kind="ssru")
