"""The batch contract: shift, token budget, every pair once, seeds."""

import logging
import random
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.data import Pairs, batches
from keras_s2s.errors import UserError
from keras_s2s.text import Tokenizer, train


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(["abcdefghij"], 20, kind="char")


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    rng = random.Random(1)

    def text() -> str:
        return "".join(rng.choices("abcdefghij", k=rng.randrange(30)))

    return Pairs([text() for _ in range(500)], [text() for _ in range(500)])


def texts(tokenizer: Tokenizer, dataset: tf.data.Dataset) -> list[list[tuple[str, str]]]:
    """The pairs of each batch."""
    return [
        list(
            zip(
                tokenizer.decode(inputs["source_ids"].numpy().tolist()),
                tokenizer.decode(labels.numpy().tolist()),
                strict=True,
            )
        )
        for inputs, labels, _ in dataset
    ]


def test_a_known_batch(tokenizer: Tokenizer) -> None:
    [[a], [b]] = tokenizer.encode(["a", "b"])
    [(inputs, labels, weights)] = batches(Pairs(["ab", "b", ""], ["b", "", "ba"]), tokenizer, tokenizer, seed=None)
    assert inputs["source_ids"].numpy().tolist() == [[a, b, 2, 0], [b, 2, 0, 0], [2, 0, 0, 0]]
    assert inputs["target_ids"].numpy().tolist() == [[1, b, 0], [1, 0, 0], [1, b, a]]
    assert labels.numpy().tolist() == [[b, 2, 0], [2, 0, 0], [b, a, 2]]
    assert weights.numpy().tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]


def test_shapes_and_types(tokenizer: Tokenizer, pairs: Pairs) -> None:
    ids = tf.TensorSpec((None, None), tf.int32)
    for seed in (None, 1):
        dataset = batches(pairs, tokenizer, tokenizer, tokens=256, seed=seed)
        assert dataset.element_spec == (
            {"source_ids": ids, "target_ids": ids},
            ids,
            tf.TensorSpec((None, None), tf.float32),
        )


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("tokens", [32, 100, 4096])
def test_every_pair_once_an_epoch_within_the_budget(
    tokenizer: Tokenizer, pairs: Pairs, seed: int | None, tokens: int
) -> None:
    dataset = batches(pairs, tokenizer, tokenizer, tokens=tokens, seed=seed)
    for _ in range(2):
        epoch = list(dataset)
        assert len(epoch) == dataset.cardinality()
        for inputs, labels, _weights in epoch:
            (sentences, source), (_, target) = inputs["source_ids"].shape, labels.shape
            assert source % 4 == 0
            assert sentences * max(source, target) <= tokens
        seen = Counter(pair for batch in texts(tokenizer, epoch) for pair in batch)
        assert seen == Counter(zip(pairs.sources, pairs.targets, strict=True))


def test_no_batch_has_room_for_the_next_pair_in_order(tokenizer: Tokenizer) -> None:
    same = Pairs(["abc"] * 10, ["abc"] * 10)
    sizes = [len(batch) for batch in texts(tokenizer, batches(same, tokenizer, tokenizer, tokens=19, seed=1))]
    assert sorted(sizes) == [2, 4, 4]


def test_without_a_seed_the_order_is_the_corpus_order(tokenizer: Tokenizer, pairs: Pairs) -> None:
    dataset = batches(pairs, tokenizer, tokenizer, tokens=100, seed=None)
    for _ in range(2):
        seen = [pair for batch in texts(tokenizer, dataset) for pair in batch]
        assert seen == list(zip(pairs.sources, pairs.targets, strict=True))


def test_without_a_seed_long_pairs_stay(tokenizer: Tokenizer) -> None:
    long = Pairs(["a", "b" * 400, "c"], ["a", "b", "c"])
    dataset = batches(long, tokenizer, tokenizer, tokens=100, seed=None)
    assert texts(tokenizer, dataset) == [[("a", "a")], [("b" * 400, "b")], [("c", "c")]]


def test_the_seed_decides_the_order(tokenizer: Tokenizer, pairs: Pairs) -> None:
    def epochs(seed: int) -> list[list[list[tuple[str, str]]]]:
        dataset = batches(pairs, tokenizer, tokenizer, tokens=256, seed=seed)
        return [texts(tokenizer, dataset) for _ in range(3)]

    first = epochs(1)
    assert first == epochs(1)
    assert first[0] != first[1] != first[2] != first[0]
    assert first[0] != epochs(2)[0]


def test_who_shares_a_batch_changes(tokenizer: Tokenizer) -> None:
    words = [f"{a}{b}" for a in "abcdefghij" for b in "abcdefghij"]
    dataset = batches(Pairs(words, words), tokenizer, tokenizer, tokens=40)
    first, second = ({frozenset(batch) for batch in texts(tokenizer, dataset)} for _ in range(2))
    assert not first & second


def test_little_padding(tokenizer: Tokenizer, pairs: Pairs) -> None:
    many = Pairs(list(pairs.sources) * 20, list(pairs.targets) * 20)
    dataset = batches(many, tokenizer, tokenizer, tokens=1024)
    real = sum(np.count_nonzero(labels) for _, labels, _ in dataset)
    assert real / sum(tf.size(labels).numpy() for _, labels, _ in dataset) > 0.9


def test_overlong_pairs_are_left_out_and_counted(tokenizer: Tokenizer, caplog) -> None:
    # EOS is the fourth id of "abc".
    mixed = Pairs(["abc", "abcd", "a", "b"], ["a", "b", "abcd", "abc"])
    with caplog.at_level(logging.WARNING, "keras_s2s"):
        dataset = batches(mixed, tokenizer, tokenizer, maximum_length=4)
    assert {pair for batch in texts(tokenizer, dataset) for pair in batch} == {("abc", "a"), ("b", "abc")}
    assert caplog.messages == ["2 of 4 pairs left out: more than 4 ids"]


def test_nothing_is_logged_when_nothing_is_left_out(tokenizer: Tokenizer, pairs: Pairs, caplog) -> None:
    batches(pairs, tokenizer, tokenizer)
    assert not caplog.messages


def test_mistakes(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="no pairs; give at least one"):
        batches(Pairs([], []), tokenizer, tokenizer)
    with pytest.raises(UserError, match="maximum_length 2: every pair is longer, at least 3 ids"):
        batches(Pairs(["ab"], ["a"]), tokenizer, tokenizer, maximum_length=2)
    with pytest.raises(UserError, match="tokens 3: one pair alone has 4; "):
        batches(Pairs(["ab"], ["a"]), tokenizer, tokenizer, tokens=3)


def test_fit_takes_it_and_sees_every_batch(tokenizer: Tokenizer, pairs: Pairs) -> None:
    source, target = (keras.Input((None,), name=name, dtype="int32") for name in ("source_ids", "target_ids"))
    hidden = keras.layers.Embedding(20, 4)(target) + keras.ops.mean(
        keras.layers.Embedding(20, 4)(source), 1, keepdims=True
    )
    model = keras.Model({"source_ids": source, "target_ids": target}, keras.layers.Dense(20)(hidden))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    dataset = batches(pairs, tokenizer, tokenizer, tokens=256)
    model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    assert model.optimizer.iterations == 2 * dataset.cardinality()
