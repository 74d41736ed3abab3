"""Do the forms of a model say the same?

All decode the same dev sentences. In floating point, sums in another order round in another way, so two forms may part
where two continuations are as good as equal. Such near-ties are counted, with the largest margin and what they change
of the metric; they are no fault of a bundle. Anything else is an error.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from keras_s2s.errors import ExportError
from keras_s2s.export.checks import Check
from keras_s2s.export.forms import Form, StepwiseForm
from keras_s2s.export.near_ties import Margins
from keras_s2s.runtime.batching import map_batches
from keras_s2s.runtime.graph import Candidate
from keras_s2s.text import Tokenizer
from keras_s2s.text.padding import pad

NEAR_TIE = 1e-4
# Where a last bit moves an activation over the border of two steps, a log-probability moves by as much as this.
NEAR_TIE_INT8 = 1e-2
BATCH = 32
NUMBERS = {"score": "token_scores", "align": "attention"}

Quality = Callable[[Sequence[Candidate]], float]


class VerificationError(ExportError):
    """Two forms of a model disagree. The message says where they first do."""


@dataclass(frozen=True)
class Comparison:
    """How often two forms agree.

    Attributes:
        forms: what is compared, such as "Keras and SavedModel".
        decoding: "greedy", or "beam 4", or "score".
        sentences: how many were decoded.
        near_ties: how many differ at a near-tie.
        largest_score_difference: between sentences whose tokens agree; None where only texts are compared.
        largest_margin: of a near-tie, in log-probability.
        metric_change: what the near-ties change of the metric, the second form's value less the first one's.
    """

    forms: str
    decoding: str
    sentences: int
    near_ties: int
    largest_score_difference: float | None
    largest_margin: float = 0.0
    metric_change: float = 0.0


@dataclass(frozen=True)
class Comparing:
    """Compares what two forms found for the same sentences.

    Args:
        margins: says how near a tie is.
        quality: the metric of what was found for the first sentences.
        progress: is told what is being decoded, and of near-ties.
    """

    margins: Margins
    quality: Quality
    progress: Callable[[str], None]

    def __call__(self, forms: str, check: Check, ours: Sequence[Candidate], theirs: Sequence[Candidate]) -> Comparison:
        """Counts near-ties.

        Raises:
            VerificationError: a difference is none, or a score is no number.
        """
        where, difference, near_ties = f"{forms}, {check.title}", 0.0, []
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if math.isnan(a.score) or math.isnan(b.score):
                raise VerificationError(
                    f"{where}: sentence {number + 1} has a score that is not a number; "
                    "the weights are broken, as by a learning rate that is too high"
                )
            if a.tokens == b.tokens:
                difference = max(difference, abs(a.score - b.score))
            else:
                near_ties.append(self._margin(where, forms, check, number, a, b))
        if not near_ties:
            return Comparison(forms, check.title, len(ours), 0, difference)
        change = self.quality(theirs) - self.quality(ours)
        self.progress(
            f"{where}: {len(near_ties)} of {len(ours)} sentences differ at near-ties, by at most {max(near_ties):.1g}; "
            f"that changes the metric by {change:+.2f}"
        )
        return Comparison(forms, check.title, len(ours), len(near_ties), difference, max(near_ties), change)

    def _margin(self, where: str, forms: str, check: Check, number: int, a: Candidate, b: Candidate) -> float:
        form = "int8" if forms.startswith("int8") else "fp32"
        near = NEAR_TIE_INT8 if form == "int8" else NEAR_TIE
        margin, place = self.margins.between(form, check, number, a, b, near)
        if margin >= near:
            raise VerificationError(
                f"{where}: sentence {number + 1} first differs at step {place}, and that is no near-tie: "
                f"the margin is {margin:.2g}, at most {near:g} would be"
            )
        return margin


def verify(compare: Comparing, forms: Mapping[str, Form], checks: Iterable[Check]) -> list[dict[str, Any]]:
    """Compares all forms of a model, in padded batches and, those of ONNX, sentence by sentence.

    Args:
        compare: compares what was found.
        forms: "keras", "saved_model", "fp32" and "int8".
        checks: what each searching graph is asked.

    Returns:
        The comparisons as plain data.

    Raises:
        VerificationError: two forms part at something other than a near-tie.
    """
    result = []
    for check in checks:
        decoded = {}
        for form in forms:
            compare.progress(f"{form}, {check.title}")
            decoded[form] = _in_given_order(forms[form], check, BATCH)
        for form in ("saved_model", "fp32"):
            result.append(compare(f"keras and {form}", check, decoded["keras"], decoded[form]))
        for form in ("fp32", "int8"):
            compare.progress(f"{form}, {check.title}, one by one")
            alone = _in_given_order(forms[form], check, 1)
            result.append(compare(f"{form} in batches of {BATCH} and alone", check, decoded[form], alone))
    return [asdict(comparison) for comparison in result]


def verify_steps(
    compare: Comparing,
    forms: Mapping[str, Form],
    stepwise: Mapping[str, StepwiseForm],
    checks: Iterable[Check],
) -> list[dict[str, Any]]:
    """Compares whole searches with the same searches a step at a time.

    Args:
        compare: as in `verify`.
        forms: as in `verify`.
        stepwise: those of ONNX a step at a time.
        checks: what each of the graphs is asked that have steps.

    Raises:
        VerificationError: they part at something other than a near-tie.
    """
    result = []
    for check in checks:
        for name, form in stepwise.items():
            compare.progress(f"{name}, {check.title}, step by step")
            ours, theirs = (_in_given_order(one, check, BATCH) for one in (forms[name], form))
            result.append(compare(f"{name} and its steps", check, ours, theirs))
    return [asdict(comparison) for comparison in result]


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
    """Compares texts of the Keras model with those that the SavedModel made of texts.

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
                f"{name}: the text of sentence {number + 1} differs, and no near-tie explains it: "
                f"{ours[number]!r} and {theirs[number]!r}"
            )
        found[number] = said[ours[number]], said[theirs[number]]
    same = Candidate((), 0.0)
    pairs = [found.get(number, (same, same)) for number in range(len(ours))]
    compared = compare(name, check, [a for a, _ in pairs], [b for _, b in pairs])
    return asdict(replace(compared, largest_score_difference=None))


def _ways_to_decode(forms: Mapping[str, Form], check: Check, number: int) -> list[Candidate]:
    """Results of Keras and the SavedModel for a sentence in its batch and alone; sums may round differently."""
    start = number - number % BATCH
    batch = replace(check, sentences=check.sentences[start : start + BATCH])
    alone = replace(check, sentences=[check.sentences[number]])
    return [
        _in_given_order(forms[name], asked, BATCH)[place]
        for asked, place in ((batch, number - start), (alone, 0))
        for name in ("keras", "saved_model")
    ]


def decode(form: Form, check: Check, batch_size: int = BATCH) -> list[Candidate]:
    """The best candidate of each sentence, with sentences of like length in a batch."""
    found = map_batches(
        lambda batch: form.search(check.graph, batch, check.decoding, check.suppressed, check.shortlist),
        check.sentences,
        batch_size,
    )
    return [candidates[0] for candidates in found]


def _in_given_order(form: Form | StepwiseForm, check: Check, batch_size: int) -> list[Candidate]:
    """The best candidate of each sentence, with sentences of any length in a batch, so that most are padded."""
    batches = [check.sentences[start : start + batch_size] for start in range(0, len(check.sentences), batch_size)]
    return [
        candidates[0]
        for batch in batches
        for candidates in form.search(check.graph, batch, check.decoding, check.suppressed, check.shortlist)
    ]
