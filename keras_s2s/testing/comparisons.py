"""Comparisons that all checks make."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_s2s.export import onnx_graph
from keras_s2s.runtime.graph import Graph

_TOLERANCE = 1e-5


def assert_same(one: Any, other: Any, message: str) -> None:
    """Compares arrays, and tuples of them.

    Raises:
        AssertionError: with the message and the largest difference.
    """
    ones, others = (tf.nest.flatten(values) for values in (one, other))
    for a, b in zip(map(np.asarray, ones), map(np.asarray, others), strict=True):
        assert a.shape == b.shape, f"{message}: shapes {a.shape} and {b.shape}"
        difference = np.abs(a.astype("float64") - b.astype("float64")).max(initial=0)
        assert difference <= _TOLERANCE, f"{message}: by up to {difference:.2g}"


def randomized(layer: Any, seed: int = 4) -> Any:
    """The layer, with noise added to all of its weights, so that offsets and scales are seen."""
    rng = np.random.default_rng(seed)
    layer.set_weights([weight + rng.normal(scale=0.3, size=weight.shape) for weight in layer.get_weights()])
    return layer


def in_onnx(function: Callable[..., Any], signature: Sequence[tuple[tuple, str]]) -> Callable[..., list[np.ndarray]]:
    """A function of tensors, exported as the package exports models, in onnxruntime.

    Args:
        function: of tensors, to tensors.
        signature: shape, None where a size is known at run time alone, and dtype of each input.
    """
    specs = [tf.TensorSpec(shape, kind, f"given_{i}") for i, (shape, kind) in enumerate(signature)]
    program = tf.function(lambda *given: function(*given), input_signature=specs, autograph=False)
    graph = Graph(onnx_graph.expand(*onnx_graph.convert(program)).SerializeToString())
    return lambda *given: list(graph({f"given_{i}": value for i, value in enumerate(given)}).values())
