"""Encoding a corpus at once gives the ids of encoding one text after the other."""

import pickle
import random
from itertools import chain

import numpy as np
import pytest

from keras_s2s.special_ids import EOS
from keras_s2s.text import Tokenizer, corpus_encoder, train
from keras_s2s.text.proto import parsed
from keras_s2s.text.training import Kind

WORDS = [
    "der",
    "den",
    "Straße",
    "sand",
    "sandig",
    "１２",
    "½",
    "naïve",
    "e\u0301",
    "\ufb01n",
    "<2de>",
    "don't",
    "東京",
    "x😀y",
]
ODD = [
    "",
    " ",
    "  a  b ",
    "▁ a▁b",
    "▁",
    "a\0b",
    "\ud800x",
    "x\ufdd0y",
    "</s>",
    "a\nb\tc",
    "\u00a0x\u3000y",
    "😀😀 😀",
    "ﾊﾝ",
]


def corpus(size: int = 300) -> list[str]:
    rng = random.Random(1)
    return [" ".join(rng.choices(WORDS, k=rng.randrange(1, 9))) for _ in range(size)]


def expected(tokenizer: Tokenizer, texts: list[str]) -> list[int]:
    return [*chain.from_iterable([*row, EOS] for row in tokenizer.encode(texts))]


def encoded(tokenizer: Tokenizer, texts: list[str]) -> list[int]:
    return tokenizer.encode_corpus([text.encode("utf-8", "surrogatepass") for text in texts]).tolist()


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char", "word"])
@pytest.mark.parametrize("normalization", ["identity", "nmt_nfkc", "nfd"])
def test_ids_are_those_of_each_text(kind: Kind, normalization: str) -> None:
    byte_fallback = kind in ("bpe", "unigram") and normalization == "nfd"
    size = (40 if kind == "unigram" else 80) + 256 * byte_fallback
    tokenizer = train(corpus(60), size, kind, normalization, byte_fallback=byte_fallback, symbols=("<2de>",))
    texts = [*corpus(), *ODD, *(f"{one} {other}" for one in ODD for other in ("der", "x\u0308", *ODD))]
    assert encoded(tokenizer, texts) == expected(tokenizer, texts)
    assert encoded(tokenizer, []) == []
    assert encoded(tokenizer, texts[::-1]) == expected(tokenizer, texts[::-1])


def test_words_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_encoder, "_KEPT", 3)
    tokenizer = train(corpus(60), 60, "bpe")
    for begin in range(0, 100, 5):
        texts = corpus()[begin : begin + 5]
        assert encoded(tokenizer, texts) == expected(tokenizer, texts)


def test_pieces_that_go_over_a_space() -> None:
    proto = parsed(train(corpus(60), 60, "bpe").model)
    for piece in proto.pieces:
        if piece.piece == "▁der":
            piece.piece, piece.score = "r▁", 1.0
    tokenizer = Tokenizer(proto.SerializeToString())
    assert "r▁" in tokenizer.pieces(tokenizer.encode(["der der"])[0])
    assert encoded(tokenizer, ["der der", "der den"]) == expected(tokenizer, ["der der", "der den"])


def test_ids_have_16_bits_where_they_fit() -> None:
    tokenizer = train(corpus(60), 60, "bpe")
    assert tokenizer.encode_corpus([b"der"]).dtype == np.uint16
    proto = parsed(tokenizer.model)
    for number in range(2**16):
        proto.pieces.add(piece=f"piece {number}", score=-1e6)
    assert Tokenizer(proto.SerializeToString()).encode_corpus([b"der"]).dtype == np.int32


def test_words_are_not_pickled() -> None:
    tokenizer = train(corpus(60), 60, "bpe")
    before = pickle.dumps(tokenizer)
    encoded(tokenizer, corpus())
    assert pickle.dumps(tokenizer) == before
    assert pickle.loads(before).model == tokenizer.model
