"""Statistics with known answers."""

import random
from collections.abc import Callable, Sequence

import pytest

from keras_s2s.data import Pairs
from keras_s2s.recipe.new.look import look, monotone, script, side

WORDS = [f"{a}{b}" for a in "bcdfgh" for b in "aeiou"]


def translated(order: Callable[[Sequence[str]], Sequence[str]], count: int = 400) -> Pairs:
    """Sentences of eight different words, each with a translation of its own, in another order."""
    draw = random.Random(1)
    sources = [draw.sample(WORDS, 8) for _ in range(count)]
    targets = [[word.upper() for word in order(source)] for source in sources]
    return Pairs([" ".join(words) for words in sources], [" ".join(words) for words in targets])


def test_the_same_order_is_monotone() -> None:
    assert monotone(translated(lambda words: words), True, True) == 1.0


def test_the_opposite_order_never_goes_on() -> None:
    assert monotone(translated(lambda words: words[::-1]), True, True) == 0.0


def test_any_order_goes_on_in_half_of_the_steps() -> None:
    draw = random.Random(2)
    assert monotone(translated(lambda words: draw.sample(words, len(words))), True, True) == pytest.approx(
        0.5, abs=0.05
    )


def test_one_swap_of_eight_is_one_step_of_seven() -> None:
    swapped = translated(lambda words: [words[1], words[0], *words[2:]])
    assert monotone(swapped, True, True) == pytest.approx(6 / 7)


def test_words_without_spaces_are_aligned_by_character() -> None:
    pairs = translated(lambda words: words)
    joined = Pairs([text.replace(" ", "") for text in pairs.sources], [text.replace(" ", "") for text in pairs.targets])
    assert monotone(joined, False, False) == 1.0


def test_units_that_stand_there_twice_say_nothing() -> None:
    assert monotone(Pairs(["a a a"] * 5, ["b b b"] * 5), True, True) is None


def test_a_side() -> None:
    found = side(["ab cd", "ab", "x" * 98] + ["ab"] * 97)
    assert found.characters == (2, 5, 98)
    assert found.words == (1, 1, 2)
    assert (found.running, found.vocabulary, found.alphabet) == (101, 3, 6)
    assert found.rare == 2 / 101
    assert found.scripts == {"Latin": 1.0}


def test_scripts() -> None:
    found = [script(character) for character in "aＡªж日ひ한ｶก"]
    assert found == ["Latin"] * 3 + ["Cyrillic", "Han", "Hiragana", "Hangul", "Katakana", "Thai"]
    assert {script(character) for character in "1! ː"} == {None}


def test_scripts_are_shares_of_letters() -> None:
    found = side(["日本 a1!", "日本"])
    assert found.scripts == {"Han": 0.8, "Latin": 0.2}
    assert not found.has_spaces


def test_repeated_and_contradictory_pairs() -> None:
    found = look(Pairs(["a", "a", "a", "b", "c"], ["x", "x", "y", "b", "z"]))
    assert (found.pairs, found.sources, found.repeated, found.contradictory, found.copies) == (5, 3, 1, 1, 1)
    assert found.contradiction == ("a", "x", "y")
