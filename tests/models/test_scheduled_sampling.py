"""Scheduled sampling: what is replaced, what is learnt from it, and that nothing but training knows of it."""

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import UserError
from keras_s2s.config import parse
from keras_s2s.decoding import make_program
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import ModelConfig, Seq2Seq, build
from keras_s2s.models.scheduled_sampling import ScheduledSampling

SURE = 1 - 1e-7
IDS = np.array([[1, 5, 7, 3, 4], [1, 6, 5, 0, 0]], "int32")
INPUTS = {"source_ids": np.array([[4, 5, 6, 2], [7, 2, 0, 0]], "int32"), "target_ids": IDS}
LABELS = np.array([[5, 7, 3, 4, 2], [6, 5, 2, 0, 0]], "int32")
WEIGHTS = (LABELS != 0).astype("float32")
VARIANTS: dict[str, dict[str, Any]] = {
    "lstm": {"kind": "lstm"},
    "gru of two layers": {"kind": "gru", "layers": 2},
    "fed": {"kind": "gru", "input_feeding": True},
}


def one_more(ids: Any, state: Any, training: bool) -> tuple[Any, Any]:
    assert not training and state == {"memory": {}, "rows": {}}
    return keras.ops.one_hot(ids + 1, 20), state


def layer_of(rate: float, scale: float, decoder: Any = one_more) -> ScheduledSampling:
    """The one whose model expects of every id the next number."""
    layer = ScheduledSampling(rate, decoder, head=keras.ops.copy)
    layer.build()
    layer.scale.assign(scale)
    return layer


def replaced(ids: np.ndarray, rate: float, scale: float) -> np.ndarray:
    return np.asarray(layer_of(rate, scale)(ids, {"memory": {}, "rows": {}}, training=True))


def test_predictions_move_to_the_next_place_and_bos_and_padding_stay() -> None:
    # Behind BOS stands what was there, as the model expects EOS.
    assert replaced(IDS, SURE, 1.0).tolist() == [[1, 5, 6, 8, 4], [1, 6, 7, 0, 0]]


def test_at_scale_0_nothing_is_replaced() -> None:
    assert np.array_equal(replaced(IDS, SURE, 0.0), IDS)


@pytest.mark.parametrize("training", [None, False])
def test_outside_training_nothing_is_predicted(training: Any) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError

    assert np.array_equal(layer_of(SURE, 1.0, never)(IDS, {}, training=training), IDS)


@pytest.mark.parametrize(("rate", "scale"), [(0.3, 1.0), (0.6, 0.5), (0.8, 0.25)])
def test_the_share_of_what_is_replaced(rate: float, scale: float) -> None:
    ids = np.full((200, 301), 7, "int32")
    found = replaced(ids, rate, scale)
    assert set(np.unique(found)) == {7, 8}
    assert abs((found[:, 1:] == 8).mean() - rate * scale) < 0.01  # 5 standard deviations
    assert not np.array_equal(found, replaced(ids, rate, scale))


def make(rate: float, dropout: float = 0.0, **decoder: Any) -> Any:
    keras.utils.set_random_seed(3)
    decoder = {"kind": "gru", **decoder, "scheduled_sampling": rate}
    parts = {"encoder": {"kind": "gru"}, "decoder": decoder, "dropout": dropout}
    model: Any = build(
        ModelConfig.model_validate({"source_vocabulary": 9, "target_vocabulary": 9, "width": 8, **parts})
    )
    rng = np.random.default_rng(5)
    for w in model.trainable_weights:
        w.assign(rng.normal(scale=0.5, size=w.shape))
    # Nothing but ordinary tokens is expected, so that all of them are read.
    model.head.bias.assign(np.array([-99] * 3 + [0] * 6))
    return model


def test_without_a_rate_there_is_nothing() -> None:
    model = make(0.0)
    assert model.scheduled_sampling is None
    assert {layer.name for layer in model.layers} == {
        "source_ids",
        "target_ids",
        "encoder",
        "bridge",
        "decoder",
        "logits",
    }


def test_the_weights_are_those_of_a_model_without_it() -> None:
    with_it, without = make(0.5), make(0.0)
    names = [[w.path for w in model.trainable_weights] for model in (with_it, without)]
    assert names[0] == names[1]
    assert with_it.count_params() == without.count_params() + 1


@pytest.mark.parametrize("decoder", VARIANTS.values(), ids=VARIANTS)
def test_at_scale_0_training_is_teacher_forcing(decoder: dict[str, Any]) -> None:
    models = [make(rate, dropout=0.3, **decoder) for rate in (0.5, 0.0)]
    for model in models:
        model.compile(keras.optimizers.SGD(0.1), CrossEntropy(), run_eagerly=True)
        model.train_on_batch(INPUTS, LABELS, WEIGHTS)
    for one, other in zip(*(model.trainable_weights for model in models), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)


@pytest.mark.parametrize("decoder", VARIANTS.values(), ids=VARIANTS)
def test_at_a_rate_of_1_the_model_reads_its_predictions_and_learns_from_the_second_pass_alone(
    decoder: dict[str, Any],
) -> None:
    model, plain = make(SURE, **decoder), make(0.0, **decoder)
    model.scheduled_sampling.scale.assign(1)
    predicted = np.asarray(plain(INPUTS)).argmax(axis=-1)
    read = np.where(IDS != 0, np.pad(predicted[:, :-1], [(0, 0), (1, 0)], constant_values=1), 0)
    assert (read != IDS).any(axis=1).all()

    def logits_and_gradients(model: Any, ids: np.ndarray) -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            logits = model({**INPUTS, "target_ids": ids}, training=True)
            loss = CrossEntropy()(LABELS, logits, WEIGHTS)
        gradients = tape.gradient(loss, [w.value for w in model.trainable_weights])
        return [np.asarray(tf.convert_to_tensor(value)) for value in (logits, *gradients)]

    for found, expected in zip(logits_and_gradients(model, IDS), logits_and_gradients(plain, read), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def operators(function: Any) -> Counter[str]:
    return Counter(operation.type for operation in function.graph.get_operations())


def test_neither_inference_nor_decoding_sees_it() -> None:
    found = []
    for model in (make(0.5), make(0.0)):
        specs = {name: tf.TensorSpec((None, None), tf.int32) for name in INPUTS}
        forward = tf.function(lambda inputs, model=model: model(inputs, training=False), input_signature=[specs])
        programs = [make_program(model, strategy).get_concrete_function() for strategy in ("greedy", "score")]
        found.append([operators(function) for function in (forward.get_concrete_function(), *programs)])
    assert found[0] == found[1]


def test_a_saved_model_is_loaded_with_it(tmp_path: Path) -> None:
    model = make(0.5)
    model.scheduled_sampling.scale.assign(0.25)
    model.save(tmp_path / "model.keras")
    loaded: Any = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, Seq2Seq)
    assert loaded.config.decoder.scheduled_sampling == 0.5
    assert float(loaded.scheduled_sampling.scale.numpy()) == 0.25
    np.testing.assert_array_equal(loaded(INPUTS), model(INPUTS))


def test_a_transformer_has_none() -> None:
    config = {"decoder": {"kind": "transformer", "scheduled_sampling": 0.1}, "target_vocabulary": 9}
    with pytest.raises(UserError, match=r"^model\.yaml: decoder\.scheduled_sampling: unknown key"):
        parse(ModelConfig, config, "model.yaml")
