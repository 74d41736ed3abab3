"""Greedy graphs with and without scores: the same tokens, and no step that normalises a vocabulary for nobody."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from onnx import GraphProto, ModelProto

from keras_s2s.bundle import Decoding
from keras_s2s.decoding import Ensemble, Fusion, make_program
from keras_s2s.decoding.steps import make_steps
from keras_s2s.export import onnx_graph
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import session_options

VOCABULARY = 1280  # of several blocks


def model(seed: int, **parts: Any) -> Any:
    keras.utils.set_random_seed(seed)
    config = ModelConfig(target_vocabulary=VOCABULARY, width=8, decoder=LSTMDecoderConfig(), **parts)
    made = build(config)
    rng = np.random.default_rng(seed)
    made.set_weights([w + rng.normal(scale=0.5, size=w.shape) for w in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    parts = {"source_vocabulary": 30, "encoder": LSTMEncoderConfig()}
    one, other, language_model = model(1, **parts), model(2, **parts), model(3)
    return {"model": one, "ensemble": Ensemble([one, other]), "fusion": Fusion(one, language_model, 0.3)}


@pytest.fixture(scope="module")
def graphs(models: dict[str, Any]) -> dict[str, ModelProto]:
    programs = {kind: make_program(one, "greedy") for kind, one in models.items()}
    programs["advance"] = make_steps(models["model"], "greedy").programs["advance"]
    return {name: onnx_graph.expand(*onnx_graph.convert(program)) for name, program in programs.items()}


def operators(graph: GraphProto, inside_if: bool = False) -> Iterator[tuple[str, bool]]:
    """The operators of a graph and of those in it, and whether each stands in the branch of an If."""
    for node in graph.node:
        yield node.op_type, inside_if
        for attribute in (attribute for attribute in node.attribute if attribute.HasField("g")):
            yield from operators(attribute.g, inside_if or node.op_type == "If")


@pytest.mark.parametrize("name", ["model", "ensemble", "fusion", "advance"])
def test_all_that_normalises_stands_in_a_branch(graphs: Mapping[str, ModelProto], name: str) -> None:
    found = Counter(where for operator, where in operators(graphs[name].graph) if operator == "LogSoftmax")
    assert found == {True: {"fusion": 2}.get(name, 1)}


@pytest.mark.parametrize("name", ["model", "ensemble", "fusion"])
def test_only_who_wants_scores_pays_for_them(graphs: Mapping[str, ModelProto], name: str, tmp_path: Path) -> None:
    sentences = [Sentence([*range(4, 4 + length), 2]) for length in (1, 5, 9)]
    found = {}
    for wanted in (True, False):
        decoding = Decoding(strategy="greedy", beam_size=1, n_best=1, max_length_extra=5, scores=wanted)
        found[wanted], run = profiled(graphs[name], feeds(sentences, decoding, VOCABULARY), tmp_path / str(wanted))
        assert (run["LogSoftmax"] > 0) == wanted
        assert run["ArgMax"] > 0
    for output in ("tokens", "lengths", "finished"):
        assert np.array_equal(found[True][output], found[False][output])
    assert found[True]["lengths"].max() > 3
    assert np.all(found[True]["scores"] < 0)
    assert not found[False]["scores"].any()
    assert not found[False]["token_scores"].any()


def profiled(
    graph: ModelProto, inputs: Mapping[str, np.ndarray], path: Path
) -> tuple[dict[str, np.ndarray], Counter[str]]:
    """The outputs of a graph, and how often onnxruntime ran each operator."""
    options = session_options(1)
    options.enable_profiling, options.profile_file_prefix = True, str(path)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {value.name: inputs[value.name] for value in session.get_inputs()})
    events = json.loads(Path(session.end_profiling()).read_text())
    run = Counter(event["args"]["op_name"] for event in events if event["name"].endswith("_kernel_time"))
    return dict(zip(names, found, strict=True)), run
