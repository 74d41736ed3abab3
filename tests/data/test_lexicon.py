"""A dictionary that pairs of shuffled words give away, and model 1 against its own definition."""

import itertools
import random

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.data import Lexicon, learn_lexicon, model_1
from keras_s2s.data.model_1 import learn, sample, without_eos

DICTIONARY = {source: 100 - source for source in range(4, 24)}
EMPTY = 0


def corpus(seed: int, function_word: int | None = None) -> tuple[list[list[int]], list[list[int]]]:
    """Sentences of words, and their translations in another order; a function word comes from nowhere."""
    draw = random.Random(seed)
    sources = [draw.sample(list(DICTIONARY), k=draw.randint(1, 6)) for _ in range(400)]
    targets = [[DICTIONARY[word] for word in draw.sample(row, len(row))] for row in sources]
    return sources, [row if function_word is None else [*row, function_word] for row in targets]


def test_a_dictionary_is_found_again() -> None:
    lexicon = learn_lexicon(*corpus(1), 30, size=3)
    assert lexicon.candidates.shape == (30, 3)
    assert lexicon.candidates.dtype == lexicon.always.dtype == np.int32
    assert {source: lexicon.candidates[source, 0] for source in DICTIONARY} == DICTIONARY


def test_ids_never_seen_and_padding_have_no_candidates() -> None:
    lexicon = learn_lexicon(*corpus(1, function_word=50), 30, size=3)
    assert not lexicon.candidates[[EMPTY, 1, 2, 3, *range(24, 30)]].any()


def test_a_word_from_nowhere_is_the_empty_word_s() -> None:
    lexicon = learn_lexicon(*corpus(2, function_word=50), 30, size=1, iterations=20)
    assert {source: lexicon.candidates[source, 0] for source in DICTIONARY} == DICTIONARY


def test_candidates_are_padded() -> None:
    lexicon = learn_lexicon([[4], [5, 4]], [[7], [8, 7]], 6, size=4)
    assert sorted(lexicon.candidates[4].tolist()) == [0, 0, 7, 8]
    assert lexicon.candidates[4, 0] == 7
    assert lexicon.candidates[5].tolist() == [8, 7, 0, 0]


def test_frequent_ids_are_always_there() -> None:
    targets = [[9, 9, 8], [9, 8, 7], [2, 2, 2, 2, 6]]
    lexicon = learn_lexicon([[4], [5], [5]], targets, 6, frequent=2)
    assert lexicon.always.tolist() == [0, 1, 2, 3, 8, 9]
    everything: Lexicon = learn_lexicon([[4], [5], [5]], targets, 6, frequent=99)
    assert everything.always.tolist() == [0, 1, 2, 3, 6, 7, 8, 9]


def test_the_same_pairs_give_the_same_lexicon() -> None:
    first, second = (learn_lexicon(*corpus(3), 30) for _ in range(2))
    assert np.array_equal(first.candidates, second.candidates)


def slow_model_1(sources: list[list[int]], targets: list[list[int]], iterations: int) -> dict[tuple[int, int], float]:
    """Model 1 as it is defined, link by link."""
    pairs = [([EMPTY, *s], t) for s, t in zip(sources, targets, strict=True)]
    table = {link: 1.0 for s, t in pairs for link in itertools.product(s, t)}
    for _ in range(iterations):
        counts = dict.fromkeys(table, 0.0)
        for source, target in pairs:
            for word in target:
                total = sum(table[s, word] for s in source)
                for s in source:
                    counts[s, word] += table[s, word] / total
        totals: dict[int, float] = {}
        for (s, _), count in counts.items():
            totals[s] = totals.get(s, 0.0) + count
        table = {(s, t): count / totals[s] for (s, t), count in counts.items()}
    return table


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_probabilities_are_those_of_the_definition(iterations: int) -> None:
    sources, targets = [[4, 5, 4], [5], [6, 5], []], [[7, 8], [8, 8], [], [9]]
    model = learn(*sample(sources, targets), iterations)
    found = [divmod(key, model.width) for key in model.keys.tolist()]
    expected = slow_model_1(sources, targets, iterations)
    assert dict(zip(found, model.probability, strict=True)) == pytest.approx(expected)


def test_pairs_in_parts_give_the_same_probabilities_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = sample(*corpus(4, function_word=50))
    whole = learn(*pairs, 5)
    monkeypatch.setattr(model_1, "_LINKS", 40)
    parts = learn(*pairs, 5)
    assert np.array_equal(whole.keys, parts.keys) and np.array_equal(whole.probability, parts.probability)
    assert [row.tolist() for row in whole.align(*pairs)] == [row.tolist() for row in parts.align(*pairs)]


def test_of_many_pairs_some_are_enough_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, targets = corpus(5)
    monkeypatch.setattr(model_1, "_MOST_LINKS", 3000)
    some, others = (list(map(tuple, side)) for side in sample(sources, targets))
    pairs = list(zip(map(tuple, sources), map(tuple, targets), strict=True))
    places = [pairs.index(pair) for pair in zip(some, others, strict=True)]
    assert 2000 < sum((len(source) + 1) * len(target) for source, target in zip(some, others, strict=True)) < 4000
    assert places[0] < 10 and places[-1] > 380 and len(set(np.diff(places).tolist())) > 2
    assert [list(map(tuple, side)) for side in sample(sources, targets)] == [some, others]
    lexicon = learn_lexicon(sources, targets, 30, size=3)
    assert {source: lexicon.candidates[source, 0] for source in DICTIONARY} == DICTIONARY


def test_an_id_that_the_sample_had_not_is_aligned_to_nothing() -> None:
    model = learn(*sample([[4, 5], [5]], [[7, 8], [8]]), 5)
    [places] = model.align(without_eos([[5, 4, 6]]), without_eos([[7, 8, 9, 99]]))
    assert places.tolist() == [1, 0, -1, -1]


def test_eos_is_not_learnt_from() -> None:
    sources, targets = corpus(6)
    plain = learn_lexicon(sources, targets, 30)
    with_eos = learn_lexicon([[*row, 2] for row in sources], [[*row, 2] for row in targets], 30)
    assert np.array_equal(plain.candidates, with_eos.candidates) and np.array_equal(plain.always, with_eos.always)
    assert [row.tolist() for row in without_eos([[2], [], [4, 2], [2, 4]])] == [[], [], [4], [2, 4]]


def test_mistakes() -> None:
    with pytest.raises(UserError, match=r"^lexicon: 0 sources and 0 targets; "):
        learn_lexicon([], [], 9)
    with pytest.raises(UserError, match=r"^lexicon: 1 sources and 2 targets; "):
        learn_lexicon([[4]], [[4], [5]], 9)
