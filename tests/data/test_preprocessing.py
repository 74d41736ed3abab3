"""What each piece changes and leaves out, and what it says about it."""

import random
import unicodedata
from typing import Any

import numpy as np
import pytest

from keras_s2s.data import (
    PIECES,
    Duplicates,
    Finding,
    Identical,
    Length,
    LengthRatio,
    NearDuplicates,
    Normalize,
    Pairs,
    merged,
    preprocess,
)
from keras_s2s.errors import UserError
from keras_s2s.testing import check_piece


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_normal_forms(form) -> None:
    pairs = Pairs(["한국 é", "ﬁ", "a"], ["e\u0301", "b", "c"], [1.0, 2.0, 3.0])
    both, _ = preprocess(pairs, [Normalize(form=form)])
    assert both.sources == [unicodedata.normalize(form, text) for text in pairs.sources]
    assert both.targets == [unicodedata.normalize(form, text) for text in pairs.targets]
    assert both.weights == pairs.weights
    one, _ = preprocess(pairs, [Normalize(form=form, sides=("target",))])
    assert (one.sources, one.targets) == (pairs.sources, both.targets)


def test_what_was_normalized_is_counted() -> None:
    _, found = preprocess(Pairs(["é", "e\u0301", "a"], ["b", "b", "b"]), [Normalize(form="NFD")])
    assert found == [Finding("normalize", "made NFD", False, 1, (("é", "b"),))]


def test_lengths() -> None:
    texts = ["", " ", "a", "a b", "a  b c", "abcdef"]
    pairs = Pairs(texts, ["x"] * 6, [1, 2, 3, 4, 5, 6])
    words, found = preprocess(pairs, [Length(maximum=2)])
    assert words == Pairs(["a", "a b", "abcdef"], ["x"] * 3, [3, 4, 6])
    assert found == [
        Finding("length", "source under 1 words", True, 2, (("", "x"), (" ", "x"))),
        Finding("length", "source over 2 words", True, 1, (("a  b c", "x"),)),
    ]
    characters, _ = preprocess(pairs, [Length(minimum=1, maximum=3, unit="characters")])
    assert characters.sources == [" ", "a", "a b"]
    _, [finding] = preprocess(Pairs(["a", "a"], ["x y", "x"]), [Length(maximum=1)])
    assert finding.reason == "target over 1 words"


@pytest.mark.parametrize(
    ("source", "target", "kept"),
    [
        ("a b", "x", True),
        ("a b c", "x", False),
        ("x", "a b c", False),
        ("", "", True),
        ("", "a b", True),
        ("a", "", True),
    ],
)
def test_ratios(source: str, target: str, kept: bool) -> None:
    left, _ = preprocess(Pairs([source, "a"], [target, "a"]), [LengthRatio(maximum=2)])
    assert len(left) == 1 + kept


def test_the_longer_side_is_named() -> None:
    pairs = Pairs(["a", "aaaa", "a"], ["a", "a", "aaaa"])
    _, found = preprocess(pairs, [LengthRatio(maximum=3, unit="characters")])
    assert [f.reason for f in found] == [
        "source over 3 times as many characters",
        "target over 3 times as many characters",
    ]


def test_exact_duplicates_are_pairs_not_texts() -> None:
    pairs = Pairs(["a", "a", "b", "a", "A"], ["x", "y", "x", "x", "x"], [1, 2, 3, 4, 5])
    left, found = preprocess(pairs, [Duplicates()])
    assert left == Pairs(["a", "a", "b", "A"], ["x", "y", "x", "x"], [1, 2, 3, 5])
    assert found == [Finding("duplicates", "the same pair before", True, 1, (("a", "x"),))]


def sentences(count: int) -> list[str]:
    draw = random.Random(1)
    return [" ".join("".join(draw.choices("abcdefghijkl", k=6)) for _ in range(15)) for _ in range(count)]


def test_near_duplicates_go_and_others_stay() -> None:
    texts = sentences(200)
    near = [f"{text.upper()} !" for text in texts[::4]]
    spaced = [text.replace(" ", "   ") for text in texts[1::4]]
    pairs = Pairs([*texts, *near, *spaced], [*texts, *near, *spaced])
    left, [finding] = preprocess(pairs, [NearDuplicates()])
    assert list(left.sources) == texts
    assert (finding.count, finding.reason) == (100, "about 80% the same as a pair before")


def test_near_duplicates_are_those_of_the_jaccard_similarity() -> None:
    texts, draw = sentences(150), random.Random(2)
    similar = []
    for text in texts:
        words = text.split()
        for place in draw.sample(range(15), draw.randrange(8)):
            words[place] = "zzzzzz"
        similar.append(" ".join(words))

    def shingles(text: str) -> set[str]:
        return {text[i : i + 5] for i in range(len(text) - 4)}

    for text, other in zip(texts, similar, strict=True):
        a, b = shingles(text), shingles(other)
        jaccard = len(a & b) / len(a | b)
        left, _ = preprocess(Pairs([text, other], [text, other]), [NearDuplicates(similarity=0.6)])
        if abs(jaccard - 0.6) > 0.15:
            assert len(left) == (1 if jaccard > 0.6 else 2)


