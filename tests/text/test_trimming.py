"""Tokenizers without pieces: texts that need none of these are cut as before."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

from keras_s2s import UserError
from keras_s2s.special_ids import UNKNOWN
from keras_s2s.text import Tokenizer, train, train_joint
from keras_s2s.text.proto import parsed
from keras_s2s.text.training import Kind
from keras_s2s.text.trimming import needed, reduced

LINES = [
    f"{who} {does} {where}"
    for who in ("the cat", "a dog", "three dogs", "some cats", "nobody")
    for does in ("sat", "sits", "ran and ran", "was running", "dances")
    for where in ("on the mat", "under a table", "nowhere", "in the garden")
]
SIZES: dict[Kind, int] = {"bpe": 60, "unigram": 40, "char": 40, "word": 40}
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]


def uses_of(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    return np.bincount([i for row in tokenizer.encode(texts) for i in row], minlength=tokenizer.vocabulary_size)


def pieces_of(tokenizer: Tokenizer) -> list[str]:
    return tokenizer.pieces(range(tokenizer.vocabulary_size))


def by_hand(kind: Kind, pieces: dict[str, float], symbols: Sequence[str] = ()) -> Tokenizer:
    """A model of these pieces with their scores, which puts no space in front of a text."""
    proto = parsed(train(["a b c"], 10, "char", symbols=symbols).model)
    kept = [piece for piece in proto.pieces if piece.type != proto.SentencePiece.NORMAL]
    proto.trainer_spec.model_type = getattr(proto.trainer_spec, kind.upper())
    del proto.pieces[:]
    proto.pieces.extend(kept)
    for piece, score in pieces.items():
        proto.pieces.add(piece=piece, score=score)
    return Tokenizer(proto.SerializeToString())


def random_model(kind: Kind, rng: np.random.Generator) -> Tokenizer:
    """Pieces of up to five of three letters, each of two parts, with scores of which many are equal."""
    parts = ["a", "b", "c"]
    for _ in range(rng.integers(5, 60)):
        parts.append("".join(rng.choice(parts, 2).tolist())[:5])
    pieces = [*dict.fromkeys(parts)][rng.integers(0, 2) :]  # sometimes without that of a
    scores = np.round(-rng.exponential(3, len(pieces)), rng.integers(0, 3))
    chosen = dict(zip(pieces, scores.tolist(), strict=True))
    symbols = ("ab",) if rng.random() < 0.3 else ()
    return by_hand(kind, {piece: score for piece, score in chosen.items() if piece not in symbols}, symbols)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_every_text_of_what_stays_is_cut_as_before(kind: Kind) -> None:
    texts = ["".join(text) for size in range(1, 7) for text in product("abcx", repeat=size)]  # x is always unknown
    rng, smaller, as_before, otherwise = np.random.default_rng(3), 0, 0, 0
    for _ in range(15):
        model = random_model(kind, rng)
        rows = model.encode(texts)
        found = np.unique(np.concatenate(rows).astype(int))
        uses = np.zeros(model.vocabulary_size, int)
        uses[rng.choice(found, rng.integers(1, 6))] = rng.integers(1, 4)
        kept = needed(model, uses, int(rng.integers(1, 3)))
        trimmed, ids = reduced(model, kept), np.where(kept, np.cumsum(kept) - 1, -1)
        smaller += trimmed.vocabulary_size < model.vocabulary_size
        for text, before, after in zip(texts, rows, trimmed.encode(texts), strict=True):
            if (ids[before] >= 0).all():
                as_before += 1
                assert ids[before].tolist() == after, (pieces_of(model), pieces_of(trimmed), text)
                assert model.decode([before]) == trimmed.decode([after])
            else:
                otherwise += 1
    assert smaller >= 10
    assert min(as_before, otherwise) > 1000


def test_what_a_bpe_piece_is_merged_from_stays() -> None:
    # abcd is a b c d, ab c d, ab cd, abcd: not by way of bc, which is as good as ab but comes later, or of bcd.
    model = by_hand("bpe", {"a": -9, "b": -9, "c": -9, "d": -9, "ab": -1, "cd": -2, "bc": -1, "bcd": -4, "abcd": -5})
    uses = np.zeros(model.vocabulary_size, int)
    uses[pieces_of(model).index("abcd")] = 1
    trimmed = reduced(model, needed(model, uses))
    assert pieces_of(trimmed) == [*SPECIAL, "a", "b", "c", "d", "ab", "cd", "abcd"]
    assert [tokenizer.encode_pieces("abcdbcd") for tokenizer in (model, trimmed)] == [
        ["abcd", "bcd"],
        ["abcd", "b", "cd"],
    ]


def test_the_score_of_what_is_unknown_stays_in_a_unigram_model() -> None:
    # An unknown x has 10 less than the least score: -45 with z, so that xb c with -40 is the best way. Without z it had
    # -30, and x bc were the best one. The user's symbols follow from the greatest score, that of d.
    model = by_hand("unigram", {"b": -9.0, "c": -20.0, "bc": -1.0, "xb": -20.0, "y": -9.0, "z": -35.0, "d": -0.5})
    trimmed = reduced(model, needed(model, uses_of(model, ["xbc", "bc"])))
    assert pieces_of(trimmed) == [*SPECIAL, "b", "c", "bc", "xb", "z", "d"]
    assert model.encode_pieces("xbc") == trimmed.encode_pieces("xbc") == ["xb", "c"]
    with_neither = reduced(model, np.array([piece not in {"z", "d"} for piece in pieces_of(model)]))
    assert with_neither.encode_pieces("xbc") == ["x", "bc"]


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char", "word"])
def test_a_trained_model_of_each_kind(kind: Kind) -> None:
    model = train(LINES, SIZES[kind], kind, symbols=("<2de>",))
    some = LINES[:2]
    uses = uses_of(model, some)
    kept = needed(model, uses)
    trimmed = reduced(model, kept)
    assert trimmed.vocabulary_size == kept.sum() < model.vocabulary_size
    assert parsed(trimmed.model).trainer_spec.vocab_size == trimmed.vocabulary_size
    assert pieces_of(trimmed)[:5] == [*SPECIAL, "<2de>"]
    for text in [*some, "<2de> " + some[0]]:
        assert model.encode_pieces(text) == trimmed.encode_pieces(text)
        assert model.decode(model.encode([text])) == trimmed.decode(trimmed.encode([text]))
    assert needed(model, np.ones(model.vocabulary_size, int)).all()
    if kind == "word":
        assert trimmed.pieces(trimmed.encode(["the dogs sat"])[0]) == ["▁the", "<unk>", "▁sat"]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_no_character_that_is_used_becomes_unknown(kind: Kind) -> None:
    model = train(LINES, SIZES[kind], kind)
    trimmed = reduced(model, needed(model, uses_of(model, LINES), 1000))
    assert set(pieces_of(trimmed)) - set(SPECIAL) >= set("".join(LINES).replace(" ", "▁"))
    assert trimmed.vocabulary_size < model.vocabulary_size
    for row, text in zip(trimmed.encode(LINES), LINES, strict=True):
        assert UNKNOWN not in row
        assert trimmed.decode([row]) == [text]


def test_what_is_used_less_often_than_the_minimum_goes() -> None:
    model = train(["a a a b b c"], 20, "word")
    uses = uses_of(model, ["a a a b b c"])
    found = [pieces_of(reduced(model, needed(model, uses, minimum))) for minimum in (1, 2, 3, 4)]
    assert found == [[*SPECIAL, *kept] for kept in (["▁a", "▁b", "▁c"], ["▁a", "▁b"], ["▁a"], [])]


def test_bytes_stay() -> None:
    model = train(["ab ba"], 263, "bpe", byte_fallback=True)
    trimmed = reduced(model, needed(model, uses_of(model, ["a"])))
    assert "b" not in pieces_of(trimmed)
    assert trimmed.decode(trimmed.encode(["baß"])) == ["baß"]
    assert trimmed.encode_pieces("ß") == model.encode_pieces("ß")


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_both_of_one_vocabulary_stay_one(kind: Kind) -> None:
    source, target = train_joint(LINES, [line.upper() for line in LINES], SIZES[kind] + 10, kind)
    uses = uses_of(source, LINES[:2]) + uses_of(target, [line.upper() for line in LINES[:2]])
    both = [reduced(side, needed(side, uses)) for side in (source, target)]
    assert pieces_of(both[0]) == pieces_of(both[1])
    assert both[0].vocabulary_size < source.vocabulary_size
    wide = "ｔｈｅ cat"  # full-width letters, which the sources' normalization reads as usual ones
    assert both[0].encode_pieces(wide) == source.encode_pieces(wide)
    assert both[0].encode_pieces(wide) != target.encode_pieces(wide)


def test_pieces_marked_as_unused_are_refused() -> None:
    def change(piece: Any) -> None:
        piece.type = piece.UNUSED

    model = edited(train(LINES, SIZES["bpe"]), change)
    with pytest.raises(UserError, match=r"^tokenizer: a piece is marked as unused; take a model that "):
        needed(model, np.ones(model.vocabulary_size, int))


def edited(tokenizer: Tokenizer, change: Callable[[Any], None]) -> Tokenizer:
    proto = parsed(tokenizer.model)
    change(proto.pieces[10])
    return Tokenizer(proto.SerializeToString())
