"""A search run again, with its choice at every step and the margin of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from keras_s2s.bundle import Decoding
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.graph import Candidate, Candidates
from keras_s2s.runtime.steps import Batch, Steps

Kept = dict[tuple[int, ...], float]


@dataclass(frozen=True)
class Replay:
    """A sentence's greedy or beam search, decoded alone.

    Attributes:
        kept: after each step the hypotheses that stayed open, without BOS, and their log-probabilities.
        found: the hypotheses that were finished, best first.
    """

    kept: Sequence[Kept]
    found: Candidates

    @classmethod
    def of(cls, steps: Steps, sentence: Sentence, decoding: Decoding, suppressed: Sequence[Sequence[int]] = ()) -> Self:
        """Decodes a sentence by steps."""
        batch, kept = steps.start([sentence], decoding.replace(n_best=decoding.beam_size), suppressed), []
        while not batch.state["done"].all():
            batch = steps.advance(batch)
            kept.append(_open(batch))
        ((_, found),), _ = steps.finished(batch)
        return cls(kept, found)

    def margin(self, other: Candidate) -> float:
        """By how much the search preferred what it found to another hypothesis.

        That is decided where the other one, or a beginning of it, was no longer kept: by the distance of its
        log-probability from the worst that was kept then. If it was kept to its end, by its end's distance from what
        stayed open, or by the scores of what was finished. A search that ended too early for it is ended by what was
        finished, so the nearest decision to finish something counts.

        Args:
            other: with the log-probabilities of its tokens and of EOS.

        Returns:
            The distance; 0 for what was found, infinity where a free place was not taken.
        """
        if other.tokens == self.found[0].tokens:
            return 0.0
        sums = np.cumsum(other.token_scores)
        for length, total in enumerate(sums[:-1].tolist(), 1):
            if length > len(self.kept):
                return self._to_an_end()
            kept = self.kept[length - 1]
            if other.tokens[:length] not in kept:
                return abs(min(kept.values()) - total)
        at_its_end = min(self._from_open(len(sums), float(sums[-1])), abs(self.found[0].score - other.score))
        return min(at_its_end, self._to_an_end())

    def _to_an_end(self) -> float:
        """How near a decision to finish a hypothesis, or not to, was."""
        return min(self._from_open(len(one.token_scores), float(np.sum(one.token_scores))) for one in self.found)

    def _from_open(self, length: int, total: float) -> float:
        """How far a log-probability is from the nearest that stayed open after a step."""
        kept = self.kept[length - 1] if length <= len(self.kept) else {}
        return min((abs(value - total) for value in kept.values()), default=float("inf"))


def _open(batch: Batch) -> Kept:
    """The open hypotheses of the one sentence of a batch; places that are free count as impossible."""
    tokens = batch.state["history/tokens"][:, 1:]
    scores = batch.state.get("carry/scores")
    if scores is None:
        scores = batch.state["history/token_scores"].sum(axis=1)
    return dict(zip(map(tuple, tokens.tolist()), np.ravel(scores).tolist(), strict=True))
