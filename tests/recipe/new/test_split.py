"""Splits without common sources."""

import itertools

import pytest

from keras_s2s import UserError
from keras_s2s.data import Pairs
from keras_s2s.recipe.new.split import size, split


def pairs(*sources: str) -> Pairs:
    return Pairs(list(sources), [source.upper() for source in sources])


MANY = pairs(*(f"word {number}" for number in range(400)))


def test_every_pair_is_in_one_split() -> None:
    found = split(MANY, None, None, 1)
    assert [len(each) for each in (found.train, found.dev, found.test)] == [320, 40, 40]
    together = [*found.train.sources, *found.dev.sources, *found.test.sources]
    assert sorted(together) == sorted(MANY.sources)
    assert list(found.train.sources) == [source for source in MANY.sources if source in set(found.train.sources)]
    assert (found.left_out, found.known) == (0, {})


def test_a_seed_draws_the_same_again() -> None:
    one, again, other = (split(MANY, None, None, seed).dev for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_sources_that_are_alike_stay_together() -> None:
    alike = [f"{form}word  {number}" for number in range(300) for form in ("", " ", "Ｗ")]
    found = split(pairs(*(text.replace("Ｗword", "ＷORD") for text in alike)), None, None, 1)
    numbers = [{source.split()[-1] for source in each.sources} for each in (found.train, found.dev, found.test)]
    assert not any(one & other for one, other in itertools.combinations(numbers, 2))
    assert [len(each) for each in numbers] == [240, 30, 30]
    assert len(found.dev) == len(found.test) == 30
    # Of three pairs with one source, dev has one, and two are nowhere.
    assert found.left_out == 2 * 60


@pytest.mark.parametrize("given", ["dev", "test"])
def test_what_is_given_stays_as_it_is(given: str) -> None:
    own = pairs("word 1", "WORD 2", "new")
    found = split(MANY, **{"dev": None, "test": None, given: own}, seed=1)
    other = {"dev": found.test, "test": found.dev}[given]
    assert getattr(found, given) == own
    assert found.known == {given: 2}
    assert len(other) == size(398)
    assert not {"word 1", "word 2"} & set(other.sources)
    assert {"word 1", "word 2"} <= set(found.train.sources)


def test_both_are_given() -> None:
    dev, test = pairs("a"), pairs("b")
    found = split(MANY, dev, test, 1)
    assert list(found.train.sources) == list(MANY.sources)
    assert found[1:] == (dev, test, 0, {"dev": 0, "test": 0})


@pytest.mark.parametrize(
    ("sources", "expected"), [(60, 20), (200, 20), (1000, 100), (2000, 100), (10_000, 500), (2_000_000, 1000)]
)
def test_sizes(sources: int, expected: int) -> None:
    assert size(sources) == expected


def test_too_few() -> None:
    with pytest.raises(UserError, match=r"^59 different sources: too few to split off dev and test; give at least 60"):
        split(MANY.take(range(59)), None, None, 1)


def test_too_few_beside_what_is_given() -> None:
    with pytest.raises(UserError, match=r"^1 different source that dev does not have: too few to split off test"):
        split(MANY.take(range(60)), MANY.take(range(59)), None, 1)
