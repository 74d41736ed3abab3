"""Which texts a tokenizer cannot write, and how they are told."""

import pytest

from keras_s2s.text import train
from keras_s2s.text.unwritable import unwritable

LINES = ["Hello wörld é, a b c", "你好"]


def told(text: str, normalization: str = "identity", **options) -> str:
    """What is said of a text behind one that can be written."""
    [found] = unwritable(["a", text], train(LINES, 400, **{"kind": "char", **options}, normalization=normalization))
    assert (found.number, found.text) == (2, text)
    return str(found)


@pytest.mark.parametrize(
    ("normalization", "text", "expected"),
    [
        ("nmt_nfkc", "你，", "'你，' would be '你,' (U+FF0C ，)"),
        ("nmt_nfkc_cf", "Hello", "'Hello' would be 'hello' (U+0048 H)"),
        ("nfd", "é", "'é' would be 'e\u0301' (U+00E9 é)"),
        ("nmt_nfkc", "a\u200cb", "'a\\u{200c}b' would be 'a b' (U+200C zero width non-joiner)"),
        ("nmt_nfkc", "a\tb", "'a\\u{9}b' would be 'a b' (U+0009)"),
        ("identity", "a\tb", "'a\\u{9}b' would be 'a ⁇ b' (U+0009)"),
        ("identity", "a  b", "'a  b' would be 'a b' (U+0020 space)"),
        ("identity", " a", "' a' would be 'a' (U+0020 space)"),
        ("identity", "a ", "'a ' would be 'a' (U+0020 space)"),
        ("identity", "a\u3000b", "'a\\u{3000}b' would be 'a ⁇ b' (U+3000 ideographic space)"),
        ("identity", "a▁b", "'a▁b' would be 'a b' (U+2581 ▁)"),
        ("identity", "😀 ！", "'😀 ！' would be ' ⁇   ⁇ ' (U+1F600 😀, U+FF01 ！)"),
        ("identity", "a\0b\ud800", "'a\\u{0}b\\u{d800}' would be 'a ⁇ b ⁇ ' (U+0000, U+D800)"),
    ],
)
def test_what_is_changed_and_what_no_piece_has(normalization: str, text: str, expected: str) -> None:
    assert told(text, normalization) == expected


def test_a_word_that_is_unknown_as_a_whole() -> None:
    expected = "'Hello cab' would be 'Hello ⁇ ' (U+0020 space, U+0063 c, U+0061 a, U+0062 b)"
    assert told("Hello cab", kind="word") == expected


def test_a_long_text_is_shown_where_it_differs() -> None:
    said = told("a" * 500 + "！" + "b" * 500, "identity")
    assert said.startswith(f"'…{'a' * 20}！{'b' * 39}…' would be '…{'a' * 20} ⁇ bbb")
    assert len(said) < 200


def test_a_text_of_a_million_characters_is_told_at_once() -> None:
    said = told("a b c " * 200_000 + "！" + "a b c " * 100_000 + "？")
    assert said.startswith("'…")
    assert "(U+FF01 ！" in said and len(said) < 300


def test_the_sign_for_what_is_unknown_may_be_unknown_itself() -> None:
    assert told("a⁇b") == "'a⁇b' would be 'a ⁇ b' (added: U+0020 space)"
    assert told("a ⁇ b").startswith("'a ⁇ b' would be 'a  ⁇  b' (")


def test_many_characters_are_counted() -> None:
    assert told("αβγδεζη").endswith("(U+03B1 α, U+03B2 β, U+03B3 γ, U+03B4 δ, U+03B5 ε and 2 more)")


def test_bytes_write_what_no_piece_has() -> None:
    tokenizer = train(LINES * 3, 290, byte_fallback=True)
    assert unwritable(["😀，！…½™ʰ", "می\u200cخواهم"], tokenizer) == []


def test_all_are_found_in_order() -> None:
    found = unwritable(["x", "a", "", "y z"], train(LINES, 400, "char"))
    assert [one.number for one in found] == [1, 4]
