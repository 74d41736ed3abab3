"""The language and the script of texts: what is found in others, and what of short texts."""

import pytest

from keras_s2s.data import Language, Pairs, Script, preprocess

ENGLISH = "The children are playing in the garden."
GERMAN = "Die Kinder spielen im Garten."
FRENCH = "Les enfants jouent dans le jardin."


def test_the_language_of_either_side_is_named() -> None:
    pairs = Pairs([ENGLISH, GERMAN, ENGLISH, ENGLISH], [GERMAN, ENGLISH, FRENCH, GERMAN], [1, 2, 3, 4])
    left, found = preprocess(pairs, [Language(source="en", target="de")])
    assert left == Pairs([ENGLISH, ENGLISH], [GERMAN, GERMAN], [1, 4])
    assert [(each.reason, each.count) for each in found] == [
        ("source in 'de', not 'en'", 1),
        ("target in 'fr', not 'de'", 1),
    ]
    only, _ = preprocess(pairs, [Language(target="de")])
    assert only.weights == [1, 4]


@pytest.mark.parametrize("minimum", [0.01, 0.2, 1])
@pytest.mark.parametrize("text", ["", " ", "123", ":-)", "OK", "Tom"])
def test_a_text_that_tells_nothing_is_in_every_language(text: str, minimum: float) -> None:
    left, _ = preprocess(Pairs([text], [text]), [Language(source="en", target="zh", minimum=minimum)])
    assert len(left) == 1


def test_a_higher_minimum_leaves_out_more() -> None:
    """The second text is right, but looks like Dutch; the third one is German, and could be English."""
    pairs = Pairs([ENGLISH, "Cheers!", "Tom denkt."], ["x"] * 3)
    left = [preprocess(pairs, [Language(source="en", minimum=minimum)])[0].sources for minimum in (0.05, 0.5, 1)]
    assert left[0][:2] == [ENGLISH, "Cheers!"]
    assert left[2] == [ENGLISH]
    assert len(left[0]) >= len(left[1]) >= len(left[2])


@pytest.mark.parametrize(
    ("text", "scripts", "kept"),
    [
        ("Привет, Tom", ("Cyrillic",), True),  # 6 of 9
        ("Привет, Tommy Lee", ("Cyrillic",), False),  # 6 of 14
        ("Tom", ("Cyrillic",), False),
        ("こんにちは、トム君", ("Han", "Hiragana", "Katakana"), True),
        ("こんにちは、トム君", ("Han",), False),
        ("トーム", ("Katakana",), True),  # The sign of length is in several scripts.
        ("naïve Straße", ("Latin",), True),
        ("", ("Latin",), True),
        ("123 :-) ½", ("Latin",), True),
        ("مرحبا", ("Arabic",), True),
    ],
)
def test_scripts(text: str, scripts: tuple[str, ...], kept: bool) -> None:
    pairs = Pairs([text, ""], ["x", "x"])
    left, found = preprocess(pairs, [Script(source=scripts)])
    assert len(left) == 1 + kept
    assert [finding.reason for finding in found] == ([] if kept else [f"source under 50% {', '.join(scripts)}"])


def test_a_share_that_is_just_reached_is_enough() -> None:
    for minimum, kept in ((0.75, 2), (0.76, 1)):
        left, _ = preprocess(Pairs(["x", "x"], ["abcд", "a"]), [Script(target="Latin", minimum=minimum)])
        assert len(left) == kept
