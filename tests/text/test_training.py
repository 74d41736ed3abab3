"""Tokenizers from lines of text, and one clear line where there can be none."""

import unicodedata

import pytest

from keras_s2s.errors import UserError
from keras_s2s.text import train, train_joint

LINES = ["the cat sat on the mat", "the dog sat on the log", "a cat and a dog"] * 5


@pytest.mark.parametrize(("kind", "size"), [("bpe", 30), ("unigram", 20), ("word", 13)])
def test_the_vocabulary_has_the_size_asked_for(kind, size) -> None:
    tokenizer = train(LINES, size, kind=kind)
    assert tokenizer.vocabulary_size == size
    assert tokenizer.decode(tokenizer.encode(LINES)) == LINES


def test_a_character_vocabulary_is_as_large_as_the_corpus_needs() -> None:
    tokenizer = train(["ab", "ba c"], 1000, kind="char")
    assert sorted(tokenizer.pieces(range(4, tokenizer.vocabulary_size))) == ["a", "b", "c", "▁"]


def test_words_of_a_word_model() -> None:
    tokenizer = train(LINES, 13, kind="word")
    assert [tokenizer.pieces(ids) for ids in tokenizer.encode(["the cat"])] == [["▁the", "▁cat"]]


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char"])
def test_the_same_lines_give_the_same_model(kind) -> None:
    assert train(iter(LINES), 20, kind=kind).model == train(LINES, 20, kind=kind).model


def test_normalization_is_part_of_the_model() -> None:
    lines = ["１２ ﬁn 12 fin"] * 3
    nfkc = train(lines, 50, kind="char", normalization="nmt_nfkc")
    assert nfkc.encode(["１２ ﬁn"]) == nfkc.encode(["12 fin"])
    assert nfkc.decode(nfkc.encode(["１２ ﬁn"])) == ["12 fin"]


@pytest.mark.parametrize(("kind", "size"), [("bpe", 100), ("unigram", 56), ("char", 60), ("word", 60)])
def test_by_default_characters_are_written_as_they_are(kind: str, size: int) -> None:
    texts = [
        "你好，世界！",
        "wait… ½ ™ ʰ ﬁ Ⅳ １２",
        "می\u200cخواهم ന\u0d4d\u200d",
        "e\u0301 \u00e9 \u00c5 \u212b",
        "Ein Wort\u00a0mit GROSSEN Buchstaben",
    ]
    tokenizer = train(texts * 3, size, kind=kind)
    assert tokenizer.decode(tokenizer.encode(texts)) == texts


SOURCES = ["Ｈｅｌｌｏ ½ ﬁne, world！", "a\u200bb c…", "<２de> hi"] * 3
TARGETS = ["你好，世界！", "wait…½™ʰ", "می\u200cخواهم ന\u0d4d\u200d GROSS", "one two"] * 3


@pytest.mark.parametrize(("kind", "size"), [("bpe", 95), ("unigram", 56), ("char", 200), ("word", 200)])
def test_a_joint_vocabulary_writes_targets_as_they_are_and_reads_sources_normalized(kind: str, size: int) -> None:
    source, target = train_joint(SOURCES, TARGETS, size, kind, symbols=["<２de>"])
    ids = range(source.vocabulary_size)
    assert source.vocabulary_size == target.vocabulary_size
    assert source.pieces(ids) == target.pieces(ids)
    assert target.decode(target.encode(TARGETS)) == TARGETS
    normalized = ["Hello 1⁄2 fine, world!", "a b c...", "<２de> hi"] * 3
    assert source.decode(source.encode(SOURCES)) == normalized
    assert source.encode(SOURCES) == target.encode(normalized)
    assert not any(3 in row for row in [*source.encode(SOURCES), *target.encode(TARGETS)])


def test_a_joint_vocabulary_of_one_normalization_is_one_model() -> None:
    source, target = train_joint(SOURCES, TARGETS, 200, "char", target_normalization="nmt_nfkc")
    assert source.model == target.model == train([*SOURCES, *TARGETS], 200, "char", "nmt_nfkc").model


@pytest.mark.parametrize("rule", ["nmt_nfkc_cf", "nfd", "nfkc", "identity"])
def test_the_sides_of_a_joint_vocabulary_are_normalized_as_they_are_told(rule: str) -> None:
    source, target = train_joint(["GROẞ café！"], ["Wörter！"], 200, "char", rule, "nmt_nfkc")
    alone = train(["GROẞ café！"], 200, "char", rule)
    assert source.decode(source.encode(["GROẞ café！"])) == alone.decode(alone.encode(["GROẞ café！"]))
    assert target.decode(target.encode(["Wörter！"])) == ["Wörter!"]


def test_a_joint_vocabulary_is_the_same_when_made_again() -> None:
    first, again = (train_joint(iter(SOURCES), iter(TARGETS), 95) for _ in range(2))
    assert [one.model for one in first] == [one.model for one in again]


@pytest.mark.parametrize(("kind", "size"), [("bpe", 340), ("unigram", 310)])
def test_joint_byte_fallback_covers_both_sides(kind: str, size: int) -> None:
    source, target = train_joint(SOURCES, TARGETS, size, kind, byte_fallback=True)
    assert target.decode(target.encode(["日本！"])) == ["日本！"]
    assert source.decode(source.encode(["日本！"])) == ["日本!"]


def test_mistakes_in_a_joint_vocabulary_are_one_line() -> None:
    with pytest.raises(UserError, match=r"^tokenizer: vocabulary_size 4: must be more than the 4 special ids$"):
        train_joint(["a"], ["b"], 4)
    with pytest.raises(UserError, match=r"^tokenizer: symbols: 'a b': expected characters without a space$"):
        train_joint(["a"], ["b"], 50, symbols=["a b"])
    with pytest.raises(UserError, match="the corpus has no text"):
        train_joint(["", " "], [], 50)


