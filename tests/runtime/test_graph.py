"""One graph, and its arrays as candidates."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser

from keras_s2s.bundle import Decoding
from keras_s2s.runtime.graph import Candidate, Graph, candidates, run_time_inputs

DECODING = Decoding(
    strategy="beam",
    beam_size=4,
    length_penalty=0.5,
    length_penalty_base=5.0,
    n_best=2,
    max_length_factor=1.5,
    max_length_extra=7,
)
GREEDY = DECODING.replace(strategy="greedy", beam_size=1, n_best=1)
# Says what it was asked with: the sources, and one run-time input as score.
MIRROR = """<ir_version: 8, opset_import: ["" : 18]>
    mirror (int32[B,S] source_ids, NAME) => (int32[B,1,S] tokens, int32[B,1] lengths, float[B,1] scores) {
        axis = Constant <value = int64[1] {1}> ()
        tokens = Unsqueeze(source_ids, axis)
        sign = Sign(source_ids)
        lengths = ReduceSum(sign, axis)
        as_float = Cast <to = 1> (OPTION)
        shape = Shape(lengths)
        scores = Expand(as_float, shape)
    }"""


def test_what_a_graph_is_told_besides_the_sources() -> None:
    inputs = run_time_inputs(DECODING)
    assert {name: (value.dtype.name, value.shape, value.item()) for name, value in inputs.items()} == {
        "max_length_factor": ("float32", (), 1.5),
        "max_length_extra": ("int32", (), 7),
        "length_penalty": ("float32", (), 0.5),
        "length_penalty_base": ("float32", (), 5.0),
        "beam_size": ("int32", (), 4),
        "n_best": ("int32", (), 2),
    }


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("float max_length_factor", 1.5),
        ("int32 max_length_extra", 7),
        ("float length_penalty", 0.5),
        ("float length_penalty_base", 5),
        ("int32 beam_size", 4),
        ("int32 n_best", 2),
    ],
)
def test_a_graph_gets_the_inputs_that_it_has(tmp_path: Path, declared: str, expected: float) -> None:
    source = MIRROR.replace("NAME", declared).replace("OPTION", declared.split()[1])
    onnx.save(parser.parse_model(source), tmp_path / "mirror.onnx")
    found = Graph(tmp_path / "mirror.onnx", threads=1)([[5, 6, 2], [7, 2]], DECODING)
    assert found == [[Candidate((5, 6, 2), expected)], [Candidate((7, 2), expected)]]


def test_sources_are_padded_to_a_multiple_of_four(tmp_path: Path) -> None:
    source = MIRROR.replace("NAME", "int32 n_best").replace("OPTION", "n_best")
    # Every place counts, padded ones too.
    source = source.replace("Sign(source_ids)", "Sign(one_more)").replace(
        "sign =",
        "absolute = Abs(source_ids) one = Constant <value = int32 {1}> () one_more = Add(absolute, one) sign =",
    )
    onnx.save(parser.parse_model(source), tmp_path / "mirror.onnx")
    found = Graph(tmp_path / "mirror.onnx")([[5, 6, 7, 8, 2], [7, 2]], DECODING)
    assert [best.tokens for (best,) in found] == [(5, 6, 7, 8, 2, 0, 0, 0), (7, 2, 0, 0, 0, 0, 0, 0)]


def test_a_greedy_graph_takes_the_same_call(echo_bundle: Path) -> None:
    graph = Graph(echo_bundle / "onnx/fp32/greedy.onnx")
    assert graph([[5, 6, 2], [7, 2]], GREEDY) == [[Candidate((5, 6), -2)], [Candidate((7,), -1)]]


def test_n_candidates_of_a_beam(echo_bundle: Path) -> None:
    graph = Graph(echo_bundle / "onnx/fp32/beam.onnx")
    ((first, second),) = graph([[5, 6, 2]], DECODING)
    assert (first.tokens, second.tokens) == ((5, 6), (5, 6))
    assert first.score > second.score
    # Of eight that are asked for, this graph finds six.
    (found,) = graph([[5, 6, 2]], DECODING.replace(beam_size=8, n_best=8))
    assert len(found) == 6


def test_arrays_become_lists() -> None:
    tokens: Any = np.array([[[5, 6, 0], [7, 0, 0]], [[0, 0, 0], [8, 9, 4]]], "int32")
    lengths = np.array([[2, 1], [0, 3]], "int32")
    scores = np.array([[-0.5, -np.inf], [-1.0, -2.0]], "float32")
    found = candidates(tokens, lengths, scores)
    assert found == [[((5, 6), -0.5)], [((), -1.0), ((8, 9, 4), -2.0)]]
    assert {type(token) for some in found for best in some for token in best.tokens} == {int}
    assert {type(best.score) for some in found for best in some} == {float}
