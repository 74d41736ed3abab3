"""Do the forms of a model say the same?

What ONNX writes for each sentence is proven by the Keras model (`proof`); for a sample of the sentences, and wherever
the proof fails, Keras and the SavedModel search, too. In floating point, sums in another order round in another way, so
two forms may part where two continuations are as good as equal. Such near-ties are counted, with the largest margin and
what they change of the metric; they are no fault of a bundle. Anything else is an error.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from keras_s2s.errors import ExportError
from keras_s2s.export.checks import Check
from keras_s2s.export.decode import BATCH, decode, decode_in_given_order
from keras_s2s.export.forms import Form, StepwiseForm
from keras_s2s.export.near_ties import Margins
from keras_s2s.export.plan import ONE_BY_ONE, STEP_BY_STEP, TENSORFLOW, WITHOUT_SCORES, searching
from keras_s2s.runtime.graph import Candidate
from keras_s2s.text import Tokenizer
from keras_s2s.text.padding import pad

NEAR_TIE = 1e-4
# Where a last bit moves an activation over the border of two steps, a log-probability moves by as much as this.
NEAR_TIE_INT8 = 1e-2
# By how much numbers of the same tokens may differ in float32; of scores that are larger than 1, by this share.
ROUNDING = 1e-3
NUMBERS = {"score": "token_scores", "align": "attention"}

Outputs = Mapping[int, Candidate]
"""Outputs by the places of the sentences of a check."""
Quality = Callable[[Mapping[int, Candidate]], float]
_COMPARED = {
    "keras and saved_model": ("keras", "saved_model"),
    "keras and fp32": ("keras", "fp32"),
    **{f"{name} in batches of {BATCH} and alone": (name, f"{name}, alone") for name in ("fp32", "int8")},
    **{f"{name} and its steps": (name, f"{name}, steps") for name in ("fp32", "int8")},
    **{f"{name} with scores and without": (name, f"{name}, without scores") for name in ("fp32", "int8")},
}


class VerificationError(ExportError):
    """Two forms of a model disagree. The message says where they first do."""


@dataclass(frozen=True)
class Comparison:
    """How often two forms agree.

    Attributes:
        forms: what is compared, such as "Keras and SavedModel".
        decoding: "greedy", or "beam 4", or "score".
        sentences: how many were compared.
        near_ties: how many differ at a near-tie.
        largest_score_difference: between sentences whose tokens agree; None where no scores are compared.
        largest_margin: of a near-tie, in log-probability.
        metric_change: what the near-ties change of the metric, the second form's value less the first one's.
        proven: how many of them Keras did not search for, but proved.
    """

    forms: str
    decoding: str
    sentences: int
    near_ties: int
    largest_score_difference: float | None
    largest_margin: float = 0.0
    metric_change: float = 0.0
    proven: int = 0


@dataclass(frozen=True)
class Comparing:
    """Compares what two forms found for the same sentences.

    Args:
        margins: says how near a tie is.
        quality: the metric of what was found, by the numbers of the sentences.
        progress: is told what is being decoded, and of near-ties.
    """

    margins: Margins
    quality: Quality
    progress: Callable[[str], None]

    def __call__(self, forms: str, check: Check, ours: Outputs, theirs: Outputs) -> Comparison:
        """Compares the sentences that both have decoded.

        Raises:
            VerificationError: a difference is no near-tie, or numbers of the same tokens differ.
        """
        where, difference, near_ties = f"{forms}, {check.title}", 0.0, []
        places = sorted(ours.keys() & theirs.keys())
        for place in places:
            a, b = ours[place], theirs[place]
            if a.tokens == b.tokens:
                difference = max(difference, _difference(f"{where}: {_sentence(check, place)}", forms, a, b))
            else:
                near_ties.append(self._margin(where, forms, check, place, a, b))
        if not near_ties:
            return Comparison(forms, check.title, len(places), 0, difference)
        change = self._quality(check, places, theirs) - self._quality(check, places, ours)
        self.progress(
            f"{where}: {len(near_ties)} of {len(places)} sentences differ at near-ties, by at most "
            f"{max(near_ties):.1g}; that changes the metric by {change:+.2f}"
        )
        return Comparison(forms, check.title, len(places), len(near_ties), difference, max(near_ties), change)

    def _quality(self, check: Check, places: Sequence[int], found: Outputs) -> float:
        return self.quality({check.sentences[place].number: found[place] for place in places})

    def _margin(self, where: str, forms: str, check: Check, place: int, a: Candidate, b: Candidate) -> float:
        form = "int8" if forms.startswith("int8") else "fp32"
        near = NEAR_TIE_INT8 if form == "int8" else NEAR_TIE
        margin, step = self.margins.between(form, check, place, a, b, near)
        if margin >= near:
            raise VerificationError(
                f"{where}: {_sentence(check, place)} first differs at step {step}, and that is no near-tie: "
                f"the margin is {margin:.2g}, at most {near:g} would be"
            )
        return margin


def _difference(where: str, forms: str, a: Candidate, b: Candidate) -> float:
    """The difference of the scores of two outputs of the same tokens."""
    if math.isnan(a.score) or math.isnan(b.score):
        raise VerificationError(
            f"{where} has a score that is not a number; the weights are broken, as by a learning rate that is too high"
        )
    found = abs(a.score - b.score)
    tokens = zip(a.token_scores, b.token_scores, strict=False)  # some searches have none
    of_tokens = max((abs(x - y) for x, y in tokens), default=0.0)
    if not forms.startswith("int8") and max(found / max(1.0, abs(a.score)), of_tokens) >= ROUNDING:
        raise VerificationError(
            f"{where} has the same tokens and other numbers: scores of {a.score:.6g} and {b.score:.6g}, "
            f"log-probabilities of tokens that differ by {of_tokens:.2g}"
        )
    return found


def _sentence(check: Check, place: int) -> str:
    return f"sentence {check.sentences[place].number + 1}"


def by_onnx(
    forms: Mapping[str, Form],
    stepwise: Mapping[str, StepwiseForm],
    check: Check,
    wholly: Sequence[str],
    progress: Callable[[str], None],
) -> dict[str, Outputs]:
    """Decodes a check by ONNX graphs, in every way that is compared.

    Args:
        forms: those of ONNX, "fp32" and "int8".
        stepwise: the same a step at a time.
        check: what is asked.
        wholly: those of `forms` that decode all sentences; the others decode the sample.
        progress: is told what is being decoded.

    Returns:
        The outputs by the names of `forms`, with ", alone" behind them sentence by sentence, and ", steps" a step at a
        time if the graph has steps, and ", without scores" if the search can do without; its numbers are those of the
        search with scores.
    """
    every, sample, found = list(range(len(check.sentences))), check.sample, dict[str, Outputs]()
    for name, form in forms.items():
        places = every if name in wholly else sample
        progress(searching(name, check))
        found[name] = _by_place(places, decode_in_given_order(form, check.only(places)))
        progress(searching(name, check, ONE_BY_ONE))
        found[f"{name}, alone"] = _by_place(sample, decode_in_given_order(form, check.only(sample), 1))
        if check.graph in stepwise[name].steps:
            progress(searching(name, check, STEP_BY_STEP))
            steps = decode_in_given_order(stepwise[name], check.only(sample))
            found[f"{name}, steps"] = _by_place(sample, steps)
        if check.may_omit_scores:
            progress(searching(name, check, WITHOUT_SCORES))
            found[f"{name}, without scores"] = _without_scores(form, check, found[name])
    return found


def _without_scores(form: Form, check: Check, scored: Outputs) -> Outputs:
    """Decodes the sample of a check as those want it who read no scores."""
    asked = replace(check.only(check.sample), decoding=check.decoding.replace(scores=False))
    found = _by_place(check.sample, decode_in_given_order(form, asked))
    return {place: scored[place]._replace(tokens=one.tokens) for place, one in found.items()}


def by_tensorflow(forms: Mapping[str, Form], check: Check, progress: Callable[[str], None]) -> dict[str, Outputs]:
    """Decodes the sample of a check in Keras and the SavedModel.

    Args:
        forms: "keras" and "saved_model".
        check: what is asked.
        progress: is told what is being decoded.
    """
    found: dict[str, Outputs] = {}
    for name in TENSORFLOW:
        progress(searching(name, check))
        found[name] = _by_place(check.sample, decode(forms[name], check.only(check.sample)))
    return found


class Proven(NamedTuple):
    """The outputs of Keras for all sentences of a check.

    Attributes:
        outputs: by place.
        places: of those that were not searched for, but proven.
    """

    outputs: Outputs
    places: Sequence[int]


def prove(
    keras: Form, proof: Callable[[Check, Outputs], Outputs], check: Check, searched: Outputs, written: Outputs
) -> Proven:
    """Proves for Keras what ONNX wrote, and searches where a proof fails.

    Args:
        keras: the form.
        proof: gives what Keras says of outputs, where that is proven.
        check: what is asked.
        searched: what Keras has found already.
        written: what ONNX wrote in float32.
    """
    rest = {place: one for place, one in written.items() if place not in searched}
    proven = proof(check, rest)
    unproven = sorted(rest.keys() - proven.keys())
    others = _by_place(unproven, decode(keras, check.only(unproven)))
    return Proven({**searched, **proven, **others}, sorted(proven))


def _by_place(places: Sequence[int], found: Sequence[Candidate]) -> Outputs:
    return dict(zip(places, found, strict=True))


def verify(
    compare: Comparing, check: Check, outputs: Mapping[str, Outputs], proven: Sequence[int]
) -> list[dict[str, Any]]:
    """Compares what all forms said of a check.

    Args:
        compare: compares what was found.
        check: what was asked.
        outputs: by the names of `by_onnx` and `by_tensorflow`.
        proven: the places of those of Keras that were proven.

    Returns:
        The comparisons as plain data.

    Raises:
        VerificationError: two forms part at something other than a near-tie.
    """
    result = []
    for forms, (one, other) in _COMPARED.items():
        if one in outputs and other in outputs:
            compared = compare(forms, check, outputs[one], outputs[other])
            counted = len(outputs[other].keys() & proven) if one == "keras" else 0
            difference = None if other.endswith("without scores") else compared.largest_score_difference
            result.append(asdict(replace(compared, largest_score_difference=difference, proven=counted)))
    return result


def verify_numbers(
    forms: Mapping[str, Form], graph: str, rows: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    """Compares what the forms say of given targets.

    Args:
        forms: as in `verify`.
        graph: "score" or "align".
        rows: source ids of the sentences.
        targets: their target ids, each row ended by EOS.

    Raises:
        VerificationError: a number differs by more than a near-tie.
    """
    result = []
    for form in ("saved_model", "fp32"):
        largest = 0.0
        for start in range(0, len(rows), BATCH):
            inputs = {"source_ids": pad(rows[start : start + BATCH]), "target_ids": pad(targets[start : start + BATCH])}
            ours, theirs = (forms[name].run(graph, inputs)[NUMBERS[graph]] for name in ("keras", form))
            largest = max(largest, float(np.abs(ours - theirs)[inputs["target_ids"] > 0].max()))
        if not largest < NEAR_TIE:
            raise VerificationError(f"keras and {form}, {graph}: numbers differ by {largest:.2g}")
        result.append(asdict(Comparison(f"keras and {form}", graph, len(rows), 0, largest)))
    return result


def verify_texts(
    compare: Comparing,
    forms: Mapping[str, Form],
    check: Check,
    ours: Sequence[str],
    theirs: Sequence[str],
    target: Tokenizer,
) -> dict[str, Any]:
    """Compares texts of the Keras model with those that the SavedModel made of texts, for the sentences of a check.

    A text that differs must be one that the ids of the SavedModel or of Keras say at a near-tie.

    Args:
        compare: as in `verify`.
        forms: as in `verify`.
        check: how they were decoded.
        ours: what the Keras model's ids say.
        theirs: what the SavedModel's text signature says.
        target: writes ids as text.

    Raises:
        VerificationError: a text is another one.
    """
    name = "keras and saved_model, text to text"
    found: dict[int, tuple[Candidate, Candidate]] = {}
    for number in (number for number, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b):
        ways = _ways_to_decode(forms, check, number)
        said = dict(zip(target.decode([one.tokens for one in ways]), ways, strict=True))
        if ours[number] not in said or theirs[number] not in said:
            raise VerificationError(
                f"{name}: the text of {_sentence(check, number)} differs, and no near-tie explains it: "
                f"{ours[number]!r} and {theirs[number]!r}"
            )
        found[number] = said[ours[number]], said[theirs[number]]
    same = Candidate((), 0.0)
    pairs = [found.get(number, (same, same)) for number in range(len(ours))]
    compared = compare(name, check, dict(enumerate(a for a, _ in pairs)), dict(enumerate(b for _, b in pairs)))
    return asdict(replace(compared, largest_score_difference=None))


def _ways_to_decode(forms: Mapping[str, Form], check: Check, number: int) -> list[Candidate]:
    """Results of Keras and the SavedModel for a sentence in its batch and alone; sums may round differently."""
    start = number - number % BATCH
    batch = check.only(range(start, min(start + BATCH, len(check.sentences))))
    alone = check.only([number])
    return [
        decode_in_given_order(forms[name], asked)[place]
        for asked, place in ((batch, number - start), (alone, 0))
        for name in TENSORFLOW
    ]
