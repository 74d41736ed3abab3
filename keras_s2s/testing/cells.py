"""Checks that a registered cell is one."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_s2s.layers import CELLS, Bidirectional
from keras_s2s.testing.comparisons import assert_same, in_onnx, randomized

_N, _T, _I, _U = 3, 5, 4, 6
_LENGTHS = (5, 2, 1)
_MASK = np.arange(_T) < np.array(_LENGTHS)[:, None]


def check_cell(kind: str) -> None:
    """Checks a cell against what `layers.Cell` says, by a small one with random weights.

    Its outputs and state have their shapes; no state is a state of zeros; a sequence in parts, or step by step, is the
    sequence; backwards is forwards on the reversed sequence; padding changes nothing and comes out as zero; every
    weight gets a gradient; and onnxruntime computes the same for several lengths.

    Args:
        kind: the name of a registered cell.

    Raises:
        AssertionError: names the first thing that is not so.
    """
    assert kind in CELLS, f"no cell '{kind}'; there are {', '.join(CELLS)}; register it first"
    x = np.random.default_rng(1).normal(size=(_N, _T, _I)).astype("float32")
    forwards, backwards = _made(kind, x), _made(kind, x, backwards=True)
    backwards.set_weights(forwards.get_weights())
    state = _state(forwards)
    _check_shapes(kind, forwards, x, state)
    _check_parts(kind, forwards, x, state)
    _check_backwards(kind, forwards, backwards, x)
    for layer, way in ((forwards, "forwards"), (backwards, "backwards")):
        _check_padding(f"{kind} {way}", layer, x, state)
        _check_gradients(f"{kind} {way}", layer)
        _check_onnx(f"{kind} {way}", layer, x, state)
    both = Bidirectional(CELLS[kind], 2 * _U)(x, _MASK)
    assert tuple(both.shape) == (_N, _T, 2 * _U), f"{kind}: both directions are not side by side"


def _made(kind: str, x: np.ndarray, backwards: bool = False) -> Any:
    layer: Any = CELLS[kind](_U, backwards=backwards, name="cell")
    layer(x)
    assert layer.name == "cell", f"{kind}: its layer does not take the options of a Keras layer, such as a name"
    return randomized(layer)


def _state(layer: Any) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(2)
    return tuple(rng.normal(size=(_N, _U)).astype("float32") / 2 for _ in layer.state_names)


def _check_shapes(kind: str, layer: Any, x: np.ndarray, state: tuple) -> None:
    assert layer.state_names, f"{kind}: state_names is empty"
    assert len(set(layer.state_names)) == len(layer.state_names), f"{kind}: a name of state_names comes twice"
    y, after = layer(x, state)
    assert tuple(y.shape) == (_N, _T, _U), f"{kind}: y is {tuple(y.shape)}, and (N, T, U) is {(_N, _T, _U)}"
    assert len(after) == len(state), f"{kind}: {len(after)} parts of a state for {len(state)} names"
    for name, part in zip(layer.state_names, after, strict=True):
        assert tuple(part.shape) == (_N, _U), f"{kind}: {name} is {tuple(part.shape)}, and (N, U) is {(_N, _U)}"
    zeros = tuple(np.zeros((_N, _U), "float32") for _ in state)
    assert_same(layer(x), layer(x, zeros), f"{kind}: without a state it does not start from zeros")
    changed = np.abs(np.asarray(y) - np.asarray(layer(x)[0])).max()
    assert changed > 1e-4, f"{kind}: its outputs do not depend on the state that it is given"


def _check_parts(kind: str, layer: Any, x: np.ndarray, state: tuple) -> None:
    whole, last = layer(x, state)
    for parts, name in (([2], "a sequence in two parts"), (list(range(1, _T)), "a sequence step by step")):
        found, now = [], state
        for part in np.split(x, parts, axis=1):
            y, now = layer(part, now)
            found.append(np.asarray(y))
        where = f"{kind}: {name} is not the sequence in one call"
        assert_same(np.concatenate(found, axis=1), whole, where)
        assert_same(now, last, f"{where}: its state")


def _check_backwards(kind: str, forwards: Any, backwards: Any, x: np.ndarray) -> None:
    y, state = backwards(x)
    expected, last = forwards(x[:, ::-1])
    where = f"{kind}: backwards is not forwards on the reversed sequence, in the order of the inputs"
    assert_same(y, np.asarray(expected)[:, ::-1], where)
    assert_same(state, last, f"{where}: its state")


def _check_padding(kind: str, layer: Any, x: np.ndarray, state: tuple) -> None:
    y, after = layer(x, state, _MASK)
    noise = np.where(_MASK[:, :, None], x, 9).astype("float32")
    assert_same(layer(noise, state, _MASK), (y, after), f"{kind}: the inputs at padding matter")
    assert not np.asarray(y)[~_MASK].any(), f"{kind}: outputs at padding are not zero"
    for row, length in enumerate(_LENGTHS):
        alone = layer(x[row : row + 1, :length], tuple(part[row : row + 1] for part in state))
        padded = np.asarray(y)[row : row + 1, :length], tuple(np.asarray(p)[row : row + 1] for p in after)
        assert_same(padded, alone, f"{kind}: a row with padding is not the row alone")


def _check_gradients(kind: str, layer: Any) -> None:
    specs = [tf.TensorSpec((None, None, _I)), tf.TensorSpec((None, None), tf.bool)]

    @tf.function(input_signature=specs, autograph=False)
    def gradients(x: Any, mask: Any) -> Any:
        with tf.GradientTape() as tape:
            y, state = layer(x, None, mask)
            loss = tf.reduce_sum(y**2) + sum(tf.reduce_sum(part**2) for part in state)
        return tape.gradient(loss, [weight.value for weight in layer.trainable_weights])

    x = np.random.default_rng(3).normal(size=(_N, _T, _I)).astype("float32")
    for weight, gradient in zip(layer.trainable_weights, gradients(x, _MASK), strict=True):
        assert gradient is not None, f"{kind}: {weight.path} has no gradient"
        value = np.asarray(tf.convert_to_tensor(gradient))
        assert np.isfinite(value).all(), f"{kind}: the gradient of {weight.path} is not finite"
        assert value.any(), f"{kind}: the gradient of {weight.path} is zero"


def _check_onnx(kind: str, layer: Any, x: np.ndarray, state: tuple) -> None:
    def outputs(x: Any, mask: Any, *state: Any) -> tuple:
        y, after = layer(x, state, mask)
        return y, *after

    signature = [((None, None, _I), "float32"), ((None, None), "bool"), *[((None, _U), "float32")] * len(state)]
    graph = in_onnx(outputs, signature)
    for length in (1, 2, _T):
        given = (x[:, :length], _MASK[:, :length], *state)
        where = f"{kind}: onnxruntime has other outputs than Keras for sequences of {length}"
        assert_same(graph(*given), outputs(given[0], given[1], *given[2:]), where)
