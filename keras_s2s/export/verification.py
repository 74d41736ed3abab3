"""The forms of a bundle in the making are decoded, compared and measured."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from keras_s2s.decoding.registry import features_of
from keras_s2s.evaluation import evaluate
from keras_s2s.export.checks import ALL, SOME, Check, checks, is_plain, search_name
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
from keras_s2s.export.proof import Proof
from keras_s2s.export.request import Request, default_graph
from keras_s2s.export.verify import (
    NUMBERS,
    TENSORFLOW,
    Comparing,
    Outputs,
    Quality,
    Searched,
    by_onnx,
    by_tensorflow,
    verify,
    verify_numbers,
    verify_texts,
)
from keras_s2s.layout import Layout
from keras_s2s.runtime.feeds import Sentence, source_rows
from keras_s2s.runtime.graph import Candidate, Stop
from keras_s2s.runtime.prefixes import suppressed_ids
from keras_s2s.special_ids import EOS

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
        title = search_name(decoding.strategy, decoding.beam_size, features_of(decoding))
        sentences = [Sentence(row, number) for number, row in enumerate(rows)]
        check = Check(default, title, decoding, sentences, suppressed_ids(request.target, decoding))
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

    def work(self) -> dict[str, float]:
        """The steps of verification that come one after the other, and about how many seconds each takes."""
        found = {"verifying: waiting for ONNX": 5.0}
        for check in self.all:
            each = 0.01 * check.decoding.beam_size
            for form in TENSORFLOW:
                found[f"verifying: {form}, {check.title}"] = each * len(check.sample)
            found[f"verifying: {check.title}, proof"] = 0.003 * len(check.sentences)
        found["verifying: text to text"] = 0.01 * self.default.decoding.beam_size * len(self.default.sample)
        return {**found, "measuring the speed of ONNX": 3.0}


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

    def verifying(what: str) -> None:
        tell(f"verifying: {what}")

    def work() -> Onnx:
        # Where quality is measured, int8 has one of its own.
        wholly = [list(paths), *(["fp32"] for _ in questions.others)]
        return [by_onnx(*forms, *one, verifying) for one in zip(questions.all, wholly, strict=True)]

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            yield forms, future
            tell("verifying: waiting for ONNX")
            wait([future])
        except BaseException:
            stop()
            raise


def verified(
    request: Request,
    questions: Questions,
    programs: Mapping[str, Any],
    forms: OnnxForms,
    onnx: Onnx,
    folder: Path,
    tell: Progress,
) -> Verified:
    """Compares all forms of a bundle in the making, and measures them.

    Args:
        request: what is exported.
        questions: what is asked.
        programs: of Keras, by graph.
        forms: those of ONNX.
        onnx: what they said to each question.
        folder: of the bundle; its SavedModel is there.
        tell: is told what is being done.

    Raises:
        VerificationError: two forms disagree.
    """
    vocabulary = request.target.vocabulary_size

    def verifying(what: str) -> None:
        tell(f"verifying: {what}")

    keras, saved = keras_form(programs, vocabulary), SavedModelForm(folder / "saved_model", vocabulary)
    others = {"keras": keras, "saved_model": saved}
    margins = Margins(request.model, steps_by_form(request.model, forms.stepwise, vocabulary))
    compare = Comparing(margins, _quality(request, questions), verifying)
    proof, comparisons, searched = Proof(request.model, vocabulary), [], []
    for check, said in zip(questions.all, onnx, strict=True):
        searched.append(by_tensorflow(others, proof, check, said["fp32"], verifying))
        comparisons += verify(compare, check, said, searched[-1])
    rows = source_rows(request.source, request.dev.sources[:SOME], request.max_source_tokens)
    targets = [[*ids, EOS] for ids in request.target.encode(list(request.dev.targets[:SOME]))]
    for graph in request.graphs:
        if graph in NUMBERS:
            comparisons += verify_numbers({**others, **forms.whole}, graph, rows, targets)
    tell("verifying: text to text")
    comparisons.append(_texts(compare, request, questions, others, searched[0].outputs["keras"]))
    tell("measuring the speed of ONNX")
    measured = _measured(request, questions.default, forms.whole, onnx[0], searched[0], folder)
    return Verified(comparisons, measured)


def _quality(request: Request, questions: Questions) -> Quality:
    """The first metric of what was found, by the numbers of sentences."""

    def quality(found: Mapping[int, Candidate]) -> float:
        written = request.target.decode([candidate.tokens for candidate in found.values()])
        references = [questions.references[number] for number in found]
        return next(iter(evaluate(request.metrics[:1], written, references).values()))

    return quality


def _texts(
    compare: Comparing, request: Request, questions: Questions, forms: Mapping[str, Any], keras: Outputs
) -> dict[str, Any]:
    """Compares texts of the SavedModel with those that Keras's ids say, for the sample of those that are measured."""
    text, check = request.measured, questions.default
    places = [place for place in check.sample if place < len(text.sources)]
    sources = [text.sources[place] for place in places]
    ours = request.target.decode([keras[place].tokens for place in places])
    ours = [said if source.strip() else "" for said, source in zip(ours, sources, strict=True)]
    theirs = forms["saved_model"].texts(sources, BATCH)
    return verify_texts(compare, forms, check.only(places), ours, theirs, request.target)


def _measured(
    request: Request,
    check: Check,
    forms: Mapping[str, Form],
    onnx: Mapping[str, Outputs],
    searched: Searched,
    folder: Path,
) -> list[Measured]:
    """Each form's row; where Keras and the SavedModel say the same, so does their quality."""
    text, measured = request.measured, []
    every = range(len(text.sources))

    def measure(title: str, size: int, outputs: Outputs, rate: float, proven: int = 0) -> None:
        texts = request.target.decode([outputs[place].tokens for place in every])
        metrics = evaluate(request.metrics, texts, text.targets)
        measured.append(Measured(title, metrics, size / 1e6, rate, texts, proven))

    keras, rates = searched.outputs["keras"], searched.rates
    proven = len([place for place in searched.proven if place in every])
    measure("Keras", bytes_of_weights(request.model), keras, rates["keras"], proven)
    measure("SavedModel", bytes_of(folder / "saved_model"), keras, rates["saved_model"], proven)
    for name, form in forms.items():
        rate = median(timed(form, check.only(check.sample[::2]))[1] for _ in range(3))
        measure(onnx_title(name), bytes_of(folder / "onnx" / name), onnx[name], rate)
    return measured
