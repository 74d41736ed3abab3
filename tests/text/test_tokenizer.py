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
