"""The tokenizer in the graph says what the tokenizer says."""

import random

import pytest
import tensorflow as tf

from keras_s2s.text import Tokenizer, train, train_joint
from keras_s2s.text.in_graph import GraphTokenizer

LINES = [
    "Ein Mann mit blauem Hut sitzt auf einer Bank.",
    "Zwei Hunde spielen im Schnee, und ein Kind sieht zu!",
    "2013年3月5日 is the 5th of March 2013",
    "пять мартов, 12 345 and a half",
] * 5
HOSTILE = [
    "",
    " ",
    "   ein   Mann  ",
    "\t\n\r\n",
    "ein\nMann",
    "😀",
    "👩‍👩‍👧 ein 😀😀",
    "年月日",
    "한국어 가각힣 ㄱㄴㄷ ᆯ지",
    "１２３４",
    "ﬁn ½ Ⅳ",
    "a\u0301 \u00e1",
    "\u202fnarrow\u00a0spaces\u3000",
    "\u2028\u0085\x0b",
    "▁ein▁",
    "<s> </s> <pad> <unk>",
    "ein\0Mann",
    "\0",
    "\ufffd ein",
    "<2de> Mann, ein<2de>",
    "\u200b\ufeff",
    "x" * 5000,
]


MODELS = {
    "bpe": {"vocabulary_size": 120, "kind": "bpe"},
    "nmt_nfkc": {"vocabulary_size": 120, "kind": "bpe", "normalization": "nmt_nfkc"},
    "char": {"vocabulary_size": 1000, "kind": "char"},
    "nfd": {"vocabulary_size": 1000, "kind": "char", "normalization": "nfd"},
    "bytes and symbols": {"vocabulary_size": 380, "kind": "bpe", "byte_fallback": True, "symbols": ["<2de>", "ein"]},
}


@pytest.fixture(scope="module", params=[*MODELS, "joint source", "joint target"])
def tokenizer(request) -> Tokenizer:
    if request.param.startswith("joint"):
        return train_joint(LINES, [*LINES, "，！…½™ʰ می\u200cخواهم"], 140)[request.param == "joint target"]
    return train([*LINES, "한국어 é"], **MODELS[request.param])


def texts() -> list[str]:
    rng = random.Random(1)
    characters = sorted({character for line in LINES + HOSTILE for character in line})
    mixed = ["".join(rng.choices(characters, k=rng.randrange(40))) for _ in range(300)]
    return [*LINES, *HOSTILE, *mixed]


def rows(ids: tf.Tensor) -> list[list[int]]:
    return [[i for i in row if i != 0] for row in ids.numpy().tolist()]


def test_encoding_equals_the_tokenizers_with_eos(tokenizer: Tokenizer) -> None:
    ids = GraphTokenizer(tokenizer).encode(tf.constant(texts()))
    assert ids.dtype == tf.int32
    assert rows(ids) == [[*row, 2] for row in tokenizer.encode(texts())]


def test_padding_stands_behind_eos(tokenizer: Tokenizer) -> None:
    ids = GraphTokenizer(tokenizer).encode(tf.constant(["ein Mann", ""])).numpy()
    assert ids[1].tolist() == [2] + [0] * (ids.shape[1] - 1)


def test_decoding_equals_the_tokenizers(tokenizer: Tokenizer) -> None:
    rng = random.Random(2)
    ids = [[rng.randrange(tokenizer.vocabulary_size) for _ in range(20)] for _ in range(300)]
    for row in ids[:100]:
        row[rng.randrange(20) :] = [2] + [0] * 19
        del row[20:]
        row += [0] * (20 - len(row))
    decoded = GraphTokenizer(tokenizer).decode(tf.constant(ids, tf.int32)).numpy()
    assert [text.decode() for text in decoded] == tokenizer.decode(ids)


def test_decoding_undoes_encoding(tokenizer: Tokenizer) -> None:
    graph = GraphTokenizer(tokenizer)
    decoded = graph.decode(graph.encode(tf.constant(texts()))).numpy()
    assert [text.decode() for text in decoded] == tokenizer.decode(tokenizer.encode(texts()))


def test_no_texts(tokenizer: Tokenizer) -> None:
    graph = GraphTokenizer(tokenizer)
    assert graph.encode(tf.zeros([0], tf.string)).shape == (0, 0)
    assert graph.decode(tf.zeros([0, 0], tf.int32)).shape == (0,)
    assert graph.decode(tf.zeros([2, 0], tf.int32)).numpy().tolist() == [b"", b""]


def test_it_is_saved_with_a_saved_model(tokenizer: Tokenizer, tmp_path) -> None:
    class Echo(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = GraphTokenizer(tokenizer)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def encode(self, batch):
            return self.tokenizer.encode(batch)

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
        def decode(self, ids):
            return self.tokenizer.decode(ids)

    tf.saved_model.save(Echo(), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    ids = loaded.encode(tf.constant(texts()))
    assert rows(ids) == [[*row, 2] for row in tokenizer.encode(texts())]
    decoded = [text.decode() for text in loaded.decode(ids).numpy()]
    assert decoded == tokenizer.decode(tokenizer.encode(texts()))


@pytest.mark.parametrize(
    "two",
    [[train([letters], 20, kind="char") for letters in ("abc", "xyz")], train_joint(["abc"], ["xyz！"], 20, "char")],
    ids=["alone", "joint"],
)
def test_two_tokenizers_are_saved_with_one_saved_model(two, tmp_path) -> None:
    first, second = two

    class Both(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = GraphTokenizer(first), GraphTokenizer(second)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def encode(self, batch):
            return self.first.encode(batch), self.second.encode(batch)

    tf.saved_model.save(Both(), str(tmp_path))
    both = tf.saved_model.load(str(tmp_path)).encode(tf.constant(["abc！", "zyx！"]))
    for tokenizer, ids in zip((first, second), both, strict=True):
        assert rows(ids) == [[*row, 2] for row in tokenizer.encode(["abc！", "zyx！"])]
