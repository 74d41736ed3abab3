"""Proof in the place of repetition: what Keras thinks of an output that another form has written.

A search is slow where each step waits for the one before. When it is known what it wrote, all steps are computed at
once. If the likeliest token of every step is the one that was written, a greedy search would have written just that.
Of other searches this proves the log-probabilities and scores; that they look for the right hypotheses is shown by
searches for a sample.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_s2s.bundle import strategy_and_features
from keras_s2s.decoding.forced import can_be_forced, make_forced
from keras_s2s.export.checks import Check
from keras_s2s.export.forms import KerasGraph
from keras_s2s.runtime.feeds import feeds
from keras_s2s.runtime.graph import Candidate
from keras_s2s.special_ids import EOS

_TOKENS = 2048  # of a batch; each has scores of a whole vocabulary
_PAIRS = 1 << 26  # of all that was written before a token, as rules against repetition look at them, of a batch


class Proof:
    """Asks the Keras model what it thinks of outputs.

    Args:
        model: a model, or an ensemble or a fusion.
        vocabulary: V, of the target.
    """

    def __init__(self, model: Any, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._forced = functools.cache(lambda graph: KerasGraph(make_forced(model, *strategy_and_features(graph))))

    def __call__(self, check: Check, said: Mapping[int, Candidate]) -> dict[int, Candidate]:
        """What Keras says of sentences, where that is proven: the same tokens, with its own numbers.

        Args:
            check: how they were decoded.
            said: the outputs of another form, by the place of the sentence.
        """
        if not said or not can_be_forced(*strategy_and_features(check.graph)):
            return {}
        graph, proven = self._forced(check.graph), dict[int, Candidate]()
        for places in _of_one_length(said):
            sentences = [check.sentences[place] for place in places]
            inputs = feeds(sentences, check.decoding, self._vocabulary, check.suppressed, check.shortlist)
            written = np.array([[*said[place].tokens, EOS] for place in places], "int32")
            found = graph({**inputs, "target_ids": written})
            holds = (found["best"] == written).all(axis=1) | (check.strategy != "greedy")
            for place, score, scores in zip(
                np.array(places)[holds].tolist(), found["scores"][holds], found["token_scores"][holds], strict=True
            ):
                proven[place] = Candidate(said[place].tokens, float(score), tuple(scores.tolist()))
        return proven


def _of_one_length(said: Mapping[int, Candidate]) -> Iterator[Sequence[int]]:
    """The places of outputs, in batches of one length, so that nothing in them is padding."""
    by_length: dict[int, list[int]] = {}
    for place, one in said.items():
        by_length.setdefault(len(one.tokens) + 1, []).append(place)
    for length, places in by_length.items():
        size = max(1, min(_TOKENS // length, _PAIRS // length**3))
        yield from (places[start : start + size] for start in range(0, len(places), size))
