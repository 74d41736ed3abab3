"""The questions that each graph answers when the forms of a model are compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from keras_s2s.bundle import Decoding, strategy_and_features
from keras_s2s.decoding.registry import features_of, own_options, own_strategies
from keras_s2s.option import OwnOption
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.search_options import OPTIONS, STRATEGIES, StrategySpec
from keras_s2s.special_ids import UNKNOWN

ALL, SOME = 1000, 200
_PLAIN = ("greedy", "beam", "ctc_greedy", "viterbi")  # searches without features, of many sentences


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

    @property
    def may_omit_scores(self) -> bool:
        """Whether its search can do without scores."""
        return self.strategy in OPTIONS["scores"].strategies

    @property
    def sample(self) -> list[int]:
        """The places of the sentences that each form searches for, spread over lengths; all, if there are few."""
        return spread([len(sentence) for sentence in self.sentences], SOME)

    def only(self, places: Sequence[int]) -> Self:
        """The same question about sentences in these places."""
        return replace(self, sentences=[self.sentences[place] for place in places])


def spread(lengths: Sequence[int], count: int) -> list[int]:
    """Places, in their order, that are evenly spread over lengths: at most `count`."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    picked = np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)
    return sorted(order[place] for place in picked)


def checks(
    graphs: Sequence[str], rows: Sequence[Sequence[int]], decoding: Decoding, vocabulary: int
) -> Iterator[Check]:
    """A check of each graph that searches.

    Graphs with features are decoded with all of them at work, each option at its example, and with two suppressed
    sequences and a prefix for every third sentence.

    Args:
        graphs: names.
        rows: source ids of the sentences. Greedy and beam search decode the first 1,000, all others 200 of these.
        decoding: the bundle's defaults.
        vocabulary: V, of the target.
    """
    strategies, rows = {**STRATEGIES, **own_strategies()}, rows[:ALL]
    some = spread([len(row) for row in rows], SOME)
    for graph in graphs:
        strategy, features = strategy_and_features(graph)
        if strategy not in strategies:
            continue
        options = {"strategy": strategy, **_at_work(strategies[strategy], features)}
        own = {name: _example(one) for name, one in own_options(strategy, features).items()}
        ids = np.arange(vocabulary, dtype="int32")
        constrained = "constrained" in features
        yield Check(
            graph,
            search_name(strategy, options["beam_size"], features),
            decoding.replace(**options, own=own),
            [
                Sentence(rows[number], number, [UNKNOWN + 1] if constrained and number % 3 == 0 else [])
                for number in (range(len(rows)) if is_plain(graph) else some)
            ],
            [[UNKNOWN + 2], [UNKNOWN + 1, UNKNOWN + 3]] if constrained and vocabulary > 9 else [],
            ids[(ids <= UNKNOWN + 1) | (ids % 3 > 0)] if "shortlist" in features else None,
        )


def is_plain(graph: str) -> bool:
    """Whether a graph's check asks no more than the bundle's defaults do, and asks it of many sentences."""
    return graph in _PLAIN


def _at_work(strategy: StrategySpec, features: frozenset[str]) -> dict[str, Any]:
    """The options of a strategy with features: examples of what it looks at, and the others of features at rest."""
    found: dict[str, Any] = {"beam_size": strategy.example_beam if strategy.keeps_beam else 1, "n_best": 1}
    for name, one in OPTIONS.items():
        if one.feature is not None and one.feature not in features:
            found[name] = one.default
        elif one.example is not None and (one.feature is not None or name in strategy.options):
            found[name] = one.example
        elif one.feature is not None:
            found[name] = one.default
    return found


def _example(option: OwnOption) -> Any:
    return option.default if option.example is None else option.example


def title_of(decoding: Decoding) -> str:
    """The search of a decoding in a word or two."""
    return search_name(decoding.strategy, decoding.beam_size, features_of(decoding))


def search_name(strategy: str, beam_size: int, features: frozenset[str] = frozenset()) -> str:
    """The search in a word or two: greedy, beam 4, or beam 4 with constrained."""
    words = strategy.replace("_", " ") + (f" {beam_size}" if beam_size > 1 else "")
    return f"{words} with {', '.join(sorted(features))}" if features else words
