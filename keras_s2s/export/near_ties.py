"""How near a tie is where two results part."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_s2s.decoding import as_step
from keras_s2s.export.checks import Check
from keras_s2s.runtime.feeds import feeds
from keras_s2s.runtime.graph import Candidate
from keras_s2s.text.tokenizer import BOS, EOS

_STEPWISE = ("greedy", "sample")


class Margins:
    """Asks the Keras model how near a tie is.

    Args:
        model: a model, or an ensemble or a fusion.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def between(self, check: Check, number: int, a: Candidate, b: Candidate) -> tuple[float, str]:
        """The margin by which one result was preferred to the other, and where they part, in words.

        Greedy search prefers the better of two tokens. Sampling orders tokens by probability, and prefers one by a
        uniform number on one side or the other of a boundary. All others compare whole hypotheses, too, by their
        scores.

        Args:
            check: how they were decoded.
            number: which of its sentences.
            a: one result.
            b: the other.
        """
        place = first_difference(a.tokens, b.tokens)
        one, other = _token(a, place), _token(b, place)
        where = f"{place + 1} ({one} and {other})"
        of_scores = abs(a.score - b.score)
        if check.strategy not in (*_STEPWISE, "beam", "diverse") or check.decoding.ctc_weight:
            return of_scores, where
        log_p = self._next(check, number, a.tokens[:place])
        margin = abs(float(log_p[one] - log_p[other]))
        if check.strategy == "sample":
            return min(margin, self._to_boundary(check, number, place, log_p)), where
        return (margin if check.strategy in _STEPWISE else min(margin, of_scores)), where

    def _next(self, check: Check, number: int, written: Sequence[int]) -> np.ndarray:
        """Log-probabilities of the token after `written`, (V,), repetitions at their price."""
        step = as_step(self._model)
        state = step.start({"source_ids": tf.constant([check.sentences[number].ids], tf.int32)})
        output, _ = step(tf.constant([[BOS, *written]], tf.int32), state)
        log_p = np.array(output.log_probabilities())[0, -1]
        log_p[list({BOS, *written})] *= check.decoding.repetition_penalty
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
