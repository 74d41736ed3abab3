"""The assembly: which weights there are, and that they survive being saved."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.models import (
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    Seq2Seq,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)

INPUTS = {
    "source_ids": np.array([[4, 5, 6, 2], [7, 2, 0, 0]], "int32"),
    "target_ids": np.array([[1, 5, 8], [1, 4, 4]], "int32"),
}
PARTS: dict[str, tuple[Any, Any]] = {
    "lstm": (LSTMEncoderConfig(), LSTMDecoderConfig()),
    "transformer": (
        TransformerEncoderConfig(layers=1, heads=2, feed_forward=12),
        TransformerDecoderConfig(layers=1, heads=2, feed_forward=12),
    ),
}


def config(kind: str, shared: bool = False, tied: bool = False) -> ModelConfig:
    encoder, decoder = PARTS[kind]
    return ModelConfig(
        source_vocabulary=9,
        target_vocabulary=9,
        width=8,
        encoder=encoder,
        decoder=decoder,
        share_embeddings=shared,
        tie_output=tied,
    )


def test_number_of_parameters_of_a_recurrent_model() -> None:
    # Embeddings; both directions; bridge; decoder; attention; combination; logits.
    expected = 2 * 9 * 8 + 2 * 4 * 4 * (8 + 4 + 1) + (8 * 8 + 8 * 9) + 4 * 8 * (8 + 8 + 1)
    expected += (8 * 9 + 8) + 8 * 17 + 9 * 9
    assert build(config("lstm")).count_params() == expected


def test_number_of_parameters_of_a_transformer() -> None:
    norm, feed_forward = 16, 8 * 13 + 12 - 8 + 12 * 8 + 8
    attention = 4 * (8 * 8 + 8)
    encoder = attention + feed_forward + 2 * norm
    decoder = 2 * attention + feed_forward + 3 * norm
    assert build(config("transformer")).count_params() == 2 * 9 * 8 + encoder + decoder + 2 * norm + 9 * 9


@pytest.mark.parametrize(("shared", "tied"), [(False, False), (True, False), (False, True), (True, True)])
def test_shared_weights_are_counted_once(shared: bool, tied: bool) -> None:
    model = build(config("lstm", shared, tied))
    assert model.count_params() == build(config("lstm")).count_params() - 9 * 8 * (shared + tied)
    assert len({w.path for w in model.weights}) == len(model.weights)


@pytest.mark.parametrize(
    ("kind", "shared", "tied"),
    [("lstm", False, False), ("lstm", True, True), ("transformer", True, False), ("transformer", False, True)],
)
def test_a_saved_model_is_loaded_with_its_sharing(kind: str, shared: bool, tied: bool, tmp_path: Path) -> None:
    model = build(config(kind, shared, tied))
    rng = np.random.default_rng(6)
    model.set_weights([rng.normal(scale=0.5, size=w.shape) for w in model.get_weights()])
    model.save(tmp_path / "model.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, Seq2Seq)
    assert loaded.config == model.config
    assert loaded.count_params() == model.count_params()
    assert (loaded.encoder.embedding is loaded.decoder.embedding) == shared
    assert (loaded.head.tied is loaded.decoder.embedding) == tied
    np.testing.assert_array_equal(loaded(INPUTS), model(INPUTS))


def test_weights_alone_fit_a_model_built_again(tmp_path: Path) -> None:
    model, other = build(config("transformer", True, True)), build(config("transformer", True, True))
    assert not np.allclose(model(INPUTS), other(INPUTS))
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(INPUTS), model(INPUTS))


def test_a_change_of_a_shared_table_is_seen_by_all_who_use_it() -> None:
    model = build(config("lstm", shared=True, tied=True))
    before = np.asarray(model.encoder(INPUTS["source_ids"])["encoded"])
    model.decoder.embedding.table.assign(model.decoder.embedding.table * 2)
    assert not np.allclose(model.encoder(INPUTS["source_ids"])["encoded"], before)
    hidden = np.random.default_rng(1).normal(size=(1, 1, 8)).astype("float32")
    expected = hidden @ np.asarray(model.decoder.embedding.table).T + np.asarray(model.head.bias)
    np.testing.assert_allclose(model.head(hidden), expected, atol=1e-5)


@pytest.mark.parametrize("kind", PARTS)
def test_every_weight_gets_a_gradient(kind: str) -> None:
    model = build(config(kind))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(INPUTS) ** 2)
    gradients = tape.gradient(loss, model.trainable_weights)
    unused = [w.path for w, g in zip(model.trainable_weights, gradients, strict=True) if g is None]
    assert unused == []
