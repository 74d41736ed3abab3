"""Layers in ONNX, next to the same layers in Keras."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from onnx import ModelProto

from keras_s2s.export import onnx_graph


class InONNX:
    """A function of tensors, converted.

    Args:
        function: of tensors, to tensors.
        signature: shape, None where a size is known at run time alone, and dtype of each input.
    """

    def __init__(self, function: Callable[..., Any], signature: Sequence[tuple[tuple, str]]) -> None:
        specs = [tf.TensorSpec(shape, kind) for shape, kind in signature]
        program = tf.function(lambda *inputs: function(*inputs), input_signature=specs, autograph=False)
        self.model: ModelProto = onnx_graph.expand(*onnx_graph.convert(program))
        self._session = onnxruntime.InferenceSession(self.model.SerializeToString(), providers=["CPUExecutionProvider"])

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        names = [node.name for node in self._session.get_inputs()]
        return self._session.run(None, dict(zip(names, inputs, strict=True)))


@pytest.fixture(scope="session")
def in_onnx() -> type[InONNX]:
    return InONNX
