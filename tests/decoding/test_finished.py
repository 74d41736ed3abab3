"""Which hypotheses were cut at their limit, and which ended there by themselves."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch, DiverseBeamSearch, Greedy, MinimumLength, Sampling

EOS = 2
# 3 goes on for ever; after 4 the text ends.
GOES_ON = [0, 0, 0.2, 0.5, 0.3]
ENDS = [0, 0, 0.9, 0.1, 0]
TABLE = {(): GOES_ON, (3,): GOES_ON, (3, 3): ENDS, (3, 3, 3): GOES_ON, (4,): ENDS}


def of_best(found: Any) -> tuple[tuple[int, ...], bool]:
    return found.texts()[0], bool(found.finished[0, 0])


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(0, ((), False)), (1, ((3,), False)), (2, ((3, 3), True)), (3, ((3, 3), True)), (9, ((3, 3), True))],
)
def test_a_greedy_text_is_cut_where_another_token_was_the_best(
    greedy: Callable, history_tables: Callable, limit: int, expected: tuple[tuple[int, ...], bool]
) -> None:
    assert of_best(greedy(history_tables(TABLE), limit)) == expected


def test_each_sentence_is_cut_or_not_for_itself(greedy: Callable, history_tables: Callable) -> None:
    found = greedy(history_tables(TABLE, TABLE, TABLE, TABLE), [2, 1, 0, 5])
    assert found.finished.tolist() == [[True], [False], [False], [True]]
    assert found.finished.dtype == bool


def test_an_end_that_a_processor_forbids_was_not_reached(eager: Callable, history_tables: Callable) -> None:
    assert of_best(eager(Greedy(), history_tables(TABLE), 2, [MinimumLength(3)])) == ((3, 3), False)
    assert of_best(eager(BeamSearch(2), history_tables(TABLE), 2, [MinimumLength(3)]))[1] is False


@pytest.mark.parametrize(("number", "expected"), [(0.0, True), (0.85, True), (0.95, False)])
def test_a_sample_is_cut_where_another_token_was_drawn(
    eager: Callable, history_tables: Callable, number: float, expected: bool
) -> None:
    # At the limit, 2, the numbers below 0.9 draw the end.
    uniforms = np.array([[[0.0, 0.0, number]], [[0.0, 0.0, number]]], "float32")
    found = eager(Sampling(1, uniforms=uniforms), history_tables(TABLE, TABLE), 2)
    assert (found.texts(), found.finished.tolist()) == ([(3, 3)], [[expected]] * 2)


def test_samples_keep_their_marks_when_they_are_ranked(eager: Callable, history_tables: Callable) -> None:
    # The first goes on, (3, 3, 3), and is worse than the second, which ends.
    uniforms = np.array([[[0.0, 0.0, 0.95, 0.0], [0.0, 0.0, 0.0, 0.0]]], "float32")
    found = eager(Sampling(2, uniforms=uniforms), history_tables(TABLE), 3)
    assert (found.texts(), found.finished.tolist()) == ([(3, 3), (3, 3, 3)], [[True, False]])


def plain_beam_search(scores: np.ndarray, limit: int, size: int) -> dict[tuple[int, ...], bool]:
    """The definition with lists: each finished text, and whether it would have been one without a limit."""
    log_p = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    alive: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    finished: dict[tuple[int, ...], tuple[float, bool]] = {}
    for made in range(limit + 1):
        grown = [(s + log_p[(1, *text)[-1], v], (*text, v)) for s, text in alive for v in range(5)]
        best = sorted(grown, key=lambda pair: -pair[0])
        by_themselves = [pair for pair in best[:size] if pair[1][-1] == EOS]
        ended = by_themselves if made < limit else [pair for pair in grown if pair[1][-1] == EOS]
        finished |= {text[:-1]: (s / (made + 1), (s, text) in by_themselves) for s, text in ended}
        if made == limit or len(finished) >= size:
            break
        alive = [pair for pair in best if pair[1][-1] != EOS][:size]
    ranked = sorted(finished, key=lambda text: -finished[text][0])[:size]
    return {text: finished[text][1] for text in ranked}


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_beam_ends_what_it_would_have_ended_without_a_limit(
    beam: Callable, token_tables: Callable, size: int
) -> None:
    scores = np.random.default_rng(3).normal(scale=1.5, size=(60, 5, 5)).astype("float32")
    limits = np.arange(60) % 5
    found = beam(token_tables(scores), limits, size=size, n_best=size)
    seen = set()
    for sentence, limit in enumerate(limits.tolist()):
        expected = plain_beam_search(scores[sentence], limit, size)
        texts = found.texts(sentence)
        assert dict(zip(texts, found.finished[sentence].tolist(), strict=False)) == expected
        seen |= {(len(text) == limit, is_finished) for text, is_finished in expected.items()}
    assert seen == {(False, True), (True, True), (True, False)}


def test_a_limit_that_is_just_long_enough_cuts_nothing(beam: Callable, token_tables: Callable) -> None:
    tables = token_tables(np.random.default_rng(5).normal(scale=2, size=(40, 5, 5)))
    free = beam(tables, 12, size=3, n_best=3)
    longest = np.where(np.isfinite(free.scores), free.lengths, 0).max(axis=1)
    assert free.finished[longest < 12].all() and (longest < 12).sum() > 10
    limited = beam(tables, longest, size=3, n_best=3)
    for sentence in np.flatnonzero(longest < 12):
        marks = dict(zip(limited.texts(sentence), limited.finished[sentence].tolist(), strict=False))
        assert [marks[text] for text in free.texts(sentence) if text in marks] == [True] * len(
            [text for text in free.texts(sentence) if text in marks]
        )


@pytest.mark.parametrize("size", [1, 2])
def test_each_group_of_diverse_beams_marks_its_own(eager: Callable, token_tables: Callable, size: int) -> None:
    tables = token_tables(np.random.default_rng(21).normal(scale=1.5, size=(12, 5, 5)))
    limits = np.arange(12) % 4
    plain = eager(BeamSearch(size, size), tables, limits)
    found = eager(DiverseBeamSearch(BeamSearch(size, 2 * size), 2, 0.0), tables, limits)
    for sentence in range(12):
        ours, theirs = (
            sorted(zip(one.texts(sentence), one.finished[sentence].tolist(), strict=False)) for one in (found, plain)
        )
        assert ours == sorted(2 * theirs)
    assert {False, True} == set(plain.finished.ravel().tolist())
