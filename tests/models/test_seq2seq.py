"""The assembly: which weights there are, and that they survive being saved."""

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.layers import LayerNorm
from keras_s2s.models import (
    CTCHeadConfig,
    GRUEncoderConfig,
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    Seq2Seq,
    SSRUDecoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)

SOURCE_IDS = np.array([[4, 5, 6, 2], [7, 2, 0, 0]], "int32")
TENSORS = {
    "source_ids": SOURCE_IDS,
    "source_features": np.random.default_rng(3).normal(size=(2, 6, 5)).astype("float32"),
    "source_lengths": np.array([6, 3], "int32"),
    "target_ids": np.array([[1, 5, 8], [1, 4, 4]], "int32"),
}
INPUTS = {name: TENSORS[name] for name in ("source_ids", "target_ids")}
BLOCKS: dict[str, Any] = {"layers": 1, "heads": 2, "feed_forward": 12}
PARTS: dict[str, tuple[Any, Any]] = {
    "lstm": (LSTMEncoderConfig(), LSTMDecoderConfig()),
    "transformer": (TransformerEncoderConfig(**BLOCKS), TransformerDecoderConfig(**BLOCKS)),
    "ssru": (TransformerEncoderConfig(**BLOCKS), SSRUDecoderConfig(**BLOCKS)),
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


def inputs_of(model: Any) -> dict[str, np.ndarray]:
    return {tensor.name: TENSORS[tensor.name] for tensor in model.inputs}


def outputs_of(model: Any) -> dict[str, np.ndarray]:
    outputs = model(inputs_of(model))
    return {k: np.asarray(v) for k, v in (outputs if isinstance(outputs, dict) else {"": outputs}).items()}


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
    ssru = (8 * 8 + 8) + 8 * 8
    assert build(config("ssru")).count_params() == 2 * 9 * 8 + encoder + decoder - attention + ssru + 2 * norm + 9 * 9


@pytest.mark.parametrize(("shared", "tied"), [(True, False), (False, True), (True, True)])
def test_shared_weights_are_counted_once(shared: bool, tied: bool) -> None:
    model = build(config("lstm", shared, tied))
    assert model.count_params() == build(config("lstm")).count_params() - 9 * 8 * (shared + tied)
    assert (model.encoder.source.embedding is model.decoder.embedding) == shared
    assert (model.head.tied is model.decoder.embedding) == tied


def test_every_weight_has_a_path_of_its_own(variant: Any) -> None:
    assert len({w.path for w in variant.weights}) == len(variant.weights)


def test_a_model_is_built_by_one_call_of_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    call = LayerNorm.call

    @functools.wraps(call)
    def counted(self: Any, *given: Any) -> Any:
        called.append(self)
        return call(self, *given)

    monkeypatch.setattr(LayerNorm, "call", counted)
    model = build(config("transformer"))
    assert len(called) == sum(isinstance(layer, LayerNorm) for layer in model._flatten_layers()) > 2


@pytest.mark.filterwarnings("error")
def test_models_are_built_without_a_warning() -> None:
    build(config("transformer"))
    build(config("lstm").replace(encoder=GRUEncoderConfig(bidirectional=False)))


def test_a_saved_model_is_loaded(variant: Any, tmp_path: Path) -> None:
    variant.save(tmp_path / "model.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, Seq2Seq)
    assert loaded.config == variant.config
    assert loaded.get_config() == variant.get_config()
    assert loaded.count_params() == variant.count_params()
    assert loaded.source_names == variant.source_names
    expected, found = outputs_of(variant), outputs_of(loaded)
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_a_saved_model_is_loaded_with_its_sharing(tmp_path: Path) -> None:
    build(config("transformer", shared=True, tied=True)).save(tmp_path / "model.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.encoder.source.embedding is loaded.decoder.embedding
    assert loaded.head.tied is loaded.decoder.embedding


def test_weights_alone_fit_a_model_built_again(tmp_path: Path) -> None:
    model, other = build(config("transformer", True, True)), build(config("transformer", True, True))
    assert not np.allclose(model(INPUTS), other(INPUTS))
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(INPUTS), model(INPUTS))


def test_a_change_of_a_shared_table_is_seen_by_all_who_use_it() -> None:
    model = build(config("lstm", shared=True, tied=True))
    before = np.asarray(model.encoder({"source_ids": SOURCE_IDS})["encoded"])
    model.decoder.embedding.table.assign(model.decoder.embedding.table * 2)
    assert not np.allclose(model.encoder({"source_ids": SOURCE_IDS})["encoded"], before)
    hidden = np.random.default_rng(1).normal(size=(1, 1, 8)).astype("float32")
    expected = hidden @ np.asarray(model.decoder.embedding.table).T + np.asarray(model.head.bias)
    np.testing.assert_allclose(model.head(hidden), expected, atol=1e-5)


def test_every_weight_gets_a_gradient_at_any_length(variant: Any) -> None:
    inputs = inputs_of(variant)
    specs = {k: tf.TensorSpec([None] * min(v.ndim, 2) + list(v.shape[2:]), v.dtype) for k, v in inputs.items()}

    @tf.function(input_signature=[specs], autograph=False)
    def gradients(inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(variant(inputs, training=False))
            # Scores of the impossible are left out.
            loss = sum(tf.reduce_sum(tf.where(y > -1e8, y, 0.0) ** 2) for y in outputs)
        return tape.gradient(loss, [w.value for w in variant.trainable_weights])

    for w, g in zip(variant.trainable_weights, gradients(inputs), strict=True):
        assert g is not None, w.path
        assert np.isfinite(tf.convert_to_tensor(g)).all(), w.path
        assert np.abs(tf.convert_to_tensor(g)).max() > 0, w.path


def test_heads_are_outputs_by_name_and_one_head_is_the_output_itself() -> None:
    several = build(config("lstm").replace(ctc=CTCHeadConfig()))(INPUTS)
    assert {name: tuple(y.shape) for name, y in several.items()} == {"logits": (2, 3, 9), "ctc": (2, 4, 10)}
    labeller = build(config("lstm").replace(decoder=None, ctc=CTCHeadConfig()))
    assert labeller({"source_ids": SOURCE_IDS}).shape == (2, 4, 10)
    assert (labeller.bridge, labeller.decoder, labeller.head, labeller.crf) == (None, None, None, None)


def test_the_inputs_are_those_that_the_parts_read(variant: Any) -> None:
    target = ("target_ids",) if variant.decoder is not None else ()
    assert tuple(tensor.name for tensor in variant.inputs) == variant.source_names + target
    if variant.config.source_features:
        assert variant.source_names == ("source_features", "source_lengths")


def test_layers_are_called_what_they_are() -> None:
    model = build(config("lstm").replace(ctc=CTCHeadConfig()))
    named = {"source_ids", "target_ids", "encoder", "bridge", "decoder", "logits", "ctc"}
    assert {layer.name for layer in model.layers} == named


def test_the_summary_is_a_table_of_the_parts() -> None:
    lines: list[str] = []
    model = build(config("lstm", tied=True))
    model.summary(print_fn=lines.append)
    assert lines[0].split() == ["part", "kind", "output", "parameters"]
    assert lines[2] == "encoder           lstm, 1 layer  (B, S, D)         416"
    names = ["source_embedding", "encoder", "target_embedding", "bridge", "decoder", "logits", "total"]
    assert [line.split()[0] for line in lines[1:]] == names
    assert lines[-1].split()[-1] == f"{model.count_params():,}"
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary", "relative", "alibi"])
def test_mixed_precision_is_kept_by_all_positions(positions: str) -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = build(config("transformer").replace(encoder=TransformerEncoderConfig(**BLOCKS, positions=positions)))
        encoded = model.encoder({"source_ids": SOURCE_IDS})["encoded"]
        assert keras.backend.standardize_dtype(encoded.dtype) == "bfloat16"
    finally:
        keras.mixed_precision.set_global_policy("float32")
