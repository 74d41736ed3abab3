"""Do the forms of a model say the same?

All decode the same dev sentences. In floating point, products of another shape round in another way, so two forms may
part where two continuations are as good as equal; such near-ties are counted, and anything else is an error.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from keras import ops

from keras_s2s.bundle import Decoding
from keras_s2s.export.forms import Form, Rows
from keras_s2s.runtime.batching import map_batches
from keras_s2s.runtime.graph import Candidate
from keras_s2s.text.tokenizer import BOS, EOS

NEAR_TIE = 1e-4
TOLERATED = 0.001
BATCH = 32
GREEDY = "greedy"


class VerificationError(RuntimeError):
    """Two forms of a model disagree. The message says where they first do."""


def search_name(decoding: Decoding) -> str:
    """The search in a word or two: greedy, or beam 4."""
    return GREEDY if decoding.strategy == "greedy" else f"beam {decoding.beam_size}"


@dataclass(frozen=True)
class Comparison:
    """How often two forms agree.

    Attributes:
        forms: what is compared, such as "Keras and SavedModel".
        decoding: "greedy", or "beam 4".
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
    model: Any, forms: Mapping[str, Form], rows: Rows, decoding: Decoding, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Compares all forms of a model, greedy and with a beam of 4, alone and in padded batches.

    Args:
        model: the Keras model.
        forms: "keras", "saved_model", "fp32" and "int8".
        rows: source ids of the sentences.
        decoding: length limits and penalty.
        progress: is told what is being decoded.

    Returns:
        The comparisons as plain data.

    Raises:
        VerificationError: two forms part at something other than a near-tie, or at too many of those.
    """
    judge = _Judge(model, rows)
    result = []
    for size in (1, 4):
        options = decoding.replace(strategy="greedy" if size == 1 else "beam", beam_size=size, n_best=1)
        name = search_name(options)
        decoded = {}
        for form in forms:
            progress(f"{form}, {name}")
            decoded[form] = _in_given_order(forms[form], rows, options, BATCH)
        for form in ("saved_model", "fp32"):
            result.append(judge.compare(f"keras and {form}", name, decoded["keras"], decoded[form]))
        for form in ("fp32", "int8"):
            progress(f"{form}, {name}, one by one")
            alone = _in_given_order(forms[form], rows, options, 1)
            result.append(judge.compare(f"{form} in batches of {BATCH} and alone", name, decoded[form], alone))
    return [asdict(comparison) for comparison in result]


def verify_texts(forms: str, decoding: str, ours: Sequence[str], theirs: Sequence[str]) -> dict[str, Any]:
    """Compares texts of two forms; those that differ count as near-ties, and must be as few.

    Raises:
        VerificationError: more texts differ.
    """
    different = [number for number, (a, b) in enumerate(zip(ours, theirs, strict=True), 1) if a != b]
    if len(different) > TOLERATED * len(ours):
        first = different[0]
        raise VerificationError(
            f"{forms}: {len(different)} of {len(ours)} texts differ, first that of sentence {first}: "
            f"{ours[first - 1]!r} and {theirs[first - 1]!r}"
        )
    return asdict(Comparison(forms, decoding, len(ours), len(different), None))


def decode(form: Form, rows: Rows, decoding: Decoding, batch_size: int = BATCH) -> list[Candidate]:
    """The best candidate of each row, with rows of like length in a batch."""
    best = map_batches(lambda batch: form(batch, decoding), rows, batch_size)
    return [candidates[0] for candidates in best]


def _in_given_order(form: Form, rows: Rows, decoding: Decoding, batch_size: int) -> list[Candidate]:
    """The best candidate of each row, with rows of any length in a batch, so that most are padded."""
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [candidates[0] for batch in batches for candidates in form(batch, decoding)]


class _Judge:
    """Compares results sentence by sentence, and asks the Keras model how near a tie is."""

    def __init__(self, model: Any, rows: Rows) -> None:
        self._model, self._rows = model, rows

    def compare(self, forms: str, decoding: str, ours: list[Candidate], theirs: list[Candidate]) -> Comparison:
        near_ties, difference = 0, 0.0
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if math.isnan(a.score) or math.isnan(b.score):
                raise VerificationError(
                    f"{forms}, {decoding}: sentence {number + 1} has a score that is not a number; "
                    "the weights are broken, as by a learning rate that is too high"
                )
            if a.tokens == b.tokens:
                difference = max(difference, abs(a.score - b.score))
                continue
            place = _first_difference(a.tokens, b.tokens)
            margin = self._margin(number, a, b, place)
            if decoding != GREEDY:  # a beam compares whole hypotheses, too
                margin = min(margin, abs(a.score - b.score))
            if margin >= NEAR_TIE:
                raise VerificationError(
                    f"{forms}, {decoding}: sentence {number + 1} first differs at step {place + 1} "
                    f"({_token(a, place)} and {_token(b, place)}), and that is no near-tie: "
                    f"the margin is {margin:.2g}, at most {NEAR_TIE:g} would be"
                )
            near_ties += 1
        if near_ties > TOLERATED * len(ours):
            raise VerificationError(
                f"{forms}, {decoding}: {near_ties} of {len(ours)} sentences differ at near-ties, "
                f"more than {TOLERATED:.1%}"
            )
        return Comparison(forms, decoding, len(ours), near_ties, difference)

    def _margin(self, number: int, a: Candidate, b: Candidate, place: int) -> float:
        """How much better the model likes one continuation than the other where they part."""
        source = np.array([self._rows[number]], "int32")
        prefix = np.array([[BOS, *a.tokens[:place]]], "int32")
        logits = np.array(self._model({"source_ids": source, "target_ids": prefix}))[0, -1]
        log_probabilities = np.array(ops.log_softmax(logits))
        return abs(float(log_probabilities[_token(a, place)] - log_probabilities[_token(b, place)]))


def _first_difference(a: Sequence[int], b: Sequence[int]) -> int:
    pairs = zip(a, b, strict=False)
    return next((place for place, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _token(candidate: Candidate, place: int) -> int:
    return candidate.tokens[place] if place < len(candidate.tokens) else EOS
