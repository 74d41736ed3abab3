"""What an output is told to begin with, by every kind of vocabulary."""

import re
from typing import Any

import pytest

from keras_s2s import UserError
from keras_s2s.bundle import Decoding
from keras_s2s.runtime.prefixes import NEW_WORD, check_suppressed, prefix_ids, shown, suppressed_ids
from keras_s2s.text import Tokenizer, train

LINES = ["das rote haus", "das haus ist rot", "dass das rote haus da ist 2"] * 5
KINDS: dict[str, dict[str, Any]] = {
    "bpe": {"kind": "bpe", "vocabulary_size": 30},
    "unigram": {"kind": "unigram", "vocabulary_size": 20},
    "char": {"kind": "char", "vocabulary_size": 40},
    "word": {"kind": "word", "vocabulary_size": 40},
    "bytes": {"kind": "bpe", "vocabulary_size": 290, "byte_fallback": True},
    "identity": {"kind": "bpe", "vocabulary_size": 30, "normalization": "identity"},
}
MANY = ("bpe", "unigram", "word", "bytes", "identity")


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {name: train(LINES, **{"normalization": "nmt_nfkc", **options}) for name, options in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["das", "das rote", "das rote haus ist"])
def test_what_can_be_written_is_written(tokenizers: dict[str, Tokenizer], kind: str, text: str) -> None:
    ids = prefix_ids(tokenizers[kind], text, True)
    assert tokenizers[kind].decode([ids]) == [text]
    assert prefix_ids(tokenizers[kind], "", True) == []


@pytest.mark.parametrize("kind", MANY)
def test_a_space_at_the_end_is_a_word_that_begins(tokenizers: dict[str, Tokenizer], kind: str) -> None:
    target = tokenizers[kind]
    *ids, last = prefix_ids(target, "das rote ", True)
    assert (ids, last) == (prefix_ids(target, "das rote", True), NEW_WORD)
    starts = [id for id, begins in enumerate(target.begins_word) if begins]
    assert all(target.decode([[*ids, id]])[0].startswith("das rote ") for id in starts)
    with pytest.raises(UserError, match=r"^prefix 'das rote ': the bundle was exported before .*; export it again, "):
        prefix_ids(target, "das rote ", False)


@pytest.mark.parametrize("known", [False, True])
def test_where_words_begin_in_one_way_any_bundle_does(tokenizers: dict[str, Tokenizer], known: bool) -> None:
    target = tokenizers["char"]
    ids = prefix_ids(target, "das ", known)
    assert target.pieces(ids) == ["d", "a", "s", "▁"]


@pytest.mark.parametrize(
    ("kind", "text", "part"),
    [
        ("bpe", "DAS rote", "'D' (U+0044)"),
        ("unigram", "das Haus", "'H' (U+0048)"),
        ("char", "das é", "'é' (U+00E9)"),
        ("word", "das Haus", "'Haus'"),
        ("word", "da hau ", "'hau'"),
        ("bpe", "２", "'２' (U+FF12)"),
        ("bytes", "das ２", "'２' (U+FF12)"),
        ("identity", "２", "'２' (U+FF12)"),
        ("bpe", "das  rote", "' ' (U+0020)"),
        ("identity", "das  ", "' ' (U+0020)"),
        ("char", " das", "' ' (U+0020)"),
        ("bytes", " ", "' ' (U+0020)"),
        ("bpe", "das\n", r"'\n' (U+000A)"),
        ("bpe", "das\u3000rote", r"'\u3000' (U+3000)"),
        ("bpe", " ⁇ ", "'⁇' (U+2047)"),
        ("identity", "das\0", r"'\x00' (U+0000)"),
        ("identity", "das \ud800", r"'\ud800' (U+D800)"),
    ],
)
def test_what_cannot_be_written_is_named(tokenizers: dict[str, Tokenizer], kind: str, text: str, part: str) -> None:
    message = f"prefix {text!r}: the target vocabulary cannot write {part} there; leave it out, or write it as the "
    with pytest.raises(UserError, match=f"^{re.escape(message)}model's outputs do$") as found:
        prefix_ids(tokenizers[kind], text, True)
    assert len(str(found.value).splitlines()) == 1
    str(found.value).encode()


def test_bytes_and_identity_write_what_others_cannot(tokenizers: dict[str, Tokenizer]) -> None:
    target = tokenizers["bytes"]
    assert target.decode([prefix_ids(target, "DAS é😀", True)]) == ["DAS é😀"]


def test_a_long_text_is_shown_in_part() -> None:
    assert shown("a" * 60) == repr("a" * 60)
    assert shown("a\n" * 60) == repr("a\n" * 30 + "…")


def test_texts_to_suppress(tokenizers: dict[str, Tokenizer]) -> None:
    target = tokenizers["bpe"]
    given = ("das", " rote ", "DAS", " ⁇ ", "２", "")
    decoding = Decoding(strategy="greedy", beam_size=1, suppress=given)
    # Of the others there is nothing that must not be written: not the unknown token, and not 2.
    assert suppressed_ids(target, decoding) == target.encode(["das", "rote"])
    check_suppressed(target, ["das", " rote ", ""])
    for text, part in (("DAS", "'D' (U+0044)"), (" ⁇ ", "'⁇' (U+2047)"), ("２", "'２' (U+FF12)")):
        message = f"suppress: {text!r}: the target vocabulary cannot write {part}, so no output has it; leave it out"
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            check_suppressed(target, ["das", text])
