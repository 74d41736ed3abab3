"""A model's forms, all with one face: the name of a graph and sentences in, candidates out."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_s2s.bundle import Decoding, step_graphs, strategy_and_features
from keras_s2s.cores import available_cores
from keras_s2s.decoding import make_program, make_steps, step_problems
from keras_s2s.layout import Layout
from keras_s2s.runtime.feeds import Sentence, feeds
from keras_s2s.runtime.graph import Candidates, Graph, Stop, candidates
from keras_s2s.runtime.steps import Steps

Run = Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]

# Of the sentences of a batch so many come with each step, so that most rows are of another age than their neighbours.
_AT_ONCE = 4


class Form:
    """A form of a model.

    Args:
        run: runs the graph of a name on inputs; it takes those that it has.
        vocabulary: V, of the target.
        at_once: how many batches it can run at the same time, from as many threads.
    """

    def __init__(self, run: Run, vocabulary: int, at_once: int = 1) -> None:
        self.run, self.at_once, self._vocabulary = run, at_once, vocabulary

    def search(
        self,
        graph: str,
        sentences: Sequence[Sentence],
        decoding: Decoding,
        suppressed: Sequence[Sequence[int]] = (),
        shortlist: np.ndarray | None = None,
    ) -> list[Candidates]:
        """The candidates of each sentence, all in one batch."""
        return candidates(self.run(graph, feeds(sentences, decoding, self._vocabulary, suppressed, shortlist)))


def programs_of(model: Any, graphs: Sequence[str], groups: int) -> dict[str, Any]:
    """The program of each graph."""
    return {name: make_program(model, *strategy_and_features(name), groups=groups) for name in graphs}


def steps_of(model: Any, graphs: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Layout]]]:
    """The programs of the steps of each graph, by the names of their own graphs, and the layouts of what they keep."""
    made = {name: make_steps(model, *strategy_and_features(name)) for name in graphs}
    programs = {own: steps.programs[part] for name, steps in made.items() for part, own in step_graphs(name).items()}
    return programs, {name: dict(steps.layouts) for name, steps in made.items()}


def variables_of(model: Any) -> list[Any]:
    """The variables of a model, or of all models of an ensemble or a fusion."""
    models = [model] if hasattr(model, "variables") else model.models
    return [variable for one in models for variable in one.variables]


def keras_form(programs: Mapping[str, Any], vocabulary: int) -> Form:
    """The Keras model itself."""
    graphs = {name: KerasGraph(program) for name, program in programs.items()}
    return Form(lambda graph, inputs: graphs[graph](inputs), vocabulary)


class SavedModelForm(Form):
    """A SavedModel, loaded from disk.

    Args:
        path: its folder.
        vocabulary: V, of the target.
    """

    def __init__(self, path: Path, vocabulary: int) -> None:
        self._signatures = tf.saved_model.load(str(path)).signatures
        super().__init__(self._run, vocabulary)

    def _run(self, graph: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        signature = self._signatures[graph]
        specs = signature.structured_input_signature[1]
        found = signature(**{name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()})
        return {name: value.numpy() for name, value in found.items()}

    def texts(self, texts: Sequence[str], batch_size: int) -> list[str]:
        """Outputs of the text signature for `texts`, in batches in the order given."""
        generate = self._signatures["serving_default"]
        batches = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
        return [text.decode() for batch in batches for text in generate(text=tf.constant(batch))["text"].numpy()]


def onnx_form(folder: Path, graphs: Sequence[str], vocabulary: int, stop: Stop | None = None) -> Form:
    """The ONNX graphs of one precision, a batch on each core, as the runtime computes several; `stop` ends them."""
    sessions = {name: Graph(folder / f"{name}.onnx", threads=1) for name in graphs}
    return Form(lambda graph, inputs: sessions[graph](inputs, stop), vocabulary, available_cores())


def keras_steps(model: Any, graph: str, vocabulary: int) -> Steps:
    """The search of a graph a step at a time by the Keras model itself."""
    made = make_steps(model, *strategy_and_features(graph))
    return Steps({part: KerasGraph(program) for part, program in made.programs.items()}, made.layouts, vocabulary)


class KerasGraph:
    """A program with the face of a graph.

    Args:
        program: of `decoding.programs`.

    Attributes:
        inputs: their names.
    """

    def __init__(self, program: Any) -> None:
        self._program = program
        self.inputs = [spec.name for spec in program.input_signature]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the program on those inputs that it has."""
        specs = self._program.input_signature
        found = self._program(*(tf.constant(inputs[spec.name], spec.dtype) for spec in specs))
        return {name: value.numpy() for name, value in found.items()}


class _Stoppable:
    """A graph whose runs `stop` ends."""

    def __init__(self, graph: Graph, stop: Stop | None) -> None:
        self.inputs, self._graph, self._stop = graph.inputs, graph, stop

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._graph(inputs, self._stop)


class StepwiseForm:
    """The steps of ONNX graphs, driven as a server drives them: sentences come while others are on their way.

    Args:
        folder: of one precision.
        layouts: by graph and tensor.
        vocabulary: V, of the target.
        stop: ends each run of a graph.

    Attributes:
        steps: by graph.
        at_once: see `Form`.
    """

    at_once = 1

    def __init__(
        self,
        folder: Path,
        layouts: Mapping[str, Mapping[str, Layout]],
        vocabulary: int,
        stop: Stop | None = None,
    ) -> None:
        self.steps = {
            name: Steps(
                {part: _Stoppable(Graph(folder / f"{file}.onnx"), stop) for part, file in step_graphs(name).items()},
                own,
                vocabulary,
            )
            for name, own in layouts.items()
        }

    def search(
        self,
        graph: str,
        sentences: Sequence[Sentence],
        decoding: Decoding,
        suppressed: Sequence[Sequence[int]] = (),
        shortlist: np.ndarray | None = None,
    ) -> list[Candidates]:
        """As `Form.search`; there is never a shortlist."""
        steps, batch = self.steps[graph], None
        waiting = [replace(sentence, number=number) for number, sentence in enumerate(sentences)]
        found: dict[int, Candidates] = {}
        while waiting or batch is not None:
            if waiting:
                new = steps.start(waiting[:_AT_ONCE], decoding, suppressed)
                batch, waiting = new if batch is None else steps.exchange(batch, (), new), waiting[_AT_ONCE:]
            assert batch is not None
            batch = steps.advance(batch)
            results, places = steps.finished(batch)
            batch = steps.exchange(batch, places)
            found |= {sentence.number: some for sentence, some in results}
        return [found[number] for number in range(len(sentences))]


def steps_by_form(
    model: Any, stepwise: Mapping[str, StepwiseForm], vocabulary: int
) -> Callable[[str, str], Steps | None]:
    """The search of a graph one step at a time, with the numbers of a form.

    Of a form without steps it is the Keras model's; None where the search has no steps.
    """
    of_keras = functools.cache(lambda graph: keras_steps(model, graph, vocabulary))

    def steps(form: str, graph: str) -> Steps | None:
        if form in stepwise and graph in stepwise[form].steps:
            return stepwise[form].steps[graph]
        return None if step_problems(*strategy_and_features(graph)) else of_keras(graph)

    return steps
