"""A loss that is no number ends a training before it can do harm."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import UserError
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, Seq2Seq, build
from keras_s2s.training.non_finite import NonFinite

STEPS, SENTENCES = 12, 4


def make(step: int) -> Any:
    draw = np.random.default_rng(step)
    features = draw.normal(size=(SENTENCES, 8, 3)).astype("float32")
    labels = draw.integers(3, 9, (SENTENCES, 5)).astype("int32")
    target_ids = np.pad(labels[:, :-1], [(0, 0), (1, 0)], constant_values=1)
    lengths = np.full(SENTENCES, 8, "int32")
    inputs = {"source_features": features, "source_lengths": lengths, "target_ids": target_ids}
    return inputs, labels, np.ones_like(labels, "float32")


def spoilt(step: int) -> Any:
    """The batch of step 6, counted from 0, has a number that is none."""
    batch = make(step)
    if step == 6:
        batch[0]["source_features"][2, 1, 0] = np.nan
    return batch


@pytest.fixture(scope="module")
def built() -> tuple[Seq2Seq, list[tuple[Any, Any]]]:
    """A model, compiled once, and its variables and its optimiser's with their first values."""
    parts = {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig()}
    model = build(ModelConfig(source_features=3, target_vocabulary=9, width=4, **parts))
    model.compile(keras.optimizers.Adam(0.01), CrossEntropy())
    model.optimizer.build(model.trainable_variables)
    return model, [(variable, variable.numpy()) for variable in (*model.variables, *model.optimizer.variables)]


@pytest.fixture
def model(built: tuple[Seq2Seq, list[tuple[Any, Any]]]) -> Seq2Seq:
    """As if it were new."""
    model, first = built
    for variable, value in first:
        variable.assign(value)
    return model


def fit(model: Seq2Seq, batch_at: Any, folder: Path) -> None:
    """In intervals of 4 steps, with a checkpoint at the end of each."""
    spec = tf.nest.map_structure(lambda value: tf.TensorSpec((None, *value.shape[1:]), value.dtype), make(0))
    dataset = tf.data.Dataset.from_generator(lambda: map(batch_at, range(STEPS)), output_signature=spec)
    save = keras.callbacks.ModelCheckpoint(str(folder / "{epoch}.keras"))
    callbacks = [NonFinite(batch_at, folder), save]
    model.fit(dataset, epochs=3, steps_per_epoch=4, shuffle=False, verbose=0, callbacks=callbacks)


def test_data_that_are_no_numbers_are_named_and_kept_behind_the_last_checkpoint(model: Seq2Seq, tmp_path: Path) -> None:
    file = tmp_path / "non_finite_step_7.npz"
    with pytest.raises(UserError) as error:
        fit(model, spoilt, tmp_path)
    assert str(error.value) == (
        "training: the loss of step 7 is nan: inputs/source_features are not finite in row 2 of its batch; mend the"
        f" data; the batch is in {file}"
    )
    assert int(model.optimizer.iterations) == 7
    found = np.load(file, allow_pickle=False)
    inputs, labels, weights = spoilt(6)
    wanted = {f"inputs/{name}": value for name, value in inputs.items()} | {"labels": labels, "weights": weights}
    assert set(found) == {*wanted, "step", "learning_rate"}
    assert all(
        np.array_equal(found[name], value, equal_nan=name.endswith("features")) for name, value in wanted.items()
    )
    assert int(found["step"]) == 7 and float(found["learning_rate"]) == pytest.approx(0.01)
    assert sorted(path.name for path in tmp_path.glob("*.keras")) == ["1.keras"]
    kept = keras.models.load_model(tmp_path / "1.keras")
    assert int(kept.optimizer.iterations) == 4
    assert all(np.isfinite(weight).all() for weight in kept.get_weights())
    assert not all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_training_that_diverges_is_told_what_to_try(model: Seq2Seq, tmp_path: Path) -> None:
    model.optimizer.learning_rate = 1e38
    with pytest.raises(
        UserError, match=r"the loss of step \d+ is (nan|inf): try a lower learning rate \(it is 1e\+38\)"
    ):
        fit(model, make, tmp_path)
    assert len(list(tmp_path.glob("non_finite_step_*.npz"))) == 1


def after_first_step(model: Seq2Seq, batch: Any, folder: Path) -> NonFinite:
    callback = NonFinite([batch].__getitem__, folder)
    callback.set_model(model)
    model.optimizer.iterations.assign(1)
    return callback


def test_several_heads_are_kept_by_name(model: Seq2Seq, tmp_path: Path) -> None:
    inputs, labels, weights = make(0)
    heads = (inputs, {"ctc": labels, "logits": labels + 1}, {"ctc": weights, "logits": weights * 2})
    with pytest.raises(UserError, match="the loss of step 1 is inf"):
        after_first_step(model, heads, tmp_path).on_train_batch_end(0, {"loss": float("inf")})
    found = np.load(tmp_path / "non_finite_step_1.npz", allow_pickle=False)
    assert np.array_equal(found["labels/logits"], labels + 1) and np.array_equal(found["weights/logits"], weights * 2)


def test_a_folder_that_cannot_be_written_does_not_hide_the_loss(model: Seq2Seq, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    callback = after_first_step(model, make(0), tmp_path / "file")
    with pytest.raises(UserError, match=r"the loss of step 1 is nan: .*; the batch cannot be saved in .*File exists"):
        callback.on_train_batch_end(0, {"loss": float("nan")})


def test_finite_losses_pass(model: Seq2Seq, tmp_path: Path) -> None:
    fit(model, make, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.keras", "2.keras", "3.keras"]
