"""Pieces change and leave out just what they did in version 0.1.0 at commit f8720e3, whose digests are written here."""

import hashlib
import random
from typing import Any

import pytest

from keras_s2s.data import PIECES, Pairs, merged, preprocess

WORDS = (
    *("tom", "mary", "müller", "e\u0301cole", "école", "cats", "dogs", "3", "½", "ist", "it's", "Straße"),
    *("likes", "sees", "knows", "the", "a", "big", "small", "ﬁne", "old", ",", ".", "!"),
)
RECORDED = {
    "normalize": "a7f205eb12829647",
    "one side": "2f322b6ae74d4e06",
    "words": "9c16946fb11ac884",
    "characters": "c822f9cc5797a361",
    "ratio": "696cc73f268805c8",
    "ratio of characters": "e3d553ed3f071f4d",
    "duplicates": "614c0a5c84d59df0",
    "near": "4596755ffafb7185",
    "nearly the same": "c98f4ef03082b99d",
    "a little alike": "9f7fbae24b9391d3",
    "one after the other": "c7602f26ce2771e2",
}
PIECES_OF: dict[str, list[dict[str, Any]]] = {
    "normalize": [{"kind": "normalize", "form": "NFKC"}],
    "one side": [{"kind": "normalize", "form": "NFD", "sides": ["target"]}],
    "words": [{"kind": "length", "maximum": 7, "minimum": 2}],
    "characters": [{"kind": "length", "maximum": 40, "unit": "characters"}],
    "ratio": [{"kind": "length_ratio", "maximum": 1.5}],
    "ratio of characters": [{"kind": "length_ratio", "maximum": 2, "unit": "characters"}],
    "duplicates": [{"kind": "duplicates"}],
    "near": [{"kind": "near_duplicates"}],
    "nearly the same": [{"kind": "near_duplicates", "similarity": 0.95}],
    "a little alike": [{"kind": "near_duplicates", "similarity": 0.4}],
    "one after the other": [
        {"kind": "normalize", "form": "NFC"},
        {"kind": "duplicates"},
        {"kind": "length_ratio", "maximum": 3},
        {"kind": "near_duplicates", "similarity": 0.7},
    ],
}


def corpus(count: int = 3000) -> Pairs:
    """Short sentences of few words; a third are copies of earlier ones, most with a word or a sign changed."""
    draw = random.Random(5)
    pairs: list[tuple[str, str]] = []
    for _ in range(count):
        if pairs and draw.random() < 0.33:
            sides = list(draw.choice(pairs))
            side = draw.randrange(3)
            if side < 2:
                words = sides[side].split(" ")
                words[draw.randrange(len(words))] = draw.choice([*WORDS, "", "  "])
                sides[side] = " ".join(words)
            pairs.append((sides[0], sides[1]))
            continue
        lengths = draw.randrange(12), draw.randrange(1, 12)
        source, target = (" ".join(draw.choice(WORDS) for _ in range(length)) for length in lengths)
        pairs.append((source, target))
    return Pairs([source for source, _ in pairs], [target for _, target in pairs], list(range(1, count + 1)))


def digest(left: Pairs, findings: list[Any]) -> str:
    """Of the pairs, by their weights of those that were given, and of the findings."""
    content = [list(left.sources), list(left.targets), list(left.weights or ()), findings]
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


@pytest.mark.parametrize("case", PIECES_OF)
def test_pieces_do_what_they_did(case: str) -> None:
    left, findings = preprocess(corpus(), [PIECES.parse(piece) for piece in PIECES_OF[case]])
    rows = [(each.piece, each.reason, each.dropped, each.count, each.examples[0]) for each in findings]
    assert digest(left, rows) == RECORDED[case]
    assert merged(findings) == findings
