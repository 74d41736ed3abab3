"""Diverse beam search over look-up tables."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_s2s.decoding import BeamSearch, DiverseBeamSearch


@pytest.fixture
def tables(token_tables: Callable) -> Any:
    return token_tables(np.random.default_rng(21).normal(scale=1.5, size=(8, 5, 5)))


LIMITS = np.array([6, 3, 0, 1, 6, 5, 4, 2])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_without_diversity_every_group_is_a_beam_search(eager: Callable, tables: Any, size: int) -> None:
    plain = eager(BeamSearch(size, size), tables, LIMITS)
    found = eager(DiverseBeamSearch(BeamSearch(size, 3 * size), 3, 0.0), tables, LIMITS)
    for i in range(8):
        assert sorted(found.texts(i)) == sorted(3 * plain.texts(i))
        assert np.array_equal(found.scores[i], np.sort(found.scores[i])[::-1])


def test_one_group_is_a_beam_search(eager: Callable, tables: Any) -> None:
    plain = eager(BeamSearch(3, 3), tables, LIMITS)
    found = eager(DiverseBeamSearch(BeamSearch(3, 3), 1, 9.0), tables, LIMITS)
    assert [found.texts(i) for i in range(8)] == [plain.texts(i) for i in range(8)]
    np.testing.assert_allclose(found.scores, plain.scores, atol=1e-6)


def greedy_groups(scores: np.ndarray, limit: int, groups: int, diversity: float) -> set[tuple[int, ...]]:
    """The definition for groups of one hypothesis, with lists."""
    log_p = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    open_texts: list[Any] = [()] * groups
    finished: set[tuple[int, ...]] = set()
    for made in range(limit + 1):
        taken = np.zeros(5)
        for group in range(groups):
            text = open_texts[group]
            if text is None:
                continue
            ranked = np.argsort(-(log_p[(1, *text)[-1]] - diversity * taken), kind="stable").tolist()
            if made == limit or ranked[0] == 2:
                finished.add(text)
                open_texts[group] = None
                taken[2] += 1
                taken[ranked[1]] += made < limit  # What a finished group would have gone on with.
                continue
            open_texts[group] = (*text, ranked[0])
            taken[ranked[0]] += 1
    return finished


@pytest.mark.parametrize("diversity", [0.3, 1.0, 5.0])
def test_a_group_shuns_what_groups_before_it_have_taken(eager: Callable, tables: Any, diversity: float) -> None:
    # One step decides: later ones depend on what finished groups still take.
    found = eager(DiverseBeamSearch(BeamSearch(1, 3), 3, diversity), tables, 1)
    for i in range(8):
        assert set(found.texts(i)) == greedy_groups(tables.scores[i], 1, 3, diversity)


def test_great_diversity_gives_other_first_tokens(eager: Callable, tables: Any) -> None:
    found = eager(DiverseBeamSearch(BeamSearch(1, 2), 2, 100.0), tables, 6)
    for i in range(8):
        firsts = [text[:1] for text in found.texts(i)]
        assert len(set(firsts)) == len(firsts) == 2


def test_scores_have_no_handicap(eager: Callable, tables: Any) -> None:
    found = eager(DiverseBeamSearch(BeamSearch(2, 4), 2, 2.0), tables, 6)
    log_p = tables.scores - np.log(np.exp(tables.scores).sum(axis=-1, keepdims=True))
    for i in range(8):
        for n, text in enumerate(found.texts(i)):
            scores = [log_p[i, before, after] for before, after in zip([1, *text], [*text, 2], strict=True)]
            assert found.scores[i, n] == pytest.approx(np.mean(scores), abs=1e-5)


def test_a_sentence_does_not_depend_on_its_batch_mates(eager: Callable, tables: Any) -> None:
    strategy = DiverseBeamSearch(BeamSearch(2, 4), 3, 0.7)
    together = eager(strategy, tables, LIMITS)
    for i in range(8):
        assert eager(strategy, tables[i : i + 1], LIMITS[i : i + 1]).texts() == together.texts(i)