def test_character_coverage_leaves_rare_characters_unknown() -> None:
    lines = ["ab" * 500 + "z"]
    assert 3 in train(lines, 50, kind="char", character_coverage=0.99).encode(["z"])[0]
    assert 3 not in train(lines, 50, kind="char").encode(["z"])[0]


@pytest.mark.parametrize("coverage", [0.97, 1.01, float("nan")])
def test_a_character_coverage_that_is_none_is_refused(coverage: float) -> None:
    with pytest.raises(UserError, match=r"character_coverage .*: must be from 0\.98 to 1"):
        train(LINES, 50, character_coverage=coverage)


def test_long_lines_are_learned_from() -> None:
    tokenizer = train(["x" * 10_000, "y"], 50, kind="char")
    assert tokenizer.encode(["xy"]) == tokenizer.encode(["x" + "y"])
    assert 3 not in tokenizer.encode(["xy"])[0]


def test_lone_surrogates_and_nul_in_the_corpus_do_no_harm() -> None:
    tokenizer = train(["a\ud800b\0c", "abc"], 50, kind="char")
    assert tokenizer.decode(tokenizer.encode(["abc"])) == ["abc"]


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char", "word"])
@pytest.mark.parametrize("lines", [[], ["", "  "]])
def test_an_empty_corpus_is_the_users_mistake(kind, lines) -> None:
    with pytest.raises(UserError, match="the corpus has no text"):
        train(lines, 50, kind=kind)


def test_a_vocabulary_too_large_names_the_largest_possible() -> None:
    with pytest.raises(UserError, match=r"vocabulary_size 2000: too large for this corpus; (\d+) at most") as error:
        train(LINES, 2000)
    largest = int(str(error.value).split()[-3])
    assert train(LINES, largest).vocabulary_size == largest


def test_a_vocabulary_too_small_names_the_smallest_possible() -> None:
    with pytest.raises(UserError, match=r"vocabulary_size 8: too small .*; 17 at least"):
        train(LINES, 8)
    assert train(LINES, 17).vocabulary_size == 17


@pytest.mark.parametrize("size", [-1, 0, 4])
def test_a_vocabulary_without_room_for_special_ids_is_refused(size: int) -> None:
    with pytest.raises(UserError, match=f"vocabulary_size {size}: must be more than the 4 special"):
        train(LINES, size)


def test_an_error_in_reading_the_lines_stays_what_it_is() -> None:
    def lines():
        yield "a"
        raise UserError("a.txt: line 2: not UTF-8")

    with pytest.raises(UserError, match="line 2: not UTF-8"):
        train(lines(), 50)


def test_hangul_and_accents_decomposed_by_the_model() -> None:
    tokenizer = train(["한국어 café", "ᆯ지"], 50, kind="char", normalization="nfd")
    for text in ("한국어 café", "가", "é"):
        assert tokenizer.encode([text]) == tokenizer.encode([unicodedata.normalize("NFD", text)])
    [ids] = tokenizer.encode(["국어"])
    assert tokenizer.pieces(ids) == ["ᄀ", "ᅮ", "ᆨ", "ᄋ", "ᅥ"]
    assert tokenizer.decode([ids]) == [unicodedata.normalize("NFD", "국어")]


def test_every_character_is_decomposed_as_unicode_says() -> None:
    characters = [chr(code) for code in range(0x20, 0x30000) if not 0xD800 <= code < 0xE000]
    # What is not changed is not looked at: spaces are SentencePiece's own.
    changed = [c for c in characters if unicodedata.normalize("NFD", c) != c]
    assert len(changed) > 12_000
    tokenizer = train(["a"], 50, kind="char", normalization="nfd")
    normalize = tokenizer._processor.normalize
    assert [normalize(c) for c in changed] == [unicodedata.normalize("NFD", c) for c in changed]


@pytest.mark.parametrize(("kind", "size"), [("bpe", 30), ("unigram", 20)])
def test_byte_fallback_reads_and_writes_everything(kind, size: int) -> None:
    tokenizer = train(LINES, 256 + size, kind=kind, byte_fallback=True)
    texts = ["the 😀 cat", "日本"]
    assert 3 not in [i for ids in tokenizer.encode(texts) for i in ids]
    assert tokenizer.decode(tokenizer.encode(texts)) == texts


def test_symbols_are_pieces_wherever_they_stand() -> None:
    tokenizer = train(LINES, 40, kind="bpe", symbols=["<2de>", "##"])
    [ids] = tokenizer.encode(["<2de> the c##at"])
    assert [piece for piece in tokenizer.pieces(ids) if piece in ("<2de>", "##")] == ["<2de>", "##"]
    assert tokenizer.decode([ids]) == ["<2de> the c##at"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "char", "byte_fallback": True}, "byte_fallback: a char model has none; take kind bpe or unigram"),
        ({"kind": "word", "byte_fallback": True}, "byte_fallback: a word model has none"),
        ({"symbols": ["a b"]}, "symbols: 'a b': expected characters without a space"),
        ({"symbols": [""]}, "symbols: '': expected characters without a space"),
        ({"symbols": ["<a>", "<b>", "<a>"]}, "symbols: <a> stands there twice; take one away"),
        ({"symbols": ["</s>"]}, "symbols: </s>: is a special id; give it another name"),
        ({"kind": "bpe", "byte_fallback": True}, "vocabulary_size 50: too small for the characters of this corpus"),
    ],
)
def test_options_that_do_not_go(options, message: str) -> None:
    with pytest.raises(UserError, match=f"^tokenizer: {message}"):
        train(LINES, 50, **options)
