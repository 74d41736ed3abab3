"""All alignments of a few frames, one by one, and running a function as an ONNX graph."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from keras_s2s.export import onnx_graph


@pytest.fixture(scope="session")
def labellings() -> Callable[..., dict[tuple[int, ...], float]]:
    """Logits (S, C) and the classes that may occur -> the log-probability of every labelling that has an alignment."""

    def enumerate_all(logits: np.ndarray, classes: Any = None) -> dict[tuple[int, ...], float]:
        logits = logits.astype("float64")
        log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        blank, total = logits.shape[1] - 1, {}
        for path in itertools.product(range(blank + 1) if classes is None else [*classes, blank], repeat=len(logits)):
            labels = tuple(label for label, _ in itertools.groupby(path) if label != blank)
            score = sum(log_p[s, label] for s, label in enumerate(path))
            total[labels] = np.logaddexp(total.get(labels, -np.inf), score)
        return total

    return enumerate_all


@pytest.fixture(scope="session")
def in_onnx() -> Callable[..., Callable[..., list[np.ndarray]]]:
    """Converts a function of tensors with the given specs; the graph takes arrays in their order."""

    def convert(function: Callable, *specs: tf.TensorSpec) -> Callable[..., list[np.ndarray]]:
        names = [f"input_{n}" for n in range(len(specs))]
        signature = [tf.TensorSpec(spec.shape, spec.dtype, name) for spec, name in zip(specs, names, strict=True)]
        program = tf.function(function, input_signature=signature, autograph=False)
        graph = onnx_graph.expand(*onnx_graph.convert(program))
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        outputs = [output.name for output in session.get_outputs()]
        return lambda *arrays: session.run(outputs, dict(zip(names, map(np.asarray, arrays), strict=True)))

    return convert
