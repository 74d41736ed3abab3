"""One graph, and its arrays as candidates."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser

from keras_s2s.cores import available_cores
from keras_s2s.runtime.graph import Graph, candidates, session_options

SUM = """<ir_version: 8, opset_import: ["" : 18]>
    sum (float a, float b) => (float total, float doubled) {
        total = Add(a, b)
        doubled = Add(total, total)
    }"""

# Loads a graph in a process that may run on one core alone, and tells where its threads may run.
PINNED = """
import json, os, sys
core = int(sys.argv[2])
os.sched_setaffinity(0, {core})
from keras_s2s.runtime.graph import Graph
graph = Graph(sys.argv[1])
print(json.dumps([sorted(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")]))
"""


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


def test_arrays_become_lists() -> None:
    tokens: Any = np.array([[[5, 6, 0], [7, 0, 0]], [[0, 0, 0], [8, 9, 4]]], "int32")
    lengths = np.array([[2, 1], [0, 3]], "int32")
    scores = np.array([[-0.5, -np.inf], [-1.0, -2.0]], "float32")
    arrays = {"tokens": tokens, "lengths": lengths, "scores": scores}
    found = candidates(arrays)
    assert found == [[((5, 6), -0.5, (), True)], [((), -1.0, (), True), ((8, 9, 4), -2.0, (), True)]]
    assert {type(token) for some in found for best in some for token in best.tokens} == {int}
    assert {type(best.score) for some in found for best in some} == {float}


def test_token_scores_end_with_that_of_eos() -> None:
    arrays = {
        "tokens": np.array([[[5, 6, 0]], [[0, 0, 0]]], "int32"),
        "lengths": np.array([[2], [0]], "int32"),
        "scores": np.array([[-1.5], [-0.25]], "float32"),
        "token_scores": np.array([[[-0.5, -0.25, -0.75]], [[-0.25, 0, 0]]], "float32"),
    }
    assert candidates(arrays) == [[((5, 6), -1.5, (-0.5, -0.25, -0.75), True)], [((), -0.25, (-0.25,), True)]]


def test_what_was_cut_is_told_or_else_known_by_its_length() -> None:
    arrays = {
        "tokens": np.array([[[5, 6, 0], [7, 8, 9]], [[4, 0, 0], [0, 0, 0]]], "int32"),
        "lengths": np.array([[2, 3], [1, 0]], "int32"),
        "scores": np.array([[-1.0, -2.0], [-1.0, -2.0]], "float32"),
    }

    def finished(**told: np.ndarray) -> list[list[bool | None]]:
        return [[one.finished for one in some] for some in candidates({**arrays, **told}, [3, 1])]

    assert finished() == [[True, None], [None, True]]
    told = np.array([[True, False], [False, True]])
    assert finished(finished=told) == told.tolist()
    assert all(one.finished for some in candidates(arrays) for one in some)


@pytest.mark.parametrize("core", sorted(os.sched_getaffinity(0))[:2])
def test_no_thread_runs_on_a_core_that_the_process_may_not_use(tmp_path: Path, core: int) -> None:
    onnx.save(parser.parse_model(SUM), tmp_path / "sum.onnx")
    command = [sys.executable, "-c", PINNED, str(tmp_path / "sum.onnx"), str(core)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert {tuple(cores) for cores in json.loads(done.stdout)} == {(core,)}


@pytest.mark.parametrize(("threads", "expected"), [(None, available_cores()), (1, 1), (3, 3)])
def test_the_number_of_threads_is_always_said(threads: int | None, expected: int) -> None:
    assert session_options(threads).intra_op_num_threads == expected
