"""Beam search over look-up tables: known answers, brute force, and a plain beam search of our own."""

import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch, LengthPenalty, Scorer

EOS = 2
PENALTIES = [
    pytest.param(LengthPenalty(0.0), id="none"),
    pytest.param(LengthPenalty(1.0, 0.0), id="average"),
    pytest.param(LengthPenalty(0.6, 5.0), id="GNMT"),
]
Text = tuple[int, ...]
Table = Mapping[Text, np.ndarray]

# The best first token, 3, leads to worse things than the second, 4.
TEMPTING = {
    (): [0, 0, 0, 0.6, 0.4],
    (3,): [0.3, 0, 0.35, 0.15, 0.2],
    (4,): [0.02, 0.02, 0.9, 0.03, 0.03],
}
# The empty text is finished at once with 0.4; the open one, 3, is more probable until it must end.
ENDS_BADLY = {(): [0, 0, 0.4, 0.6, 0], (3,): [0.4, 0.4, 0.2, 0, 0]}
# The empty text is finished at once with 0.55, more probable than any other; but 3 ends well.
ENDS_WELL = {(): [0, 0, 0.55, 0.4, 0.05], (3,): [0.05, 0.05, 0.9, 0, 0]}


def random_tables(seed: int, count: int, longest: int) -> list[Table]:
    """Weights after every history of at most `longest` tokens."""
    rng = np.random.default_rng(seed)
    histories = [h for n in range(longest + 1) for h in product(range(5), repeat=n)]
    return [dict(zip(histories, np.exp(rng.normal(size=(len(histories), 5))), strict=True)) for _ in range(count)]


def log_probabilities(table: Table) -> Table:
    return {history: np.log(weights / weights.sum()) for history, weights in table.items()}


def normalised(log_probability: float, tokens_with_eos: int, penalty: Any) -> float:
    """The definition, written once more."""
    return log_probability / ((penalty.base + tokens_with_eos) / (penalty.base + 1)) ** penalty.exponent


def every_text(table: Table, limit: int, penalty: Any) -> list[tuple[float, Text]]:
    """All texts of at most `limit` tokens with their scores, best first."""
    log_p = log_probabilities(table)
    found = []
    for text in (t for n in range(limit + 1) for t in product((0, 1, 3, 4), repeat=n)):
        whole = (*text, EOS)
        score = sum(log_p[whole[:i]][token] for i, token in enumerate(whole))
        found.append((normalised(score, len(whole), penalty), text))
    return sorted(found, key=lambda pair: -pair[0])


def plain_beam_search(
    table: Table, limit: int, size: int, penalty: Any, patience: float = 1.0
) -> list[tuple[float, Text]]:
    """The rules of the search with lists."""
    ended_so_far = 0
    log_p = log_probabilities(table)
    alive: list[tuple[float, Text]] = [(0.0, ())]
    finished: list[tuple[float, Text]] = []
    for made in range(limit + 1):
        allowed = range(5) if made < limit else [EOS]
        grown = [(score + log_p[text][v], (*text, v)) for score, text in alive for v in allowed]
        grown.sort(key=lambda pair: -pair[0])
        ended = [(normalised(s, made + 1, penalty), t[:-1]) for s, t in grown[:size] if t[-1] == EOS]
        ended_so_far += len(ended)
        finished = sorted(finished + ended, key=lambda pair: -pair[0])[:size]
        alive = [(score, text) for score, text in grown if text[-1] != EOS][:size]
        if ended_so_far >= math.ceil(patience * size):
            break
    return finished


def test_finds_what_greedy_misses(beam: Callable, greedy: Callable, history_tables: Callable) -> None:
    tables = history_tables(TEMPTING)
    found = beam(tables, limit=5, size=2, n_best=2)
    assert greedy(tables, limit=5).texts() == [(3,)]
    assert found.texts() == [(4,), (3,)]
    expected = [np.log(0.4 * 0.9) / 2, np.log(0.6 * 0.35) / 2]
    np.testing.assert_allclose(found.scores, [expected], rtol=1e-5)


