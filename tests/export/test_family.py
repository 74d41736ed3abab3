"""Kinds of models that no bundle of the other tests has: their programs in ONNX say what Keras says, with operators
of onnxruntime and without.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
from onnx import ModelProto

from keras_s2s.bundle import Decoding
from keras_s2s.decoding import make_program
from keras_s2s.export import onnx_graph, products
from keras_s2s.export.quantize import quantize
from keras_s2s.export.standard import only_in_onnxruntime, standardize
from keras_s2s.models import (
    ConvolutionConfig,
    CTCHeadConfig,
    GRUDecoderConfig,
    GRUEncoderConfig,
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    SSRUDecoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import session_options

V, F = 14, 5
RNG = np.random.default_rng(2)
ROWS = [[*RNG.integers(4, V, size=length).tolist(), 2] for length in (3, 9, 1, 5)]
DECODING = Decoding(strategy="beam", beam_size=3, max_length_factor=1.0, max_length_extra=3)


def transformer(**options: Any) -> dict[str, Any]:
    sizes = {"layers": 1, "heads": 2, "feed_forward": 16, **options}
    return {"encoder": TransformerEncoderConfig(**sizes), "decoder": TransformerDecoderConfig(**sizes)}


def recurrent(**options: Any) -> dict[str, Any]:
    return {"encoder": GRUEncoderConfig(bidirectional=False), "decoder": LSTMDecoderConfig(layers=2, **options)}


QUICK: dict[str, dict[str, Any]] = {
    "features": {"front": ConvolutionConfig(), "encoder": GRUEncoderConfig(), "decoder": SSRUDecoderConfig(layers=1)},
    "rotary": transformer(positions="rotary"),
    "input feeding": recurrent(input_feeding=True, scheduled_sampling=0.5),
}
OTHERS: dict[str, dict[str, Any]] = {
    **{kind: recurrent(attention=kind) for kind in ("dot", "general", "scaled")},
    **{kind: transformer(positions=kind) for kind in ("learned", "relative", "alibi")},
    "post-norm": transformer(norm_place="post"),
    "RMS norm and SwiGLU": transformer(norm="rms", activation="swiglu"),
    "GELU": transformer(activation="gelu"),
    "features to a GRU": {
        "front": ConvolutionConfig(),
        "encoder": TransformerEncoderConfig(layers=1, heads=2, feed_forward=16),
        "decoder": GRUDecoderConfig(),
    },
    "joint": {
        "encoder": LSTMEncoderConfig(),
        "decoder": GRUDecoderConfig(),
        "ctc": CTCHeadConfig(upsampling=2),
    },
}


def compare(parts: dict[str, Any], name: str) -> None:
    source = {"source_features": F} if "front" in parts else {"source_vocabulary": V}
    keras.utils.set_random_seed(1)
    model = build(ModelConfig(**source, target_vocabulary=V, width=16, **parts))
    rng = np.random.default_rng(3)
    model.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in model.get_weights()])
    strategy, *features = name.split("-")
    program = make_program(model, strategy, features)
    inputs = {
        **feeds([Sentence(row) for row in ROWS], DECODING, V),
        "source_features": RNG.normal(size=(4, 11, F)).astype("float32"),
        "source_lengths": np.array([11, 3, 5, 1], "int32"),
        "target_ids": np.array([[4, 5, 6, 2], [7, 2, 0, 0], [8, 9, 2, 0], [2, 0, 0, 0]], "int32"),
        "ctc_weight": np.array(0.3, "float32"),
    }
    expected = program(*(tf.constant(inputs[spec.name], spec.dtype) for spec in program.input_signature))
    graph = onnx_graph.expand(*onnx_graph.convert(program))
    loops = sum(node.op_type == "Loop" for inner in onnx_graph.all_graphs(graph.graph) for node in inner.node)
    assert name == "score" or loops == 2
    assert_near(run(graph, inputs), expected)
    assert_near(run(checked(standardize(graph)), inputs), expected)
    int8 = quantize(graph, dict.fromkeys(products.parts(graph), "int8-dynamic"), {})
    assert_near(run(checked(standardize(int8)), inputs), run(int8, inputs))


def checked(graph: ModelProto) -> ModelProto:
    """A graph that ONNX itself takes for one of its own."""
    onnx.checker.check_model(graph, full_check=True)
    assert only_in_onnxruntime(graph) == []
    assert [imported.domain for imported in graph.opset_import] == [""]
    return graph


def run(graph: ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {node.name: inputs[node.name] for node in session.get_inputs()})
    return dict(zip(names, found, strict=True))


def assert_near(found: dict[str, np.ndarray], expected: Mapping[str, Any]) -> None:
    """Ids are equal, numbers nearly."""
    for key, value in found.items():
        if value.dtype == np.int32:
            assert np.array_equal(value, expected[key]), key
        else:
            np.testing.assert_allclose(value, expected[key], rtol=1e-4, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("kind", QUICK)
def test_a_beam_in_onnx_says_what_keras_says(kind: str) -> None:
    compare(QUICK[kind], "beam")


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_a_beam_of_every_kind_in_onnx_says_what_keras_says(kind: str) -> None:
    compare(OTHERS[kind], "beam-joint" if kind == "joint" else "beam")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*QUICK, *OTHERS])
def test_scores_of_every_kind_in_onnx_are_those_of_keras(kind: str) -> None:
    compare({**QUICK, **OTHERS}[kind], "score")
