"""The forms of a bundle in the making are decoded, compared and measured."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from keras_s2s.evaluation import evaluate
from keras_s2s.export.beside import beside
from keras_s2s.export.checks import ALL, Check, checks, is_plain, title_of
from keras_s2s.export.decode import BATCH, timed
from keras_s2s.export.forms import (
    Form,
    SavedModelForm,
    StepwiseForm,
    keras_form,
    onnx_form,
    steps_by_form,
)
from keras_s2s.export.measure import Measured, bytes_of, bytes_of_weights, onnx_title
from keras_s2s.export.near_ties import Margins
from keras_s2s.export.plan import MEASURING, TEXT_TO_TEXT, WAITING, proving
from keras_s2s.export.proof import Proof
from keras_s2s.export.request import Request, default_graph
from keras_s2s.export.verify import (
    NUMBERS,
    Comparing,
    Outputs,
    Proven,
    Quality,
    by_onnx,
    by_tensorflow,
    prove,
    verify,
    verify_numbers,
    verify_texts,
)
from keras_s2s.layout import Layout
from keras_s2s.runtime.feeds import Sentence, source_rows
from keras_s2s.runtime.graph import Candidate, Stop
from keras_s2s.runtime.prefixes import suppressed_ids

_TITLES = {"keras": "Keras", "saved_model": "SavedModel"}
_FEW = 3  # One of so many sentences of a sample is decoded to measure speed.

Progress = Callable[[str], None]
Onnx = Sequence[Mapping[str, Outputs]]


class Verified(NamedTuple):
    """What verification has found.

    Attributes:
        comparisons: of forms, as plain data.
        measured: of each form.
    """

    comparisons: list[dict[str, Any]]
    measured: list[Measured]


@dataclass(frozen=True)
class Questions:
    """What the forms of a model are asked.

    Attributes:
        default: the sentences that quality is measured on, and of dev as many as they lack to 1,000, as the bundle
            decodes by default.
        others: of the other graphs, and of the default one with all its features at work.
        references: of the sentences, by their numbers.
    """

    default: Check
    others: Sequence[Check]
    references: Sequence[str]

    @classmethod
    def of(cls, request: Request) -> "Questions":
        """The questions about a request's model."""
        text, default = request.measured, default_graph(request.decoding)
        decoding = request.decoding.replace(scores=True)  # They are compared.
        lacking = 0 if request.test is None else max(ALL - len(text.sources), 0)
        sources = [*text.sources, *request.dev.sources[:lacking]]
        rows = source_rows(request.source, sources, request.max_source_tokens)
        sentences = [Sentence(row, number) for number, row in enumerate(rows)]
        check = Check(default, title_of(decoding), decoding, sentences, suppressed_ids(request.target, decoding))
        rest = [graph for graph in request.graphs if graph != default or not is_plain(graph)]
        others = [
            replace(other, title=f"{other.title}, all options") if other.graph == default else other
            for other in checks(rest, rows, decoding, request.target.vocabulary_size)
        ]
        return cls(check, others, [*text.targets, *request.dev.targets[:lacking]])

    @property
    def all(self) -> list[Check]:
        """The default one first."""
        return [self.default, *self.others]


class OnnxForms(NamedTuple):
    """The ONNX graphs of a bundle in the making, by precision: whole searches, and searches a step at a time."""

    whole: dict[str, Form]
    stepwise: dict[str, StepwiseForm]


@contextlib.contextmanager
def decoding_beside(
    request: Request, questions: Questions, folder: Path, layouts: Mapping[str, Mapping[str, Layout]], tell: Progress
) -> Iterator[tuple[OnnxForms, "Future[Onnx]"]]:
    """Decodes all questions by ONNX graphs, on all cores, while the block does something else.

    Args:
        request: what is exported.
        questions: what is asked.
        folder: of the bundle; its graphs are there.
        layouts: of the graphs that have steps.
        tell: is told what is being decoded.
    """
    stop, vocabulary = Stop(), request.target.vocabulary_size
    paths = {path.name: path for path in sorted((folder / "onnx").iterdir())}
    forms = OnnxForms(
        {name: onnx_form(path, request.graphs, vocabulary, stop) for name, path in paths.items()},
        {name: StepwiseForm(path, layouts, vocabulary, stop) for name, path in paths.items()},
    )

    def work() -> Onnx:
        # Where quality is measured, int8 has one of its own.
        wholly = [list(paths), *(["fp32"] for _ in questions.others)]
        return [by_onnx(*forms, *one, tell) for one in zip(questions.all, wholly, strict=True)]

    with beside(work, stop) as found:
        yield forms, found
        tell(WAITING)


class Searched(NamedTuple):
    """Keras and the SavedModel at work.

    Attributes:
        forms: "keras" and "saved_model".
        outputs: of both, for the sample of each question.
        texts: what the SavedModel makes of the texts of `places`, by its text signature.
        places: of the sample of the default question, those whose quality is measured.
    """

    forms: dict[str, Any]
    outputs: Sequence[dict[str, Outputs]]
    texts: Sequence[str]
    places: Sequence[int]


