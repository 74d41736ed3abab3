"""One graph, and its arrays as candidates."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser

from keras_s2s.runtime.graph import Graph, candidates

SUM = """<ir_version: 8, opset_import: ["" : 18]>
    sum (float a, float b) => (float total, float doubled) {
        total = Add(a, b)
        doubled = Add(total, total)
    }"""

# A product of uint8 and int8 in a loop of two rounds. Activations begin at 128, which is their zero.
PRODUCT = """<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
    product (uint8[1, 4] x) => (float[1, 2] sum)
        <float one = {1}, uint8 zero = {128}, int64 rounds = {2}, bool go = {1}, float[1, 2] nothing = {0, 0}> {
        sum = Loop (rounds, go, nothing) <body = round (int64 i, bool on, float[1, 2] before) =>
            (bool more, float[1, 2] after) <int8[4, 2] weights = {127, -127, 127, -127, 127, -127, 127, -127}> {
            more = Identity (on)
            found = com.microsoft.MatMulIntegerToFloat (x, weights, one, one, zero)
            after = Add (before, found)
        }>
    }"""


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    onnx.save(parser.parse_model(SUM), tmp_path / "sum.onnx")
    return Graph(tmp_path / "sum.onnx", threads=1)


def test_a_graph_takes_the_inputs_that_it_has_and_names_its_outputs(graph: Graph) -> None:
    found = graph({name: np.array(value, "float32") for name, value in (("a", 1), ("b", 2), ("c", 9))})
    assert {name: value.item() for name, value in found.items()} == {"total": 3, "doubled": 6}


def test_a_missing_input_is_an_error(graph: Graph) -> None:
    with pytest.raises(KeyError, match="b"):
        graph({"a": np.array(1, "float32")})


def test_sums_of_products_do_not_overflow(tmp_path: Path) -> None:
    """255 · 127 and again 255 · 127 are more than 16 bits hold, in which an x86 without VNNI adds them by default."""
    onnx.save(parser.parse_model(PRODUCT), tmp_path / "product.onnx")
    total = 2 * 4 * 127 * 127
    assert Graph(tmp_path / "product.onnx")({"x": np.full((1, 4), 255, "uint8")})["sum"].tolist() == [[total, -total]]


def test_arrays_become_lists() -> None:
    tokens: Any = np.array([[[5, 6, 0], [7, 0, 0]], [[0, 0, 0], [8, 9, 4]]], "int32")
    lengths = np.array([[2, 1], [0, 3]], "int32")
    scores = np.array([[-0.5, -np.inf], [-1.0, -2.0]], "float32")
    arrays = {"tokens": tokens, "lengths": lengths, "scores": scores}
    found = candidates(arrays)
    assert found == [[((5, 6), -0.5, ())], [((), -1.0, ()), ((8, 9, 4), -2.0, ())]]
    assert {type(token) for some in found for best in some for token in best.tokens} == {int}
    assert {type(best.score) for some in found for best in some} == {float}


def test_token_scores_end_with_that_of_eos() -> None:
    arrays = {
        "tokens": np.array([[[5, 6, 0]], [[0, 0, 0]]], "int32"),
        "lengths": np.array([[2], [0]], "int32"),
        "scores": np.array([[-1.5], [-0.25]], "float32"),
        "token_scores": np.array([[[-0.5, -0.25, -0.75]], [[-0.25, 0, 0]]], "float32"),
    }
    assert candidates(arrays) == [[((5, 6), -1.5, (-0.5, -0.25, -0.75))], [((), -0.25, (-0.25,))]]