def test_a_finished_hypothesis_stays_best_although_an_open_one_was_more_probable(
    beam: Callable, history_tables: Callable
) -> None:
    found = beam(history_tables(ENDS_BADLY), limit=1, size=2, n_best=2)
    assert found.texts() == [(), (3,)]
    np.testing.assert_allclose(found.scores, [[np.log(0.4), np.log(0.6 * 0.2) / 2]], rtol=1e-5)


def test_an_open_hypothesis_overtakes_a_finished_one_that_was_more_probable(
    beam: Callable, history_tables: Callable
) -> None:
    found = beam(history_tables(ENDS_WELL), limit=4, size=2, n_best=2)
    assert found.texts() == [(3,), ()]
    np.testing.assert_allclose(found.scores, [[np.log(0.4 * 0.9) / 2, np.log(0.55)]], rtol=1e-5)


def test_without_a_penalty_the_more_probable_one_wins(beam: Callable, history_tables: Callable) -> None:
    found = beam(history_tables(ENDS_WELL), limit=4, size=2, n_best=2, penalty=LengthPenalty(0.0))
    assert found.texts() == [(), (3,)]
    np.testing.assert_allclose(found.scores, [[np.log(0.55), np.log(0.4 * 0.9)]], rtol=1e-5)


def test_what_is_finished_is_frozen_while_batch_mates_go_on(beam: Callable, history_tables: Callable) -> None:
    long = {(3,) * n: [0, 0, 0, 1, 0] for n in range(6)}
    found = beam(history_tables(ENDS_WELL, long), limit=[4, 6], size=2, n_best=2)
    assert found.texts(0) == [(3,), ()]
    assert found.texts(1) == [(3,) * 6]
    np.testing.assert_allclose(found.scores[0], [np.log(0.4 * 0.9) / 2, np.log(0.55)], rtol=1e-5)
    assert found.tokens[0].tolist() == [[3] + [0] * 6, [0] * 7]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1, 1, 1, 1, 1], [(0,), (1,)]),
        ([1, 2, 1, 2, 2], [(1,), (3,)]),
        ([0, 0, 0, 1, 1], [(3,), (4,)]),
    ],
)
def test_of_equals_the_lower_ids_are_taken(
    beam: Callable, history_tables: Callable, weights: list[int], expected: list[Text]
) -> None:
    assert beam(history_tables({(): weights}), limit=1, size=2, n_best=2).texts() == expected


def test_of_equal_hypotheses_the_first_one_is_continued(beam: Callable, history_tables: Callable) -> None:
    table = {(): [0, 0, 0, 1, 1], (3,): [0, 0, 0, 1, 1], (4,): [0, 0, 0, 1, 1]}
    assert beam(history_tables(table), limit=2, size=2, n_best=2).texts() == [(3, 3), (3, 4)]


def test_eos_behind_the_first_k_finishes_nothing(beam: Callable, history_tables: Callable) -> None:
    # EOS is third of the first step, and two are kept.
    table = {(): [0, 0, 0.2, 0.5, 0.3], (3,): [0, 0, 1, 0, 0], (4,): [0, 0, 1, 0, 0]}
    assert beam(history_tables(table), limit=3, size=2, n_best=2).texts() == [(3,), (4,)]
    assert beam(history_tables(table), limit=3, size=3, n_best=3, penalty=LengthPenalty(0.0)).texts() == [
        (3,),
        (4,),
        (),
    ]


@pytest.mark.parametrize("size", [1, 4])
def test_at_limit_zero_there_is_the_empty_text_alone(beam: Callable, history_tables: Callable, size: int) -> None:
    found = beam(history_tables(TEMPTING, ENDS_WELL), limit=0, size=size, n_best=size)
    assert found.texts(1) == [()]
    np.testing.assert_allclose(found.scores[1], [np.log(0.55)] + [-np.inf] * (size - 1), rtol=1e-5)
    assert found.lengths[1].tolist() == [0] * size
    assert not found.tokens.any()


def test_a_text_that_cannot_end_is_no_result(beam: Callable, history_tables: Callable) -> None:
    found = beam(history_tables({(): [0, 0, 0, 0.5, 0.5], (3,): [1, 0, 0, 0, 0]}), limit=1, size=2, n_best=2)
    assert found.texts() == [(4,)]
    assert found.scores[0, 1] == -np.inf


