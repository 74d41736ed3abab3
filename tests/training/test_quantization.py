"""Quantization-aware training: forwards as the exported graph, backwards as if nothing were rounded."""

from typing import Any, get_args

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from keras_s2s.export import number_formats as export
from keras_s2s.export import onnx_graph
from keras_s2s.export.products import parts
from keras_s2s.export.quantize import quantize
from keras_s2s.layers import fused
from keras_s2s.models import ModelConfig, TransformerDecoderConfig, TransformerEncoderConfig, build
from keras_s2s.training.quantization import Aware, rounding

INPUTS, OUTPUTS = 40, 6
# The format of the graph, and activations: its products round some in "weight4", but no rows of the unit matrix.
FORMATS = {
    "int8": ("int8-dynamic", np.random.default_rng(3).normal(size=(2, 5, INPUTS)).astype("float32")),
    "weight4": ("weight4", np.eye(INPUTS, dtype="float32")[None]),
}


def test_number_formats_name_what_trains_for_them() -> None:
    assert {form.trained_as for form in export.FORMATS.values()} == {None, *get_args(Aware)}
    assert {form: export.FORMATS[name].trained_as for form, (name, _) in FORMATS.items()} == {f: f for f in FORMATS}


def variable(*shape: int, seed: int = 1) -> keras.Variable:
    return keras.Variable(np.random.default_rng(seed).normal(size=shape).astype("float32"), name=f"v{seed}")


def in_graph(call: Any, x: np.ndarray, form: str) -> np.ndarray:
    """What the graph gives, once exported and quantized."""
    program = tf.function(call, input_signature=[tf.TensorSpec(x.shape, x.dtype)], autograph=False)
    graph = onnx_graph.expand(*onnx_graph.convert(program))
    session = onnxruntime.InferenceSession(quantize(graph, dict.fromkeys(parts(graph), form), {}).SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: x})[0]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_is_that_of_the_graph(form: Any, transposed: bool) -> None:
    name, x = FORMATS[form]
    kernel = variable(*((OUTPUTS, INPUTS) if transposed else (INPUTS, OUTPUTS)))
    bias = variable(OUTPUTS, seed=2)

    def call(x: Any) -> Any:
        return fused.linear(x, kernel, bias, "tanh", transposed=transposed)

    with rounding(form):
        ours = np.asarray(call(x))
    np.testing.assert_allclose(ours, in_graph(call, x, name), atol=1e-5)
    assert np.abs(ours - np.asarray(call(x))).max() > 2e-3


@pytest.mark.parametrize("form", FORMATS)
def test_a_look_up_is_that_of_the_graph(form: Any) -> None:
    table, ids = variable(9, INPUTS), np.array([[0, 8, 3]], "int32")
    with rounding(form):
        ours = np.asarray(fused.embedding(ids, table))
    theirs = in_graph(lambda ids: fused.embedding(ids, table), ids, FORMATS[form][0])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.abs(ours - np.asarray(table)[ids]).max() > 1e-3


@pytest.mark.parametrize("form", FORMATS)
def test_gradients_pass_as_if_nothing_were_rounded(form: Any) -> None:
    """By each factor the gradient of a plain product, of the other's rounded numbers."""
    kernel, x = variable(INPUTS, OUTPUTS), tf.constant(variable(3, INPUTS, seed=2))
    with rounding(form), tf.GradientTape() as tape:
        tape.watch(x)
        y = fused.linear(x, kernel)
    by_x, by_kernel = tape.gradient(y, [x, kernel.value])
    with rounding(form):
        rounded = np.asarray(fused.linear(np.eye(INPUTS, dtype="float32"), kernel))
        steps = np.asarray(fused.linear(x, keras.Variable(np.eye(INPUTS, dtype="float32"))))
    near = 0.05 if form == "weight4" else 1e-5  # the ones of the unit matrix have no exact place among its steps
    np.testing.assert_allclose(by_x, np.tile(rounded.sum(axis=1), (3, 1)), atol=1e-4)
    np.testing.assert_allclose(by_kernel, np.tile(steps.sum(axis=0)[:, None], (1, OUTPUTS)), atol=near * 10)


def test_all_of_a_model_is_rounded_and_its_weights_learn() -> None:
    shape: Any = {"layers": 1, "heads": 2, "feed_forward": 16}
    model = build(
        ModelConfig(
            source_vocabulary=12,
            target_vocabulary=12,
            width=8,
            encoder=TransformerEncoderConfig(**shape),
            decoder=TransformerDecoderConfig(**shape),
        )
    )
    ids = {"source_ids": np.array([[4, 5, 2]], "int32"), "target_ids": np.array([[1, 6, 7]], "int32")}
    exact = np.asarray(model(ids))
    with rounding("int8"), tf.GradientTape() as tape:
        logits = model(ids)
        loss = tf.reduce_mean(tf.square(logits))
    assert np.abs(np.asarray(logits) - exact).max() > 1e-4
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
    assert all(gradient is not None for gradient in gradients)
    np.testing.assert_array_equal(np.asarray(model(ids)), exact)
