"""The graphs of a search a step at a time: what they are made of, and that they say what the whole search says."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest

from keras_s2s.bundle import Decoding, Layout, step_graphs
from keras_s2s.decoding import Hypotheses
from keras_s2s.export.forms import Form, StepwiseForm, onnx_form
from keras_s2s.export.passes import all_graphs, loops_of
from keras_s2s.runtime import Steps
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.graph import Candidates, Graph, Stop

pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")

VOCABULARY = 34
PRECISIONS = ("fp32", "int8")
GRAPHS = ("greedy", "beam-constrained-coverage")
SUPPRESSED = [[9], [10, 11]]


class Exported(NamedTuple):
    """The graphs of a model as they lie on disk, and the layouts of what the steps keep."""

    folder: Path
    layouts: dict[str, dict[str, Layout]]

    def path(self, precision: str, name: str) -> Path:
        return self.folder / "onnx" / precision / f"{name}.onnx"

    def whole(self, precision: str, graph: str) -> Form:
        return onnx_form(self.folder / "onnx" / precision, [graph], VOCABULARY)

    def steps(self, precision: str, graph: str) -> Steps:
        graphs = {part: Graph(self.path(precision, name)) for part, name in step_graphs(graph).items()}
        return Steps(graphs, self.layouts[graph], VOCABULARY)


def options(graph: str) -> Decoding:
    limits: dict[str, Any] = {"max_length_factor": 1.5, "max_length_extra": 5}
    if graph == "greedy":
        return Decoding(strategy="greedy", beam_size=1, **limits)
    constraints: dict[str, Any] = {"min_length": 2, "no_repeat_ngram": 2, "allow_unknown": False}
    return Decoding(strategy="beam", beam_size=4, n_best=4, coverage_penalty=0.2, **constraints, **limits)


def sentences(graph: str, count: int = 24) -> list[Sentence]:
    """Sources of 0 to 8 tokens, some with prefixes."""
    rng = np.random.default_rng(6)
    longest = 4 if "constrained" in graph else 1
    rows = [[*rng.integers(4, VOCABULARY, size=(2 * number) % 9).tolist(), 2] for number in range(count)]
    prefixes = [rng.integers(12, VOCABULARY, size=number % longest).tolist() for number in range(count)]
    return [Sentence(*row) for row in zip(rows, range(count), prefixes, strict=True)]


@pytest.fixture(scope="module", params=["transformer", "sizes of each layer", "lstm"])
def exported(request: Any, zoo: Any) -> Exported:
    return Exported(*zoo(request.param))


def same(found: list[Candidates], expected: list[Candidates], precision: str) -> None:
    """All tokens, and scores: of float32 all within 1e-5, of int8 49 of 50, and the others within 1e-2.

    Attention over a cache that is padded in front adds the same numbers from another place on, which moves the last
    bit; where that is rounded to int8, it seldom moves a whole step.
    """
    pairs = [pair for both in zip(found, expected, strict=True) for pair in zip(*both, strict=True)]
    assert all(ours.tokens == theirs.tokens for ours, theirs in pairs)
    errors = np.array([abs(ours.score - theirs.score) for ours, theirs in pairs])
    of_tokens = np.array([np.abs(np.subtract(ours[2], theirs[2])).max() for ours, theirs in pairs])
    far = (errors > 1e-5) | (of_tokens > 1e-4)
    assert far.mean() <= {"fp32": 0, "int8": 0.02}[precision]
    assert errors.max() < 1e-2
    assert of_tokens.max() < 1e-1


def stored(path: Path) -> set[str]:
    """Where in the weights file the graph's weights begin."""
    tensors = [t for graph in all_graphs(onnx.load(path, load_external_data=False).graph) for t in graph.initializer]
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "offset"}


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_sentence_is_the_same_among_others_of_any_age_as_alone(
    exported: Exported, precision: str, graph: str, served: Any
) -> None:
    some, decoding, form = sentences(graph), options(graph), exported.whole(precision, graph)
    expected = [form.search(graph, [sentence], decoding, SUPPRESSED)[0] for sentence in some]
    assert len({len(best.tokens) for best, *_ in expected}) > 4
    steps = exported.steps(precision, graph)
    for seed in (1, 2, 3):
        ages, found = [], dict[int, Candidates]()
        for batch, left in served(steps, some, decoding, SUPPRESSED, seed):
            ages.append(len(set(batch.state["length"].tolist())))
            found |= {sentence.number: candidates for sentence, candidates in left}
        assert max(ages) > 2
        assert len(found) == len(some)
        same([found[sentence.number] for sentence in some], expected, precision)