def test_each_sentence_has_its_own_limit(beam: Callable, token_tables: Callable) -> None:
    for_ever = np.log([[[0.1, 0.1, 0.05, 0.7, 0.05]] * 5] * 4)
    found = beam(token_tables(for_ever), [2, 0, 5, 1], size=3)
    assert [found.texts(i) for i in range(4)] == [[(3, 3)], [()], [(3,) * 5], [(3,)]]
    expected = [(n * np.log(0.7) + np.log(0.05)) / (n + 1) for n in (2, 0, 5, 1)]
    np.testing.assert_allclose(found.scores[:, 0], expected, rtol=1e-5)


def test_a_beam_larger_than_the_vocabulary(beam: Callable, history_tables: Callable) -> None:
    [table] = random_tables(seed=5, count=1, longest=1)
    found = beam(history_tables(table), limit=1, size=12, n_best=12)
    expected = every_text(table, 1, LengthPenalty())
    assert found.texts() == [text for _, text in expected]
    np.testing.assert_allclose(found.scores[0], [score for score, _ in expected] + [-np.inf] * 7, rtol=1e-5)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_beam_of_all_prefixes_finds_all_texts_in_order(
    beam: Callable, history_tables: Callable, penalty: LengthPenalty
) -> None:
    # With limit 3 there are 1 + 4 + 16 + 64 texts.
    random = random_tables(seed=7, count=50, longest=3)
    found = beam(history_tables(*random), limit=3, size=5**3, n_best=100, penalty=penalty)
    for i, table in enumerate(random):
        expected = every_text(table, 3, penalty)
        texts = found.texts(i)
        assert texts[0] == expected[0][1]
        assert len(texts) == len(expected) == 85
        assert set(texts) == {text for _, text in expected}
        np.testing.assert_allclose(found.scores[i, :85], [score for score, _ in expected], rtol=1e-4)
        assert (found.scores[i, 85:] == -np.inf).all()
        of_text = {text: score for score, text in expected}
        np.testing.assert_allclose(found.scores[i, :85], [of_text[text] for text in texts], rtol=1e-4)


def test_a_beam_of_all_prefixes_finds_the_best_of_longer_texts(beam: Callable, history_tables: Callable) -> None:
    random = random_tables(seed=8, count=4, longest=4)
    limits = [4, 2, 4, 3]
    found = beam(history_tables(*random), limit=limits, size=5**4, n_best=2)
    for i, (table, limit) in enumerate(zip(random, limits, strict=True)):
        best = every_text(table, limit, LengthPenalty())[:2]
        assert found.texts(i) == [text for _, text in best]
        np.testing.assert_allclose(found.scores[i], [score for score, _ in best], rtol=1e-4)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_equals_a_plain_beam_search(
    beam: Callable, history_tables: Callable, size: int, penalty: LengthPenalty
) -> None:
    random = random_tables(seed=9, count=20, longest=4)
    limits = np.random.default_rng(10).integers(0, 5, size=20)
    found = beam(history_tables(*random), limits, size=size, n_best=size, penalty=penalty)
    for i, table in enumerate(random):
        expected = plain_beam_search(table, limits[i], size, penalty)
        assert found.texts(i) == [text for _, text in expected]
        scores = [score for score, _ in expected] + [-np.inf] * (size - len(expected))
        np.testing.assert_allclose(found.scores[i], scores, rtol=1e-4)


def test_a_beam_of_one_equals_greedy(beam: Callable, greedy: Callable, token_tables: Callable) -> None:
    rng = np.random.default_rng(11)
    tables = token_tables(rng.normal(scale=2, size=(50, 5, 5)))
    limits = rng.integers(0, 9, size=50)
    one, other = beam(tables, limits, size=1), greedy(tables, limits)
    assert len({len(text) for i in range(50) for text in one.texts(i)}) > 3
    assert [one.texts(i) for i in range(50)] == [other.texts(i) for i in range(50)]
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)


