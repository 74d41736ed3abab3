"""Which part of the source stands for an unknown token, and how it is joined."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keras_s2s.runtime.unknown_tokens import with_source_words
from keras_s2s.text import Tokenizer, train

LINES = [
    "das rote Haus sieht der Mann, uk asz e .",
    "( das ) rote Haus die Straße .",
    "der Mann in Bonn .",
    "我 们 在 东 京",
] * 4
KINDS: dict[str, dict[str, Any]] = {
    "bpe": {"kind": "bpe", "vocabulary_size": 60},
    "char": {"kind": "char", "vocabulary_size": 60},
    "word": {"kind": "word", "vocabulary_size": 60},
    "bytes": {"kind": "bpe", "vocabulary_size": 320, "byte_fallback": True},
}
Replaced = Callable[..., str]


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {name: train(LINES, **options) for name, options in KINDS.items()}


@pytest.fixture
def replaced(tokenizers: dict[str, Tokenizer]) -> Replaced:
    """The text of pieces, "?" being the unknown token. Each of these looks at a place of the source."""

    def write(kind: str, target: list[str], source_kind: str, source: str, *looked: str) -> str:
        vocabulary = tokenizers[kind].pieces(range(tokenizers[kind].vocabulary_size))
        tokens = [3 if piece == "?" else vocabulary.index(piece) for piece in target]
        spans = tokenizers[source_kind].spans(source)
        attention = np.full((len(tokens) + 1, len(spans) + 1), 0.01)
        attention[:, len(spans)] = 0.5  # The end of the source is no word.
        places = [place for place, token in enumerate(tokens) if token == 3]
        for place, part in zip(places, looked, strict=True):
            # The piece in which the part begins.
            at = source.index(part)
            column = max(n for n, (begin, end) in enumerate(spans) if begin <= at < max(end, begin + 1))
            attention[place, column] = 0.3
        return with_source_words(tokenizers[kind], tokens, attention, source, spans)

    return write


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return tokenizer.encode_pieces(text)


def test_a_word_is_joined_by_spaces(tokenizers: dict[str, Tokenizer], replaced: Replaced) -> None:
    rest = pieces(tokenizers["bpe"], "sieht das rote Haus .")
    for source in ("the man sees the red house .", "the"):
        assert replaced("bpe", ["?", *rest], "bpe", source, "the") == "the sieht das rote Haus ."
        assert replaced("bpe", ["▁", "?", *rest], "bpe", source, "the") == "the sieht das rote Haus ."
    middle = [*pieces(tokenizers["bpe"], "das"), "?", *pieces(tokenizers["bpe"], "Haus .")]
    assert replaced("bpe", middle, "bpe", "the red house .", "red") == "das red Haus ."


def test_it_is_the_whole_word_as_it_was_written(tokenizers: dict[str, Tokenizer], replaced: Replaced) -> None:
    das = pieces(tokenizers["bpe"], "das")
    full_stop = pieces(tokenizers["bpe"], "das .")[len(das) :]
    source = "in Łódź, (Quokka-Park) don't ＡＢ http://x.y/z?q=1."
    for part, word in (
        ("ódź", "Łódź"),
        ("okka", "Quokka-Park"),
        ("t ＡＢ", "don't"),
        ("ＡＢ", "ＡＢ"),
        ("x.y", "http://x.y/z?q=1"),
    ):
        for kind in ("bpe", "char", "bytes"):
            assert replaced("bpe", [*das, "▁", "?", *full_stop], kind, source, part) == f"das {word} ."


def test_within_a_word_it_is_the_piece_alone(tokenizers: dict[str, Tokenizer], replaced: Replaced) -> None:
    assert replaced("char", [*"Stra", "?", "e"], "char", "die Straße", "ß") == "Straße"
    assert replaced("bpe", ["▁", "?", "uk", "as", "z"], "bytes", "von Łukasz", "Ł") == "Łukasz"
    assert replaced("char", ["?", *"uk"], "char", "von Łuk", "Ł") == "Łuk"


def test_unknown_tokens_beside_each_other_that_look_at_one_word_write_it_once(
    tokenizers: dict[str, Tokenizer], replaced: Replaced
) -> None:
    das = pieces(tokenizers["word"], "das")
    assert replaced("word", [*das, "?", "?", "▁Haus"], "bpe", "the Quokka house", "Quo", "kka") == "das Quokka Haus"
    assert replaced("word", [*das, "?", "?"], "bpe", "the big Quokka", "big", "kka") == "das big Quokka"
    assert replaced("char", [*"das", "▁", "?", "▁", "?", "▁", "e"], "char", "Квокка", "К", "а") == "das Квокка e"
    assert replaced("char", ["?", "?", "?"], "char", "Łéñ x", "Ł", "é", "ñ") == "Łéñ"


def test_in_a_model_of_words_a_token_is_a_word(tokenizers: dict[str, Tokenizer], replaced: Replaced) -> None:
    assert replaced("word", ["?", "▁Haus", "?"], "char", "Quokka’s home", "okk", "ome") == "Quokka’s Haus home"


def test_scripts_without_spaces_give_the_piece(replaced: Replaced) -> None:
    assert replaced("char", [*"我们在", "?", "京"], "char", "我们在北京", "北") == "我们在北京"
    assert replaced("char", ["?", *"在"], "char", "我们Quokka在", "Q") == "Quokka在"
    assert replaced("char", ["?", "?"], "char", "東京", "東", "京") == "東京"


def test_a_space_is_nothing_to_look_at(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer, source = tokenizers["char"], "ab ñ"
    attention = np.array([[0.1, 0.1, 0.6, 0.2, 0.0]])
    assert with_source_words(tokenizer, [3], attention, source, tokenizer.spans(source)) == "ñ"


def test_pieces_that_were_cut_off_are_not_looked_at(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer, source = tokenizers["char"], "ab ñ"
    attention = np.array([[0.1, 0.2, 0.0]])
    assert with_source_words(tokenizer, [3], attention, source, tokenizer.spans(source)[:2]) == "ab"


def test_unknown_words_that_the_source_has_as_one_token_stay_together(replaced: Replaced) -> None:
    assert replaced("word", ["▁das", "?"], "word", "das Quokka Park", "Quokka") == "das Quokka Park"
