"""Checks of a loss."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_s2s.labels import Labels
from keras_s2s.losses import LOSSES, LabelledLoss, Total


def check_loss(
    options: Mapping[str, Any],
    labels: np.ndarray,
    outputs: np.ndarray,
    weights: np.ndarray,
    beside: Mapping[str, np.ndarray] | None = None,
    expected: float | None = None,
) -> float:
    """Checks that a recipe can name a loss and that it keeps its contract; returns its value.

    Args:
        options: as in a recipe's `training.losses`, such as `{"kind": "focal", "gamma": 2.0}`.
        labels: (B, T) int32 of its head.
        outputs: of its head, float32.
        weights: (B, T) float32, 0 at padding, of which there must be some.
        beside: of a `LabelledLoss`, the labels that it reads beside those.
        expected: the loss without its `weight`, by another way.

    Raises:
        AssertionError: the contract is broken; says how.
    """
    config = LOSSES.parse(dict(options))
    kind = config.kind
    assert LOSSES[kind] is type(config), f"{kind}: another class is registered under this kind"
    again = LOSSES.parse(config.model_dump(mode="json"))
    assert again == config, f"{kind}: written as JSON and read again, the options are {again}, not {config}"
    loss = config.loss()
    assert not config.labels() or isinstance(loss, LabelledLoss), f"{kind}: has labels() and is no LabelledLoss"
    assert isinstance(loss, LabelledLoss) or beside is None, f"{kind}: reads labels beside ids and is no LabelledLoss"
    assert loss.reduction == "mean_with_sample_weight", (
        f"{kind}: reduction {loss.reduction}; expected the weighted mean"
    )
    assert (weights == 0).any(), "weights: give some padding, with weights of 0"
    given: Any = (
        labels if beside is None else Labels(labels, {name: tf.constant(more) for name, more in beside.items()})
    )
    value, gradient = _value_and_gradient(loss, given, outputs, weights)
    assert np.isfinite(value) and np.isfinite(gradient).all(), (
        f"{kind}: the loss is {value}, or its gradient not finite"
    )
    if expected is not None:
        np.testing.assert_allclose(value, expected, rtol=1e-4, err_msg=f"{kind}: its value")
    _check_gradient(loss, given, outputs, weights, gradient, kind)
    twice, _ = _value_and_gradient(Total([(loss, 2.0)]), given, outputs, weights)
    np.testing.assert_allclose(twice, 2 * value, rtol=1e-5, err_msg=f"{kind}: its value at twice the weight")
    copy = type(loss).from_config(loss.get_config())
    np.testing.assert_allclose(
        _value_and_gradient(copy, given, outputs, weights)[0], value, err_msg=f"{kind}: made again by its get_config()"
    )
    return value


def _value_and_gradient(loss: keras.losses.Loss, labels: Any, outputs: np.ndarray, weights: np.ndarray) -> Any:
    x = tf.constant(outputs, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(labels, x, tf.constant(weights, tf.float32))
    assert len(value.shape) == 0, f"the loss has the shape {value.shape}; expected one number"
    return float(value), tf.convert_to_tensor(tape.gradient(value, x)).numpy()


def _check_gradient(
    loss: keras.losses.Loss, labels: Any, outputs: np.ndarray, weights: np.ndarray, gradient: np.ndarray, kind: str
) -> None:
    """Compares the slope along some directions with differences of values."""
    draw, size = np.random.default_rng(1), 1e-2
    for _ in range(3):
        direction = draw.choice(np.array([-1, 1], np.float32), size=outputs.shape)
        ahead, behind = (
            float(loss(labels, tf.constant(outputs + sign * size * direction), tf.constant(weights, tf.float32)))
            for sign in (1, -1)
        )
        slope, by_difference = float((gradient * direction).sum()), (ahead - behind) / (2 * size)
        np.testing.assert_allclose(
            slope, by_difference, rtol=0.02, atol=2e-3, err_msg=f"{kind}: its gradient, by differences"
        )
