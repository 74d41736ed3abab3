"""Optimisers: those of Keras, with what surrounds them."""

from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.config import parse
from keras_s2s.models import CRFHeadConfig, CTCHeadConfig, LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.training.optimizers import OptimizerConfig, averaged_weights, make_optimizer
from keras_s2s.training.schedules import ConstantConfig

RATE = ConstantConfig(learning_rate=0.1)
X = np.random.default_rng(1).normal(size=(8, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [3.0]], "float32")


def model(config: OptimizerConfig, steps: int = 100) -> Any:
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(inputs)
    made = keras.Model(inputs, outputs)
    made.compile(loss="mse", optimizer=make_optimizer(config, steps))
    return made


def gradient(kernel: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 2 * x.T @ (x @ kernel - y) / len(x)


def kernel_of(model: Any) -> np.ndarray:
    return model.trainable_variables[0].numpy()


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd", "lion", "adafactor", "rmsprop", "nadam", "lamb"])
def test_optimisers_of_keras_train(kind: str) -> None:
    trained = model(OptimizerConfig(kind=kind, schedule=ConstantConfig(learning_rate=0.01)))
    losses = trained.fit(X, Y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert type(trained.optimizer).__name__.lower() == kind


def test_options_reach_the_optimiser() -> None:
    options: Any = {"beta_2": 0.98, "epsilon": "1e-9", "weight_decay": 0.01, "amsgrad": True}
    optimizer: Any = make_optimizer(OptimizerConfig(kind="adamw", options=options), 100)
    assert (optimizer.beta_2, optimizer.epsilon, optimizer.weight_decay) == (0.98, 1e-9, 0.01)
    assert optimizer.amsgrad is True


def test_a_step_of_muon_is_orthogonal() -> None:
    inputs = keras.Input((3,))
    trained = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(inputs))
    options: Any = {"weight_decay": 0.0}
    trained.compile(
        loss="mse", optimizer=make_optimizer(OptimizerConfig(kind="muon", options=options, schedule=RATE), 9)
    )
    before = kernel_of(trained)
    trained.fit(X, np.concatenate([Y, X[:, :1]], axis=1), batch_size=8, verbose=0)
    stretch = np.linalg.svd((kernel_of(trained) - before) / (0.1 * 0.2 * 3**0.5))[1]
    # Newton and Schulz' iteration brings singular values near 1, not to it.
    assert np.all((stretch > 0.6) & (stretch < 1.3))


@pytest.mark.parametrize(
    "parts", [{"decoder": LSTMDecoderConfig()}, {"ctc": CTCHeadConfig()}, {"crf": CRFHeadConfig()}]
)
def test_muon_leaves_to_adam_what_has_a_place_for_each_token(parts: dict[str, Any]) -> None:
    sizes = {"width": 8, "source_vocabulary": 11, "target_vocabulary": 13}
    weights = build(ModelConfig(encoder=LSTMEncoderConfig(), **sizes, **parts)).trainable_variables
    optimizer: Any = make_optimizer(OptimizerConfig(kind="muon"), 9)
    optimizer.build(weights)
    of_muon = [w for w, velocity in zip(weights, optimizer.adam_velocities, strict=True) if velocity is None]
    assert of_muon
    assert {11, 13, 14}.isdisjoint(size for w in of_muon for size in w.shape)


def test_gradients_are_clipped_by_their_norm_together() -> None:
    trained = model(OptimizerConfig(kind="sgd", schedule=RATE, clip_norm=0.5))
    trained.fit(X, Y, batch_size=8, verbose=0)
    g = gradient(np.ones((3, 1)), X, Y)
    np.testing.assert_allclose(kernel_of(trained), 1 - 0.1 * g / np.linalg.norm(g) * 0.5, rtol=1e-5)


def test_accumulated_batches_are_one_step_of_the_joined_batch() -> None:
    joined = model(OptimizerConfig(kind="sgd", schedule=RATE))
    parts = model(OptimizerConfig(kind="sgd", schedule=RATE, accumulation=4))
    joined.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    parts.fit(X, Y, batch_size=2, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(kernel_of(parts), kernel_of(joined), rtol=1e-5)
    assert int(parts.optimizer.iterations) == int(joined.optimizer.iterations) == 3


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_moving_average_is_there_inside_the_block_alone(accumulation: int) -> None:
    trained = model(OptimizerConfig(kind="sgd", schedule=RATE, average=0.9, clip_norm=None, accumulation=accumulation))
    kernel = average = np.ones((3, 1))
    by_batch = 0.9 ** (1 / accumulation)
    seen = kernel
    for step in range(3):
        after = kernel - 0.1 * gradient(kernel, X, Y)
        for number, part in enumerate(np.split(np.arange(8), accumulation), start=1):
            trained.train_on_batch(X[part], Y[part])
            kernel = after if number == accumulation else kernel
            average = by_batch * average + (1 - by_batch) * kernel if step else kernel
        with averaged_weights(trained):
            seen = kernel_of(trained)
        np.testing.assert_allclose(kernel_of(trained), kernel, rtol=1e-4)
    np.testing.assert_allclose(seen, average, rtol=1e-4)
    assert not np.allclose(seen, kernel, rtol=5e-2)


def test_own_weights_come_back_after_an_error() -> None:
    trained = model(OptimizerConfig(kind="sgd", schedule=RATE, average=0.9))
    for _ in range(3):
        trained.train_on_batch(X, Y)
    own = kernel_of(trained)
    with pytest.raises(RuntimeError), averaged_weights(trained):
        assert not np.allclose(kernel_of(trained), own)
        raise RuntimeError
    np.testing.assert_array_equal(kernel_of(trained), own)


def test_without_an_average_or_a_step_weights_stay() -> None:
    for config in (OptimizerConfig(average=0.9), OptimizerConfig()):
        untrained = model(config)
        with averaged_weights(untrained):
            np.testing.assert_array_equal(kernel_of(untrained), np.ones((3, 1)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "adan"}, "recipe: OptimizerConfig: kind: 'adan' is no optimiser of Keras; did you mean 'adam'?"),
        ({"kind": "zzz"}, "recipe: OptimizerConfig: kind: 'zzz' is no optimiser of Keras; Keras has adadelta, "),
        (
            {"options": {"beta2": 0.9}},
            "recipe: OptimizerConfig: options.beta2: adam has no such option; did you mean 'beta_2'?",
        ),
        (
            {"options": {"learning_rate": 0.1}},
            "recipe: OptimizerConfig: options.learning_rate: say it with the key 'schedule.learning_rate' of ",
        ),
        (
            {"options": {"beta_2": True}},
            "recipe: OptimizerConfig: options.beta_2: expected a number, not True",
        ),
        (
            {"options": {"amsgrad": 1}},
            "recipe: OptimizerConfig: options.amsgrad: expected true or false, not 1",
        ),
        ({"average": 1.0}, "recipe: average: Input should be less than 1"),
    ],
)
def test_mistakes(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(OptimizerConfig, given, "recipe")
    assert str(error.value).startswith(message)


def test_what_keras_refuses_is_said_in_one_line() -> None:
    config = OptimizerConfig(kind="sgd", options={"momentum": 3.0})
    with pytest.raises(UserError, match=r"^optimizer: sgd: options: `momentum` must be a float between \[0, 1\]"):
        make_optimizer(config, 10)


def test_accumulation_must_be_settled() -> None:
    with pytest.raises(UserError, match="give a number"):
        make_optimizer(OptimizerConfig(accumulation="auto"), 10)