def test_short_texts_are_near_only_if_the_same() -> None:
    pairs = Pairs(["a", "b", "A ", ""], ["x", "x", "x", ""])
    left, _ = preprocess(pairs, [NearDuplicates()])
    assert left.sources == ["a", "b", ""]


def test_pieces_come_one_after_the_other() -> None:
    pairs = Pairs(["é", "e\u0301", "a a a"], ["x", "x", "x"])
    pieces = [Length(maximum=2), Normalize(form="NFC"), Duplicates()]
    left, found = preprocess(pairs, pieces)
    assert left == Pairs(["é"], ["x"])
    assert [(f.piece, f.count) for f in found] == [("length", 1), ("normalize", 1), ("duplicates", 1)]
    assert preprocess(pairs, []) == (pairs, [])


def test_preprocessing_that_cannot_be() -> None:
    with pytest.raises(UserError, match=r"^preprocessing: length: leaves out all of 1 pairs, source over 1 words$"):
        preprocess(Pairs(["a b"], ["x"]), [Length(maximum=1)])
    with pytest.raises(UserError, match=r"^preprocessing: is for text, but the sources are features"):
        preprocess(Pairs([np.zeros((2, 2))], ["x"]), [Duplicates()])


@pytest.mark.parametrize(
    ("source", "target", "kept"),
    [
        ("Tom left.", "Tom left.", False),
        ("Tom left.", " TOM  left. ", False),
        ("STRASSE", "Straße", False),
        ("", " ", False),
        ("Tom left.", "Tom left", True),
        ("Tom left.", "Tomleft.", True),
    ],
)
def test_copies(source: str, target: str, kept: bool) -> None:
    left, found = preprocess(Pairs([source, "a"], [target, "b"]), [Identical()])
    assert len(left) == 1 + kept
    assert [finding.reason for finding in found] == [] if kept else ["target the same as source"]


def test_findings_of_blocks_are_added_up() -> None:
    def finding(piece: str, reason: str, count: int, *examples: str) -> Finding:
        return Finding(piece, reason, True, count, tuple((example, "x") for example in examples))

    blocks = [
        [finding("b", "long", 4, "1", "2", "3"), finding("a", "short", 1, "4")],
        [finding("b", "short", 1, "5"), finding("b", "long", 1, "6"), finding("a", "short", 3, "7", "8", "9")],
    ]
    assert merged(finding for block in blocks for finding in block) == [
        finding("b", "long", 5, "1", "2", "3"),
        finding("b", "short", 1, "5"),
        finding("a", "short", 4, "4", "7", "8"),
    ]
    assert merged([]) == []


def test_three_examples_are_shown() -> None:
    pairs = Pairs(["a b", "b", "c d", "e f", "g h"], ["x"] * 5)
    _, [found] = preprocess(pairs, [Length(maximum=1)])
    assert (found.count, found.examples) == (4, (("a b", "x"), ("c d", "x"), ("e f", "x")))


MIXED = Pairs(
    [*["one two", "A b c d e f g", "TOM", "cafe\u0301", "one two", "Привет всем", "See you soon, my friend!"] * 2, ""],
    [*["eins zwei", "x", "Tom", "café", "eins zwei", "Привет, мир", "Wir sehen uns bald wieder."] * 2, "x"],
    list(range(1, 16)),
)


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "normalize", "form": "NFC"},
        {"kind": "length", "maximum": 3},
        {"kind": "length_ratio", "maximum": 2},
        {"kind": "identical"},
        {"kind": "duplicates"},
        {"kind": "near_duplicates"},
        {"kind": "language", "source": "en"},
        {"kind": "script", "target": "Latin"},
    ],
)
def test_every_piece_keeps_its_contract(options: dict[str, Any]) -> None:
    check_piece(options, MIXED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "copy"}, "no piece of preprocessing 'copy'; "),
        ({"kind": "length"}, "length: maximum: this key is required"),
        (
            {"kind": "near_duplicates", "similarity": 1},
            "near_duplicates: similarity: Input should be less than or equal",
        ),
        ({"kind": "language"}, "language: Language: expected 'source', 'target' or both, such as source: en"),
        ({"kind": "language", "source": "eng"}, "language: Language: source: no language 'eng'; did you mean 'en'?"),
        (
            {"kind": "language", "target": "??"},
            "language: Language: target: no language '??'; expected its code in ISO 639",
        ),
        ({"kind": "script"}, "script: Script: expected 'source', 'target' or both, such as source: Latin"),
        (
            {"kind": "script", "target": ["Latin", "Klingon"]},
            "script: Script: target: no script 'Klingon'; expected its",
        ),
        ({"kind": "script", "source": "Latin}x"}, "script: Script: source: no script 'Latin}x'; expected its name"),
        ({"kind": "script", "source": "Latin", "minimum": 0}, "script: minimum: Input should be greater than 0"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        PIECES.parse(options)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