def test_steps_end_when_they_are_told_to(exported: Exported) -> None:
    stop = Stop()
    form = StepwiseForm(exported.folder / "onnx" / "fp32", exported.layouts, VOCABULARY, stop)
    stop()
    with pytest.raises(Exception, match="terminate"):
        form.search("greedy", sentences("greedy"), options("greedy"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_steps_that_are_driven_for_an_export(exported: Exported, precision: str) -> None:
    form = StepwiseForm(exported.folder / "onnx" / precision, exported.layouts, VOCABULARY)
    for graph in GRAPHS:
        given: Any = graph, sentences(graph), options(graph), SUPPRESSED
        same(form.search(*given), exported.whole(precision, graph).search(*given), precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_weights_of_steps_are_those_of_whole_searches(exported: Exported, precision: str) -> None:
    """Int8 values, scales and steps of activations included: none is stored that was not there."""
    for graph in GRAPHS:
        whole = stored(exported.path(precision, graph))
        parts = [stored(exported.path(precision, name)) for name in step_graphs(graph).values()]
        assert set().union(*parts) <= whole
        assert parts[0] and parts[1] and not parts[2]


@pytest.mark.parametrize("graph", GRAPHS)
def test_what_steps_take_and_give(exported: Exported, graph: str) -> None:
    layouts = set(exported.layouts[graph])
    kept = {name for name in layouts if name in ("limit", "prefix") or name.startswith("state/memory/")}
    start, advance, finish = (
        onnx.load(exported.path("fp32", name), load_external_data=False).graph for name in step_graphs(graph).values()
    )
    assert {value.name for value in start.output} == layouts - {"prefix"}
    assert {value.name for value in advance.output} == {f"next/{name}" for name in layouts - kept}
    assert {value.name for value in finish.output} == {*Hypotheses._fields}
    of_start = {"source_ids", "max_length_factor", "max_length_extra", *(["beam_size"] if "beam" in graph else [])}
    assert {value.name for value in start.input} == of_start
    options_of_beams = {"beam_size", "n_best", "patience", "exhaustive", "coverage_penalty", "min_length"}
    assert ({value.name for value in advance.input} >= options_of_beams) == ("beam" in graph)
    assert not any("memory" in value.name for value in finish.input)
    for part in (start, advance, finish):
        read = {name for inner in all_graphs(part) for node in inner.node for name in node.input}
        assert {value.name for value in part.input} <= read


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_step_is_the_body_of_the_loop(exported: Exported, precision: str) -> None:
    """Of the inner loop, that is: fused operators and products; there is no loop."""
    for graph in GRAPHS:
        loop, step = (
            onnx.load(exported.path(precision, name), load_external_data=False).graph
            for name in (graph, step_graphs(graph)["advance"])
        )
        ((_, outer),) = loops_of(loop)
        ((_, body),) = loops_of(outer)
        inside, alone = (Counter(node.op_type for node in one.node) for one in (body, step))
        for operator in ("MultiHeadAttention", "LayerNormalization", "LSTM", "MatMulIntegerToFloat", "TopK"):
            assert inside[operator] == alone[operator]
        assert not alone["Loop"]
