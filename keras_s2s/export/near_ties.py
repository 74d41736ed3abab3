"""Near-ties: the margin at which two results part."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_s2s.decoding import as_step
from keras_s2s.export.checks import Check
from keras_s2s.export.replay import Replay
from keras_s2s.runtime.feeds import feeds
from keras_s2s.runtime.graph import Candidate
from keras_s2s.runtime.steps import Steps
from keras_s2s.search_options import STRATEGIES
from keras_s2s.special_ids import BOS, EOS

_STEPWISE = ("greedy", "sample")
_WHOLE = tuple(name for name, strategy in STRATEGIES.items() if not strategy.is_search)
# By how much a form may think otherwise of a token than the model: one that says more of it says something else.
_OTHERWISE = {"fp32": 0.01, "int8": 1.0}


class Margins:
    """Asks the model how near a tie is.

    Args:
        model: a model, or an ensemble or a fusion.
        steps: gives the search of a graph a step at a time, with the numbers of a form; None where there is none.
    """

    def __init__(self, model: Any, steps: Callable[[str, str], Steps | None]) -> None:
        self._model, self._steps = model, steps

    def between(
        self, form: str, check: Check, number: int, a: Candidate, b: Candidate, near: float
    ) -> tuple[float, str]:
        """The margin by which one result was preferred to the other, and where they part, in words.

        Greedy search prefers the better of two tokens. Sampling orders tokens by probability, and prefers one by a
        uniform number on one side or the other of a boundary. All others compare whole hypotheses, too, by their
        scores. If none of that was near, a beam may have dropped one of the results long before it was whole: then the
        search is decoded again, alone and with the numbers of the form, which in int8 are others than the model's.

        Args:
            form: whose results they are, "int8" or another.
            check: how they were decoded.
            number: which of its sentences.
            a: one result.
            b: the other.
            near: below this a margin is taken as it is.
        """
        place = first_difference(a.tokens, b.tokens)
        one, other = _token(a, place), _token(b, place)
        where = f"{place + 1} ({one} and {other})"
        of_scores = abs(a.score - b.score)
        if check.strategy in _WHOLE or check.decoding.ctc_weight:
            return of_scores, where
        log_p = self._after(check, number, a.tokens[:place])[-1]
        margin = abs(float(log_p[one] - log_p[other]))
        if check.strategy == "sample":
            return min(margin, self._to_boundary(check, number, place, log_p)), where
        margin = margin if check.strategy in _STEPWISE else min(margin, of_scores)
        if margin < near or (steps := self._steps(form, check.graph)) is None:
            return margin, where
        if max(self._otherwise(check, number, one) for one in (a, b)) > _OTHERWISE[form]:
            return margin, where
        replay = Replay.of(steps, check.sentences[number], check.decoding, check.suppressed)
        return min(margin, max(replay.margin(a), replay.margin(b))), where

    def _otherwise(self, check: Check, number: int, said: Candidate) -> float:
        """The most that the model thinks otherwise of a token than what a form said of it."""
        log_p = self._after(check, number, said.tokens)[np.arange(len(said.token_scores)), [*said.tokens, EOS]]
        return float(np.abs(log_p - said.token_scores).max())

    def _after(self, check: Check, number: int, written: Sequence[int]) -> np.ndarray:
        """Log-probabilities of what is `written` and of the token after it, (T+1, V), repetitions at their price."""
        step = as_step(self._model)
        state = step.start({"source_ids": tf.constant([check.sentences[number].ids], tf.int32)})
        read = [BOS, *written]
        output, _ = step(tf.constant([read], tf.int32), state)
        log_p = np.array(output.log_probabilities())[0]
        for place, row in enumerate(log_p, 1):
            row[list(set(read[:place]))] *= check.decoding.repetition_penalty
        return log_p

    def _to_boundary(self, check: Check, number: int, place: int, log_p: np.ndarray) -> float:
        """How far the uniform number of a step is from the nearest boundary between two tokens."""
        scores = np.sort(log_p / check.decoding.temperature)[::-1]
        sums = np.cumsum(np.exp(scores - scores[0])[: check.decoding.top_k or None])
        uniform = feeds([check.sentences[number]], check.decoding, len(log_p))["uniforms"][0, 0, place]
        return float(np.abs(sums / sums[-1] - uniform).min())


def first_difference(a: Sequence[int], b: Sequence[int]) -> int:
    """The first place at which two sequences of tokens part."""
    pairs = zip(a, b, strict=False)
    return next((place for place, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _token(candidate: Candidate, place: int) -> int:
    return candidate.tokens[place] if place < len(candidate.tokens) else EOS