@pytest.mark.parametrize("size", [2, 4])
def test_a_sentence_does_not_depend_on_its_batch_mates(beam: Callable, token_tables: Callable, size: int) -> None:
    rng = np.random.default_rng(12)
    tables = token_tables(rng.normal(scale=2, size=(12, 5, 5)))
    limits = rng.integers(0, 13, size=12)
    together = beam(tables, limits, size=size, n_best=size)
    for i in range(12):
        alone = beam(tables[i : i + 1], limits[i : i + 1], size=size, n_best=size)
        assert alone.texts() == together.texts(i)
        assert alone.scores[0].tolist() == together.scores[i].tolist()


@pytest.mark.parametrize(("size", "n_best"), [(1, 1), (3, 2), (8, 8)])
def test_traced_with_tensors_equals_eager_with_numbers(
    beam: Callable, eager: Callable, token_tables: Callable, size: int, n_best: int
) -> None:
    tables = token_tables(np.random.default_rng(13).normal(scale=2, size=(4, 5, 5)))
    penalty, limits = LengthPenalty(0.6, 5.0), [0, 2, 5, 6]
    one = eager(BeamSearch(size, n_best, Scorer(penalty)), tables, limits)
    other = beam(tables, limits, size, n_best, penalty)
    assert one.scores.shape == (4, n_best)
    assert one.tokens.tolist() == other.tokens.tolist()
    assert one.lengths.tolist() == other.lengths.tolist()
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-6)


@pytest.mark.parametrize("patience", [0.5, 1.0, 1.7, 99.0])
@pytest.mark.parametrize("size", [1, 3])
def test_patience_says_how_many_must_be_finished(
    eager: Callable, history_tables: Callable, size: int, patience: float
) -> None:
    random, penalty = random_tables(seed=15, count=10, longest=4), LengthPenalty(1.0)
    found = eager(BeamSearch(size, size, Scorer(penalty), patience), history_tables(*random), 4)
    for i, table in enumerate(random):
        expected = plain_beam_search(table, 4, size, penalty, patience)
        assert found.texts(i) == [text for _, text in expected]


@pytest.mark.parametrize("penalty", [*PENALTIES, pytest.param(LengthPenalty(-0.7, 1.0), id="negative")])
@pytest.mark.parametrize(("size", "n_best"), [(1, 1), (3, 1), (3, 2), (5, 5)])
def test_an_exhaustive_search_loses_nothing_by_stopping(
    eager: Callable, token_tables: Callable, size: int, n_best: int, penalty: LengthPenalty
) -> None:
    tables = token_tables(np.random.default_rng(16).normal(scale=1.5, size=(20, 5, 5)))
    stopping = eager(BeamSearch(size, n_best, Scorer(penalty), exhaustive=True), tables, 9)
    patient = eager(BeamSearch(size, n_best, Scorer(penalty), patience=1e6), tables, 9)
    assert [stopping.texts(i) for i in range(20)] == [patient.texts(i) for i in range(20)]
    np.testing.assert_allclose(stopping.scores, patient.scores, rtol=1e-6)


def test_an_exhaustive_search_does_stop(eager: Callable, token_tables: Callable) -> None:
    # EOS is all but certain after every token, and an open hypothesis can never make up for that.
    tables = token_tables(np.log([[[0.002, 0.002, 0.99, 0.003, 0.003]] * 5]))
    found = eager(BeamSearch(2, 1, Scorer(LengthPenalty(0.0)), exhaustive=True), tables, 50)
    assert found.tokens.shape[2] < 5


@pytest.mark.parametrize("reward", [0.4, 1.5])
def test_a_reward_for_each_token(eager: Callable, history_tables: Callable, reward: float) -> None:
    random = random_tables(seed=17, count=10, longest=3)
    scorer = Scorer(LengthPenalty(0.0), reward)
    found = eager(BeamSearch(5**3, 1, scorer), history_tables(*random), 3)
    for i, table in enumerate(random):
        rewarded = [(s + reward * (len(t) + 1), t) for s, t in every_text(table, 3, LengthPenalty(0.0))]
        assert found.texts(i) == [max(rewarded)[1]]
        np.testing.assert_allclose(found.scores[i, 0], max(rewarded)[0], rtol=1e-4)
