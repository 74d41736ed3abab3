"""The recurrence of a whole sequence at once against the loop that it replaces."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.layers.scan import linear_recurrence

RNG = np.random.default_rng(1)
# Around powers of two the number of rounds changes.
LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 33, 100]
lengths = pytest.mark.parametrize("length", LENGTHS)


def some(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """decay, x and first."""
    decay = RNG.uniform(size=(2, length, 3)).astype("float32")
    return decay, RNG.normal(size=(2, length, 3)).astype("float32"), RNG.normal(size=(2, 3)).astype("float32")


def loop(decay: np.ndarray, x: np.ndarray, first: np.ndarray) -> np.ndarray:
    c, all_c = first, []
    for t in range(x.shape[1]):
        c = decay[:, t] * c + x[:, t]
        all_c.append(c)
    return np.stack(all_c, axis=1)


def loop_in_tensorflow(decay: Any, x: Any, first: Any) -> Any:
    c, all_c = first, []
    for t in range(x.shape[1]):
        c = decay[:, t] * c + x[:, t]
        all_c.append(c)
    return tf.stack(all_c, axis=1)


def operators(function: Any) -> set[str]:
    """Kinds of nodes in the trace of a function and in those that it calls."""
    definition = function.get_concrete_function().graph.as_graph_def()
    nodes = [*definition.node, *(node for f in definition.library.function for node in f.node_def)]
    return {node.op for node in nodes}


def traced(time: int | None) -> Any:
    return tf.function(
        linear_recurrence,
        autograph=False,
        input_signature=[
            tf.TensorSpec((None, time, 3)),
            tf.TensorSpec((None, time, 3)),
            tf.TensorSpec((None, 3)),
        ],
    )


@pytest.fixture(scope="module")
def of_any_length() -> Any:
    return traced(None)


@lengths
def test_equals_the_loop(length: int) -> None:
    inputs = some(length)
    np.testing.assert_allclose(linear_recurrence(*inputs), loop(*inputs), atol=1e-5)


@lengths
def test_equals_the_loop_when_traced_for_any_length(length: int, of_any_length: Any) -> None:
    inputs = some(length)
    np.testing.assert_allclose(of_any_length(*inputs), loop(*inputs), atol=1e-5)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_extreme_decays(decay: float) -> None:
    _, x, first = some(9)
    got = linear_recurrence(np.full_like(x, decay), x, first)
    np.testing.assert_allclose(got, np.cumsum(x, axis=1) + first[:, None] if decay else x, atol=1e-5)


def test_one_step_needs_no_loop() -> None:
    whiles = {"While", "StatelessWhile"}
    assert operators(traced(None)) & whiles
    assert not operators(traced(1)) & whiles
    inputs = some(1)
    np.testing.assert_allclose(traced(1)(*inputs), loop(*inputs), atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 7, 8])
@pytest.mark.parametrize("is_traced", [False, True])
def test_gradients_equal_those_of_the_loop(length: int, is_traced: bool, of_any_length: Any) -> None:
    inputs = [tf.Variable(x) for x in some(length)]
    weights = RNG.normal(size=(2, length, 3)).astype("float32")
    gradients = []
    for function in (of_any_length if is_traced else linear_recurrence, loop_in_tensorflow):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(function(*[tf.convert_to_tensor(x) for x in inputs]) * weights)
        gradients.append(tape.gradient(total, inputs))
    for ours, theirs in zip(*gradients, strict=True):
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("cut", [1, 4, 6])
def test_parts_equal_the_whole(cut: int) -> None:
    decay, x, first = some(7)
    head = np.asarray(linear_recurrence(decay[:, :cut], x[:, :cut], first))
    tail = np.asarray(linear_recurrence(decay[:, cut:], x[:, cut:], head[:, -1]))
    whole = linear_recurrence(decay, x, first)
    np.testing.assert_allclose(np.concatenate([head, tail], axis=1), whole, atol=1e-5)


def test_in_onnx_for_any_length(in_onnx: Any) -> None:
    graph = in_onnx(
        linear_recurrence, [((None, None, 3), "float32"), ((None, None, 3), "float32"), ((None, 3), "float32")]
    )
    for length in LENGTHS:
        inputs = some(length)
        (y,) = graph(*inputs)
        np.testing.assert_allclose(y, loop(*inputs), atol=1e-5, err_msg=f"length {length}")
