"""Text to ids and back, hostile text included."""

import io
import subprocess
import sys

import pytest
from sentencepiece import SentencePieceTrainer

from keras_s2s.errors import UserError
from keras_s2s.text import Tokenizer, train

LINES = ["the cat sat on the mat", "the dog sat on the log", "a cat and a dog"] * 5


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Characters, so that ids are known: one a character."""
    return train(LINES, 100, kind="char")


def test_decoding_gives_the_text_back(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode(LINES)) == LINES


def test_ids_have_neither_bos_nor_eos(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.encode(["the cat"])
    assert len(ids) == len("the cat")
    assert tokenizer.pieces(ids) == ["t", "h", "e", "▁", "c", "a", "t"]


def test_the_first_four_ids_are_special(tokenizer: Tokenizer) -> None:
    assert tokenizer.pieces([0, 1, 2, 3]) == ["<pad>", "<s>", "</s>", "<unk>"]


def test_no_texts_and_empty_texts_give_no_ids(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode([]) == []
    assert tokenizer.encode(["", "   "]) == [[], []]
    assert tokenizer.decode([[], [0, 1, 2]]) == ["", ""]


def test_padding_bos_and_eos_say_nothing_wherever_they_stand(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.encode(["a cat"])
    assert tokenizer.decode([[1, *ids[:2], 0, 2, *ids[2:], 2, 0, 0]]) == ["a cat"]


def test_an_unknown_character_is_said_to_be_unknown(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.encode(["cat 😀"])
    assert ids[-1] == 3
    assert tokenizer.decode([ids]) == ["cat  ⁇ "]


def test_an_id_outside_the_vocabulary_is_an_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(IndexError):
        tokenizer.decode([[tokenizer.vocabulary_size]])


def test_what_follows_a_nul_is_kept(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.encode(["cat\0dog"])
    assert tokenizer.pieces(ids[:3] + ids[4:]) == list("catdog")
    assert ids[3] == 3


@pytest.mark.parametrize("surrogate", ["\ud800", "\udfff", "\udc80"])
def test_a_lone_surrogate_is_read_as_the_replacement_character(surrogate: str) -> None:
    tokenizer = train(["cat \ufffd dog"], 100, kind="char", normalization="identity")
    assert tokenizer.encode([f"cat {surrogate} dog"]) == tokenizer.encode(["cat \ufffd dog"])
    assert tokenizer.decode(tokenizer.encode([f"cat {surrogate} dog"])) == ["cat \ufffd dog"]


def test_save_and_load(tokenizer: Tokenizer, tmp_path) -> None:
    tokenizer.save(tmp_path / "a.model")
    loaded = Tokenizer.load(tmp_path / "a.model")
    assert loaded.model == tokenizer.model == (tmp_path / "a.model").read_bytes()
    assert loaded.vocabulary_size == tokenizer.vocabulary_size
    assert loaded.encode(LINES) == tokenizer.encode(LINES)


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_corrupt_model_is_the_users_mistake(tokenizer: Tokenizer, tmp_path, length: int) -> None:
    path = tmp_path / "a.model"
    path.write_bytes(tokenizer.model[:length])
    with pytest.raises(UserError, match=r"a\.model: not a SentencePiece model"):
        Tokenizer.load(path)


def test_a_missing_model_is_the_users_mistake(tmp_path) -> None:
    with pytest.raises(UserError, match=r"b\.model: cannot be read: No such file"):
        Tokenizer.load(tmp_path / "b.model")


def test_a_model_with_other_special_ids_is_refused() -> None:
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=model, vocab_size=25, model_type="bpe", minloglevel=2
    )
    with pytest.raises(UserError, match=r"\(-1, 1, 2, 0\); expected \(0, 1, 2, 3\)"):
        Tokenizer(model.getvalue())


def test_the_package_does_not_import_tensorflow() -> None:
    code = "import sys, keras_s2s.text; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


KINDS = {
    "bpe": (train, {"kind": "bpe", "vocabulary_size": 40}),
    "unigram": (train, {"kind": "unigram", "vocabulary_size": 20}),
    "char": (train, {"kind": "char", "vocabulary_size": 40}),
    "word": (train, {"kind": "word", "vocabulary_size": 40}),
    "bytes": (train, {"kind": "bpe", "vocabulary_size": 300, "byte_fallback": True}),
}
TEXTS = ["the cat", "  the  cat ", "THE cat", "cat 😀😀 dog", "１２ ﬁne½ cat", "a▁b", "cat\0dog", "cät x", ""]


@pytest.fixture(scope="module", params=KINDS)
def any_kind(request: pytest.FixtureRequest) -> Tokenizer:
    make, options = KINDS[request.param]
    return make(LINES, **options)


def test_spans_cover_a_text_piece_by_piece(any_kind: Tokenizer) -> None:
    for text in TEXTS:
        spans = any_kind.spans(text)
        assert len(spans) == len(any_kind.encode([text])[0])
        assert spans == sorted(spans)
        covered = "".join(text[begin:end] for begin, end in dict.fromkeys(spans))
        assert covered.replace(" ", "") == text.replace(" ", "")


def test_spans_are_those_of_the_text_as_it_was_written() -> None:
    tokenizer = train(["fine cats", "the 2 cats"] * 5, 30, kind="char", normalization="nmt_nfkc")
    text = " the  ２ ﬁne"
    parts = [text[begin:end] for begin, end in tokenizer.spans(text)]
    # The ligature's f has no place of its own.
    assert parts == ["t", "h", "e", "  ", "２", " ", "", "ﬁ", "n", "e"]
    of_bytes = train(["the cats"] * 5, 275, kind="bpe", byte_fallback=True)
    parts = ["é 😀"[begin:end] for begin, end in of_bytes.spans("é 😀")]
    assert parts == ["", "é", "é", " ", *"😀" * 4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("the cat", None),
        ("the Cat", "C"),
        ("the cat 😀", "😀"),
        ("the ｃat", "ｃ"),
        (" the", " "),
        ("the ", " "),
        ("the  cat", " "),
        ("the\tcat", "\t"),
        ("the\u00a0cat", "\u00a0"),
        ("the\n", "\n"),
        ("the▁cat", "▁"),
        ("the\0", "\0"),
        ("cat \ud800", "\ud800"),
        (" ⁇ ", "⁇"),
    ],
)
def test_what_an_output_cannot_have_as_it_stands(tokenizer: Tokenizer, text: str, expected: str | None) -> None:
    assert tokenizer.first_unwritable(text) == expected


def test_of_a_model_of_words_it_is_a_word() -> None:
    tokenizer = train(LINES, 40, kind="word")
    assert tokenizer.has_words
    assert tokenizer.first_unwritable("the cat") is None
    assert tokenizer.first_unwritable("the Cat sat") == "Cat"
    assert tokenizer.first_unwritable("ca") == "ca"


def test_bytes_write_whatever_the_normalization_leaves() -> None:
    tokenizer = train(LINES, 300, kind="bpe", byte_fallback=True, normalization="nmt_nfkc")
    assert tokenizer.first_unwritable("THE cät 😀\0") is None
    assert tokenizer.first_unwritable("２") == "２"
    assert train(LINES, 300, kind="bpe", byte_fallback=True).first_unwritable("２ ﬁ\t") is None


def test_pieces_that_begin_a_word(any_kind: Tokenizer) -> None:
    pieces = any_kind.pieces(range(any_kind.vocabulary_size))
    begins = any_kind.begins_word.tolist()
    assert [piece for piece, begin in zip(pieces, begins, strict=True) if begin] == [
        piece for piece in pieces if piece[0] == "▁" or (any_kind.has_words and piece == "<unk>")
    ]
    assert any(begins) and not any(begins[:3])


def test_texts_around_unknown_ids(tokenizer: Tokenizer) -> None:
    [(the, *_)] = tokenizer.encode(["t"])
    [(space_and_cat)] = [tokenizer.encode(["a cat"])[0][1:]]
    assert tokenizer.around_unknown([1, the, 3, 3, *space_and_cat, 2, 0]) == ["t", "", " cat"]
    assert tokenizer.around_unknown([3]) == ["", ""]
    assert tokenizer.around_unknown([the]) == ["t"]
