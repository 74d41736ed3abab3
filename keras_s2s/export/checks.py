"""What each graph is asked when the forms of a model are compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_s2s.bundle import Decoding, strategy_and_features
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.special_ids import UNKNOWN

ALL, SOME = 1000, 200
_NUMBERS = ("score", "align")
# Samples from all of a vocabulary would meet a boundary between two rare tokens again and again.
_SIZES: dict[str, dict[str, int]] = {
    "sample": {"top_k": 10},
    "beam": {"beam_size": 4},
    "diverse": {"beam_size": 2},
    "ctc_beam": {"beam_size": 4},
}


@dataclass(frozen=True)
class Check:
    """One graph, and how it is decoded.

    Attributes:
        graph: its name.
        title: the search in a word or two.
        decoding: its options.
        sentences: what is decoded.
        suppressed: sequences of target ids that must not be written.
        shortlist: the only target ids that may be written; None is all.
    """

    graph: str
    title: str
    decoding: Decoding
    sentences: Sequence[Sentence]
    suppressed: Sequence[Sequence[int]] = ()
    shortlist: np.ndarray | None = None

    @property
    def strategy(self) -> str:
        """The graph's."""
        return self.decoding.strategy


def checks(
    graphs: Sequence[str], rows: Sequence[Sequence[int]], decoding: Decoding, vocabulary: int
) -> Iterator[Check]:
    """A check of each graph that searches.

    Graphs with features are decoded with all of them at work: a least length, a repetition that costs, a forbidden
    3-gram, two suppressed sequences, no unknown token, and a prefix for every third sentence.

    Args:
        graphs: names.
        rows: source ids of the sentences. Greedy and beam search decode the first 1,000, all others the first 200.
        decoding: the bundle's defaults.
        vocabulary: V, of the target.
    """
    for graph in graphs:
        strategy, features = strategy_and_features(graph)
        if strategy in _NUMBERS:
            continue
        count = ALL if graph in ("greedy", "beam", "ctc_greedy", "viterbi") else SOME
        options: dict[str, Any] = {
            "strategy": strategy,
            "beam_size": 1,
            "n_best": 1,
            **_SIZES.get(strategy, {}),
            **_of_features(features),
        }
        ids = np.arange(vocabulary, dtype="int32")
        constrained = "constrained" in features
        yield Check(
            graph,
            search_name(strategy, options["beam_size"], features),
            decoding.replace(**options),
            [
                Sentence(row, number, [UNKNOWN + 1] if constrained and number % 3 == 0 else [])
                for number, row in enumerate(rows[:count])
            ],
            [[UNKNOWN + 2], [UNKNOWN + 1, UNKNOWN + 3]] if constrained and vocabulary > 9 else [],
            ids[(ids <= UNKNOWN + 1) | (ids % 3 > 0)] if "shortlist" in features else None,
        )


def _of_features(features: frozenset[str]) -> dict[str, Any]:
    plain = {"min_length": 0, "no_repeat_ngram": 0, "repetition_penalty": 1.0, "allow_unknown": True, "suppress": ()}
    working = {**plain, "min_length": 2, "no_repeat_ngram": 3, "repetition_penalty": 1.1, "allow_unknown": False}
    return {
        **(working if "constrained" in features else plain),
        "coverage_penalty": 0.2 if "coverage" in features else 0.0,
        "ctc_weight": 0.3 if "joint" in features else 0.0,
    }


def search_name(strategy: str, beam_size: int, features: frozenset[str] = frozenset()) -> str:
    """The search in a word or two: greedy, beam 4, or beam 4 with constrained."""
    words = strategy.replace("_", " ") + (f" {beam_size}" if beam_size > 1 else "")
    return f"{words} with {', '.join(sorted(features))}" if features else words