def search(
    request: Request, questions: Questions, programs: Mapping[str, Any], folder: Path, tell: Progress
) -> Searched:
    """Lets Keras and the SavedModel search for the samples of all questions.

    Args:
        request: what is exported.
        questions: what is asked.
        programs: of Keras, by graph.
        folder: of the bundle; its SavedModel is there.
        tell: is told what is being decoded.
    """
    vocabulary, text = request.target.vocabulary_size, request.measured
    saved = SavedModelForm(folder / "saved_model", vocabulary)
    forms: dict[str, Any] = {"keras": keras_form(programs, vocabulary), "saved_model": saved}
    outputs = [by_tensorflow(forms, check, tell) for check in questions.all]
    tell(TEXT_TO_TEXT)
    places = [place for place in questions.default.sample if place < len(text.sources)]
    return Searched(forms, outputs, saved.texts([text.sources[place] for place in places], BATCH), places)


def verified(
    request: Request,
    questions: Questions,
    forms: OnnxForms,
    onnx: Onnx,
    searched: Searched,
    folder: Path,
    tell: Progress,
) -> Verified:
    """Compares all forms of a bundle in the making, and measures them.

    Args:
        request: what is exported.
        questions: what is asked.
        forms: those of ONNX.
        onnx: what they said to each question.
        searched: what Keras and the SavedModel said.
        folder: of the bundle.
        tell: is told what is being done.

    Raises:
        VerificationError: two forms disagree.
    """
    vocabulary = request.target.vocabulary_size
    margins = Margins(request.model, steps_by_form(request.model, forms.stepwise, vocabulary))
    compare = Comparing(margins, _quality(request, questions), lambda what: tell(f"verifying: {what}"))
    proof, comparisons, proven = Proof(request.model, vocabulary), [], []
    for check, said, found in zip(questions.all, onnx, searched.outputs, strict=True):
        tell(proving(check))
        proven.append(prove(searched.forms["keras"], proof, check, found["keras"], said["fp32"]))
        outputs = {**said, **found, "keras": proven[-1].outputs}
        comparisons += verify(compare, check, outputs, proven[-1].places)
    every = {**searched.forms, **forms.whole}
    for graph in request.graphs:
        if graph in NUMBERS:
            comparisons += verify_numbers(every, graph, *request.dev_rows())
    comparisons.append(_texts(compare, request, questions, searched))
    tell(MEASURING)
    return Verified(comparisons, _measured(request, questions.default, every, onnx[0], proven[0], folder))


def _quality(request: Request, questions: Questions) -> Quality:
    """The first metric of what was found, by the numbers of sentences."""

    def quality(found: Mapping[int, Candidate]) -> float:
        written = request.target.decode([candidate.tokens for candidate in found.values()])
        references = [questions.references[number] for number in found]
        return next(iter(evaluate(request.metrics[:1], written, references).values()))

    return quality


def _texts(compare: Comparing, request: Request, questions: Questions, searched: Searched) -> dict[str, Any]:
    """Compares texts of the SavedModel with those that Keras's ids say."""
    places, keras = searched.places, searched.outputs[0]["keras"]
    ours = request.target.decode([keras[place].tokens for place in places])
    sources = [request.measured.sources[place] for place in places]
    ours = [said if source.strip() else "" for said, source in zip(ours, sources, strict=True)]
    asked = questions.default.only(places)
    return verify_texts(compare, searched.forms, asked, ours, searched.texts, request.target)


def _measured(
    request: Request,
    check: Check,
    forms: Mapping[str, Form],
    onnx: Mapping[str, Outputs],
    keras: Proven,
    folder: Path,
) -> list[Measured]:
    """Each form's row; where Keras and the SavedModel say the same, so does their quality."""
    text, few = request.measured, check.only(check.sample[::_FEW])

    def judged(outputs: Outputs) -> tuple[list[str], dict[str, float]]:
        texts = request.target.decode([outputs[place].tokens for place in range(len(text.sources))])
        return texts, evaluate(request.metrics, texts, text.targets)

    of_keras, measured = judged(keras.outputs), []
    for name, form in forms.items():
        in_onnx = name in onnx
        path = folder / "onnx" / name if in_onnx else folder / name
        size = bytes_of_weights(request.model) if name == "keras" else bytes_of(path)
        rate = median(timed(form, few) for _ in range(3 if in_onnx else 1))
        texts, metrics = judged(onnx[name]) if in_onnx else of_keras
        proven = 0 if in_onnx else len([place for place in keras.places if place < len(texts)])
        title = onnx_title(name) if in_onnx else _TITLES[name]
        measured.append(Measured(title, metrics, size / 1e6, rate, texts, proven))
    return measured
