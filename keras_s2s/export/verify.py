"""Do the forms of a model say the same?

All decode the same dev sentences. In floating point, products of another shape round in another way, so two forms may
part where two continuations are as good as equal; such near-ties are counted, and anything else is an error.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_s2s.export.checks import Check
from keras_s2s.export.forms import Form, StepwiseForm
from keras_s2s.export.near_ties import Margins
from keras_s2s.runtime.batching import map_batches
from keras_s2s.runtime.graph import Candidate
from keras_s2s.text.padding import pad

NEAR_TIE = 1e-4
# A recurrent layer in fp32 rounds by the shape of its batch, and a rounding to int8 behind it makes more of that.
NEAR_TIE_INT8 = 1e-3
TOLERATED = 0.001
BATCH = 32
NUMBERS = {"score": "token_scores", "align": "attention"}


class VerificationError(RuntimeError):
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
    """

    forms: str
    decoding: str
    sentences: int
    near_ties: int
    largest_score_difference: float | None


def verify(
    model: Any, forms: Mapping[str, Form], checks: Iterable[Check], progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Compares all forms of a model, in padded batches and, those of ONNX, sentence by sentence.

    Args:
        model: the Keras model.
        forms: "keras", "saved_model", "fp32" and "int8".
        checks: what each searching graph is asked.
        progress: is told what is being decoded.

    Returns:
        The comparisons as plain data.

    Raises:
        VerificationError: two forms part at something other than a near-tie, or at too many of those.
    """
    margins, result = Margins(model), []
    for check in checks:
        decoded = {}
        for form in forms:
            progress(f"{form}, {check.title}")
            decoded[form] = _in_given_order(forms[form], check, BATCH)
        for form in ("saved_model", "fp32"):
            result.append(_compare(margins, f"keras and {form}", check, decoded["keras"], decoded[form]))
        for form in ("fp32", "int8"):
            progress(f"{form}, {check.title}, one by one")
            alone = _in_given_order(forms[form], check, 1)
            result.append(_compare(margins, f"{form} in batches of {BATCH} and alone", check, decoded[form], alone))
    return [asdict(comparison) for comparison in result]


def verify_steps(
    model: Any,
    forms: Mapping[str, Form],
    stepwise: Mapping[str, StepwiseForm],
    checks: Iterable[Check],
    progress: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Compares whole searches with the same searches a step at a time.

    Args:
        model: the Keras model.
        forms: as in `verify`.
        stepwise: those of ONNX a step at a time.
        checks: what each of the graphs is asked that have steps.
        progress: is told what is being decoded.

    Raises:
        VerificationError: they part at something other than a near-tie, or at too many of those.
    """
    margins, result = Margins(model), []
    for check in checks:
        for name, form in stepwise.items():
            progress(f"{name}, {check.title}, step by step")
            ours, theirs = (_in_given_order(one, check, BATCH) for one in (forms[name], form))
            result.append(_compare(margins, f"{name} and its steps", check, ours, theirs))
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


def verify_texts(forms: str, decoding: str, ours: Sequence[str], theirs: Sequence[str]) -> dict[str, Any]:
    """Compares texts of two forms; those that differ count as near-ties, and must be as few.

    Raises:
        VerificationError: more texts differ.
    """
    different = [number for number, (a, b) in enumerate(zip(ours, theirs, strict=True), 1) if a != b]
    if len(different) > max(1, TOLERATED * len(ours)):
        first = different[0]
        raise VerificationError(
            f"{forms}: {len(different)} of {len(ours)} texts differ, first that of sentence {first}: "
            f"{ours[first - 1]!r} and {theirs[first - 1]!r}"
        )
    return asdict(Comparison(forms, decoding, len(ours), len(different), None))


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


def _compare(
    margins: Margins, forms: str, check: Check, ours: Sequence[Candidate], theirs: Sequence[Candidate]
) -> Comparison:
    near_ties, difference, where = 0, 0.0, f"{forms}, {check.title}"
    near = NEAR_TIE_INT8 if forms.startswith("int8") else NEAR_TIE
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if math.isnan(a.score) or math.isnan(b.score):
            raise VerificationError(
                f"{where}: sentence {number + 1} has a score that is not a number; "
                "the weights are broken, as by a learning rate that is too high"
            )
        if a.tokens == b.tokens:
            difference = max(difference, abs(a.score - b.score))
            continue
        margin, place = margins.between(check, number, a, b)
        if margin >= near:
            raise VerificationError(
                f"{where}: sentence {number + 1} first differs at step {place}, and that is no near-tie: "
                f"the margin is {margin:.2g}, at most {near:g} would be"
            )
        near_ties += 1
    # One proves nothing, however few the sentences.
    if near_ties > max(1, TOLERATED * len(ours)):
        raise VerificationError(
            f"{where}: {near_ties} of {len(ours)} sentences differ at near-ties, more than {TOLERATED:.1%}"
        )
    return Comparison(forms, check.title, len(ours), near_ties, difference)
