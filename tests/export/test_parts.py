"""Parts of models that several programs compute."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.export import onnx_graph
from keras_s2s.export.parts import Parts
from keras_s2s.layers import fused
from keras_s2s.runtime.graph import Graph
from keras_s2s.typing import Tensor

KERNEL = keras.Variable(np.arange(12, dtype="float32").reshape(3, 4))


class Counted:
    """x W, x itself, x W again and nothing; counts how often it is traced."""

    def __init__(self) -> None:
        self.traces = 0

    def __call__(self, x: Tensor, nothing: None) -> dict[str, Any]:
        self.traces += 1
        y = fused.linear(x, KERNEL)
        return {"y": y, "x": x, "again": y, "nothing": nothing}


def program(part: Counted, factor: float) -> Any:
    def run(x: Tensor) -> dict[str, Tensor]:
        found = fused.part(part, "counted", x, None)
        assert found["x"] is x
        assert found["nothing"] is None
        twice = fused.part(part, "counted", found["x"] + 1.0, None)
        return {"y": factor * found["y"] + found["again"], "z": twice["y"]}

    return tf.function(run, input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")], autograph=False)


@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_a_part_computes_what_its_function_does(factor: float) -> None:
    graph = onnx_graph.expand(*onnx_graph.convert(program(Counted(), factor)))
    x = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    found = Graph(graph.SerializeToString())({"x": x})
    np.testing.assert_allclose(found["y"], (factor + 1) * x @ KERNEL.numpy(), rtol=1e-5)
    np.testing.assert_allclose(found["z"], (x + 1) @ KERNEL.numpy(), rtol=1e-5)


def test_programs_share_a_trace() -> None:
    part, parts = Counted(), Parts()
    for factor in (2.0, 3.0):
        onnx_graph.convert(program(part, factor), parts)
    assert part.traces == 1
