"""Configs that fit together, and one clear line for those that do not."""

from typing import Any

import pytest

from keras_s2s.config import parse
from keras_s2s.errors import UserError
from keras_s2s.models import LSTMDecoderConfig, ModelConfig, TransformerEncoderConfig

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
            "model.yaml: decoder.heads: unknown key; known keys are kind, layers",
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
