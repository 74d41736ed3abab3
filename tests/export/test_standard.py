"""Graphs of standard operators in runtimes that are not onnxruntime: an LSTM or GRU is not told the lengths of its rows
there, and padding does not matter.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import ModelProto
from onnxruntime import InferenceSession

from keras_s2s.bundle import Decoding
from keras_s2s.decoding import make_program
from keras_s2s.export import onnx_graph, products
from keras_s2s.export.quantize import quantize
from keras_s2s.export.standard import standardize
from keras_s2s.layers import fused
from keras_s2s.models import (
    ConvolutionConfig,
    CRFHeadConfig,
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
from keras_s2s.runtime.feeds import Sentence, feeds, source_rows
from keras_s2s.runtime.graph import Graph, session_options

Arrays = Mapping[str, np.ndarray]
Elsewhere = Callable[[ModelProto], Callable[[Arrays], Arrays]]

# Of int8 as well: between runtimes nothing but the order of float32 sums differs.
ROUNDING = 1e-5
V, F = 14, 5
ROWS = [[5, 9, 12, 2], [4, 13, 7, 7, 10, 6, 11, 8, 5, 2], [4, 2], [2]]
TARGETS = [[4, 5, 6, 2], [7, 2], [8, 9, 2], [2]]
LIMITS = {"max_length_factor": 1.0, "max_length_extra": 3}
CELLS: dict[str, tuple[Any, Callable, int]] = {
    "lstm": (keras.layers.LSTM, fused.lstm, 2),
    "gru": (keras.layers.GRU, fused.gru, 1),
}


def in_onnxruntime(model: ModelProto) -> Callable[[Arrays], dict[str, np.ndarray]]:
    session = InferenceSession(model.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


class Layer(NamedTuple):
    """A recurrent layer with all that it returns: what Keras says, its own graph, and the standard one."""

    keras: Callable[[Arrays], Arrays]
    own: ModelProto
    standard: ModelProto
    parts: int


@pytest.fixture(scope="module", params=[(kind, backwards) for kind in CELLS for backwards in (False, True)], ids=str)
def layer(request: pytest.FixtureRequest) -> Layer:
    kind, backwards = request.param
    make, fuse, parts = CELLS[kind]
    options = {"return_sequences": True, "return_state": True, "zero_output_for_mask": True}
    cells = make(3, go_backwards=backwards, name=f"{kind}_{backwards}", **options)
    cells.build((None, None, 5))
    rng = np.random.default_rng(4)
    # Large weights, so that a gate would not be shut by a constant that does not look at them.
    cells.set_weights([rng.normal(scale=8.0, size=w.shape).astype("float32") for w in cells.weights])
    state = [tf.TensorSpec((None, 3), tf.float32, name=f"state_{i}") for i in range(parts)]
    signature = [
        tf.TensorSpec((None, None, 5), tf.float32, name="x"),
        tf.TensorSpec((None, None), tf.bool, name="mask"),
    ]

    @tf.function(input_signature=[*signature, *state], autograph=False)
    def program(x: Any, mask: Any, *state: Any) -> dict[str, Any]:
        y, *after = fuse(cells, x, state, mask)
        return {"y": y, **{f"after_{i}": part for i, part in enumerate(after)}}

    own = onnx_graph.expand(*onnx_graph.convert(program))
    names = [spec.name for spec in program.input_signature]
    return Layer(lambda inputs: program(*(inputs[name] for name in names)), own, standardize(own), parts)


def rows_of_layer(layer: Layer, padding: int, at_padding: float = 0.0) -> dict[str, np.ndarray]:
    """Rows of 0 to 5 steps, with so much more padding, and a number in all of it."""
    rng = np.random.default_rng(5)
    lengths = np.array([3, 0, 5, 1, 2, 0])
    mask = np.arange(5 + padding)[None, :] < lengths[:, None]
    x = np.full((6, 5 + padding, 5), at_padding, "float32")
    x[:, :5] = np.where(mask[:, :5, None], rng.normal(size=(6, 5, 5)), at_padding)
    state = rng.uniform(-1, 1, size=(layer.parts, 6, 3)).astype("float32")
    return {"x": x, "mask": mask, **{f"state_{i}": part for i, part in enumerate(state)}}


@pytest.mark.parametrize("padding", [0, 1, 40])
def test_a_layer_elsewhere_says_what_keras_says(layer: Layer, padding: int, elsewhere: Elsewhere) -> None:
    inputs = rows_of_layer(layer, padding, at_padding=1e6)
    found, expected = elsewhere(layer.standard)(inputs), layer.keras(inputs)
    assert {"y", "after_0"} <= set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=ROUNDING, err_msg=name)


def test_one_row_elsewhere(layer: Layer, elsewhere: Elsewhere) -> None:
    inputs = {name: value[:1] for name, value in rows_of_layer(layer, padding=2).items()}
    found = elsewhere(layer.standard)(inputs)
    for name, value in layer.keras(inputs).items():
        np.testing.assert_allclose(found[name], value, atol=ROUNDING, err_msg=name)


def test_nothing_at_padding_changes_a_bit(layer: Layer) -> None:
    run, own = in_onnxruntime(layer.standard), in_onnxruntime(layer.own)
    expected = own(rows_of_layer(layer, 0))
    for padding, at_padding in ((0, 0.0), (0, -1e30), (1, 3.0), (7, 1e6), (40, -1e6)):
        found = run(rows_of_layer(layer, padding, at_padding))
        assert not found["y"][:, 5:].any()
        for name, value in expected.items():
            assert np.array_equal(found[name][:, :5] if name == "y" else found[name], value), (name, padding)


def test_lengths_are_given_to_no_layer(layer: Layer) -> None:
    def lengths(model: ModelProto) -> list[str]:
        graphs = onnx_graph.all_graphs(model.graph)
        return [node.input[4] for graph in graphs for node in graph.node if node.op_type in ("LSTM", "GRU")]

    assert all(lengths(layer.own))
    assert lengths(layer.standard) == [""]
    onnx.checker.check_model(layer.standard, full_check=True)


def transformer(**options: Any) -> dict[str, Any]:
    sizes = {"layers": 1, "heads": 2, "feed_forward": 16, **options}
    return {"encoder": TransformerEncoderConfig(**sizes), "decoder": TransformerDecoderConfig(**sizes)}


RECURRENT: dict[str, dict[str, Any]] = {
    "lstm": {"encoder": LSTMEncoderConfig(layers=2), "decoder": LSTMDecoderConfig()},
    "gru": {"encoder": GRUEncoderConfig(layers=2, bidirectional=False), "decoder": GRUDecoderConfig(layers=2)},
}
OTHERS: dict[str, dict[str, Any]] = {
    "lstm forwards, input feeding": {
        "encoder": LSTMEncoderConfig(layers=2, bidirectional=False),
        "decoder": LSTMDecoderConfig(input_feeding=True, attention="dot"),
    },
    "gru and ssru": {"encoder": GRUEncoderConfig(layers=2), "decoder": SSRUDecoderConfig(layers=1)},
    "features": {"front": ConvolutionConfig(), "encoder": GRUEncoderConfig(), "decoder": LSTMDecoderConfig()},
    "sinusoids": transformer(),
    "GELU": transformer(activation="gelu", positions="learned"),
    "RMS norm and SwiGLU": transformer(norm="rms", activation="swiglu", norm_place="post"),
    **{kind: transformer(positions=kind) for kind in ("rotary", "relative", "alibi")},
}
HEADS: dict[str, dict[str, Any]] = {
    "ctc": {"encoder": LSTMEncoderConfig(), "ctc": CTCHeadConfig(upsampling=2)},
    "crf": {"encoder": GRUEncoderConfig(), "crf": CRFHeadConfig()},
}

# Positions that runtimes compute with last bits of their own: what int8 rounds of them may be a step apart.
TABLES = ("rotary", "relative", "alibi")
STRATEGIES = ("diverse", "sample", "greedy-constrained", "beam-constrained-coverage", "greedy-shortlist", "align")


def model_of(parts: Mapping[str, Any]) -> Any:
    source = {"source_features": F} if "front" in parts else {"source_vocabulary": V}
    keras.utils.set_random_seed(1)
    model = build(ModelConfig(**source, target_vocabulary=V, width=16, **parts))
    rng = np.random.default_rng(3)
    model.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in model.get_weights()])
    return model


@functools.cache
def graphs_of(kind: str, name: str) -> dict[str, ModelProto]:
    """A program in fp32 and in int8, with operators of onnxruntime."""
    model = model_of({**RECURRENT, **OTHERS, **HEADS}[kind])
    strategy, *features = name.split("-")
    graph = onnx_graph.expand(*onnx_graph.convert(make_program(model, strategy, features)))
    return {"fp32": graph, "int8": quantize(graph, dict.fromkeys(products.parts(graph), "int8-dynamic"), {})}


def inputs_of(graph: ModelProto, rows: slice = slice(None)) -> dict[str, np.ndarray]:
    """Inputs for all rows, or some of them without more padding than they need."""
    sources = [Sentence(row) for row in ROWS[rows]]
    frames = np.array([11, 3, 5, 1], "int32")[rows]
    targets = TARGETS[rows]
    wide = max(map(len, targets))
    rng = np.random.default_rng(6)
    inputs = {
        **feeds(sources, Decoding(strategy="beam", beam_size=3, **LIMITS), V),
        "source_features": rng.normal(size=(4, 11, F)).astype("float32")[rows, : frames.max()],
        "source_lengths": frames,
        "target_ids": np.array([[*row, *[0] * (wide - len(row))] for row in targets], "int32"),
        "uniforms": rng.uniform(size=(4, 3, 14)).astype("float32")[rows],
        "prefix": np.array([[4], [0], [7], [0]], "int32")[rows],
        "suppressed": np.array([[0, 5]], "int32"),
        "min_length": np.array(2, "int32"),
        "no_repeat_ngram": np.array(2, "int32"),
        "repetition_penalty": np.array(1.2, "float32"),
        "allow_unknown": np.array(False),
        "coverage_penalty": np.array(0.2, "float32"),
        "shortlist": np.array([0, 1, 2, 3, 4, 6, 8, 9], "int32"),
        "diversity": np.array(0.3, "float32"),
        "temperature": np.array(0.9, "float32"),
        "top_k": np.array(5, "int32"),
        "top_p": np.array(0.9, "float32"),
        "min_p": np.array(0.01, "float32"),
        "n_best": np.array(3, "int32"),
        "ctc_weight": np.array(0.3, "float32"),
    }
    return {value.name: inputs[value.name] for value in graph.graph.input}


def assert_the_same(found: Arrays, expected: Arrays, tolerance: float = ROUNDING) -> None:
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


def compare(kind: str, name: str, elsewhere: Elsewhere, alone: bool = False) -> None:
    """A program elsewhere says what the graph of onnxruntime's own operators says, in a batch or sentence by sentence.

    Fp32 alone where int8 rounds what the runtimes have computed a little differently.
    """
    for precision, own in graphs_of(kind, name).items():
        if precision == "int8" and kind in TABLES:
            continue
        run, expected = elsewhere(standardize(own)), in_onnxruntime(own)
        for rows in [slice(i, i + 1) for i in range(len(ROWS))] if alone else [slice(None)]:
            inputs = inputs_of(own, rows)
            assert_the_same(run(inputs), expected(inputs))


@functools.cache
def encoder_of(kind: str) -> tuple[Any, ModelProto]:
    model = model_of(RECURRENT[kind])

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32, name="source_ids")], autograph=False)
    def program(source_ids: Any) -> dict[str, Any]:
        return model.encoder({"source_ids": source_ids})

    return program, standardize(onnx_graph.expand(*onnx_graph.convert(program)))


@pytest.mark.parametrize("kind", RECURRENT)
def test_an_encoder_elsewhere(kind: str, elsewhere: Elsewhere) -> None:
    program, graph = encoder_of(kind)
    ids = inputs_of(graph)["source_ids"]
    found = elsewhere(graph)({"source_ids": ids})
    assert_the_same(found, {name: value.numpy() for name, value in program(ids).items()})


@pytest.mark.parametrize("kind", RECURRENT)
def test_scores_of_a_batch_elsewhere(kind: str, elsewhere: Elsewhere) -> None:
    compare(kind, "score", elsewhere)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_bundle_elsewhere(standard: Path, toy: Any, precision: str, elsewhere: Elsewhere) -> None:
    """Sentence by sentence, for OpenVINO is wrong once sentences leave a batch."""
    path = standard / "onnx" / precision / "greedy.onnx"
    run, expected = elsewhere(onnx.load(path)), Graph(path, threads=1)
    decoding = Decoding(strategy="greedy", beam_size=1, **LIMITS)
    for row in source_rows(toy.tokenizer, toy.test.sources[:8], longest=64):
        inputs = feeds([Sentence(row)], decoding, toy.tokenizer.vocabulary_size)
        assert_the_same(run({name: inputs[name] for name in expected.inputs}), expected(inputs))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_batch_of_a_bundle_in_the_reference(standard: Path, toy: Any, precision: str, reference: Elsewhere) -> None:
    path = standard / "onnx" / precision / "greedy.onnx"
    run, expected = reference(onnx.load(path)), Graph(path, threads=1)
    rows = source_rows(toy.tokenizer, toy.test.sources, longest=64)
    assert len(set(map(len, rows))) > 3
    inputs = feeds([Sentence(row) for row in rows], Decoding(strategy="greedy", beam_size=1, **LIMITS), 40)
    assert_the_same(run({name: inputs[name] for name in expected.inputs}), expected(inputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["score", "greedy", "beam"])
@pytest.mark.parametrize("kind", [*RECURRENT, *OTHERS])
def test_every_kind_elsewhere(kind: str, name: str, elsewhere: Elsewhere) -> None:
    compare(kind, name, elsewhere, alone=name != "score")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["greedy", "beam"])
@pytest.mark.parametrize("kind", [*RECURRENT, *OTHERS])
def test_batches_of_every_kind_in_the_reference(kind: str, name: str, reference: Elsewhere) -> None:
    compare(kind, name, reference)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_in_the_reference(name: str, reference: Elsewhere) -> None:
    compare("gru", name, reference)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [("ctc", "ctc_greedy"), ("crf", "viterbi"), ("crf", "posterior")])
def test_heads_elsewhere(kind: str, name: str, elsewhere: Elsewhere) -> None:
    compare(kind, name, elsewhere)
