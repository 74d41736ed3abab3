"""The batch contract: shift, token budget, every pair once, seeds."""

import itertools
import logging
import random
from collections import Counter
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.data import Batches, Examples, Pairs, SubwordSampling, batches, encode, mix
from keras_s2s.data.alignments import learn_alignments
from keras_s2s.data.shares import Share
from keras_s2s.errors import UserError
from keras_s2s.labels import LabelSource
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
    assert inputs["source_ids"].numpy().tolist() == [[a, b, 2], [b, 2, 0], [2, 0, 0]]
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


def test_neighbours_in_order_of_length_differ_by_little_on_both_sides() -> None:
    lengths = np.array(list(itertools.product(range(1, 9), repeat=2)))
    examples = Examples([[4] * source for source, _ in lengths], [[4] * target for _, target in lengths])
    in_order = lengths[np.argsort(examples.length_keys())]
    assert np.abs(np.diff(in_order, axis=0)).sum(axis=1).max() == 1
    assert (np.diff(in_order.max(axis=1)) >= 0).all()


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
    with pytest.raises(UserError, match="tokens 2: one pair alone has 3; "):
        batches(Pairs(["ab"], ["a"]), tokenizer, tokenizer, tokens=2)


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


def equal(one: object, other: object) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True))


@pytest.fixture(scope="module")
def examples(tokenizer: Tokenizer, pairs: Pairs) -> Examples:
    return encode(pairs, tokenizer, tokenizer)


@pytest.mark.parametrize("first", [0, 3, 42])
def test_a_dataset_begins_at_any_step(examples: Examples, first: int) -> None:
    made = Batches(examples, tokens=256)
    assert len(made) == 43
    found = list(Batches(examples, tokens=256).dataset(first).take(5))
    for step, batch in enumerate(found, start=first):
        assert equal(batch, made.at(step))
    assert not equal(made.at(first), made.at(first + 1))


def test_every_pair_twice_in_neighbouring_rows(examples: Examples) -> None:
    made = Batches(examples, tokens=256, twice=True)
    rows = 0
    for step in made.steps_of(1):
        inputs, labels, weights = made.at(step)
        for values in (inputs["source_ids"], labels, weights):
            assert np.array_equal(values[::2], values[1::2])
            assert values.size <= 256
        rows += len(labels)
    assert rows == 2 * 500


def test_a_batch_has_at_most_so_many_sentences(examples: Examples) -> None:
    made = Batches(examples, tokens=4096, sentences=7)
    sizes = [len(made.at(step)[1]) for step in made.steps_of(0)]
    assert max(sizes) == 7 and sum(sizes) == 500


def test_the_weights_of_pairs_are_those_of_their_labels(tokenizer: Tokenizer) -> None:
    weighted = encode(Pairs(["a", "b"], ["ab", "b"], [0.5, 2.0]), tokenizer, tokenizer)
    *_, weights = Batches(weighted).at(0)
    assert sorted(map(tuple, weights.tolist())) == [(0.5, 0.5, 0.5), (2.0, 2.0, 0.0)]


def test_features_are_padded_and_have_lengths(tokenizer: Tokenizer) -> None:
    sources = [np.full((length, 2), length, "float32") for length in (3, 1, 2)]
    made = Batches(encode(Pairs(sources, ["a", "b", "ab"]), None, tokenizer))
    inputs, *_ = made.at(0)
    order = np.argsort(inputs["source_lengths"])
    assert inputs["source_lengths"][order].tolist() == [1, 2, 3]
    assert inputs["source_features"][order][..., 0].tolist() == [[1, 0, 0], [2, 2, 0], [3, 3, 3]]
    [(of_dataset, *_)] = made.dataset().take(1)
    assert of_dataset["source_features"].shape == (3, 3, 2)


def test_places_of_attention_have_a_weight_where_they_are_known(tokenizer: Tokenizer) -> None:
    encoded = encode(Pairs(["ab", "b"], ["b", "ab"]), tokenizer, tokenizer)
    aligned = replace(encoded, alignments=[np.array([1, 2]), np.array([-1, 0, 1])])
    _, labels, weights = Batches(aligned, heads=["logits", "attention"]).at(0)
    rows = np.argsort(labels["logits"][:, 2])
    assert labels["attention"][rows].tolist() == [[1, 2, -1], [-1, 0, 1]]
    assert weights["attention"][rows].tolist() == [[1, 1, 0], [0, 1, 1]]


def test_subword_sampling_says_the_same_in_other_pieces() -> None:
    words = ["".join(random.Random(i).choices("abcd", k=8)) for i in range(60)]
    pieces = train(words, 40, kind="bpe")
    encoded = encode(Pairs(words, words), pieces, pieces)
    made = Batches(encoded, augmentations=[SubwordSampling(rate=0.3)])
    sampled = [made.at(step) for step in (0, 1)]
    assert equal(sampled[0], Batches(encoded, augmentations=[SubwordSampling(rate=0.3)]).at(0))
    for inputs, labels, _ in sampled:
        assert sorted(pieces.decode(inputs["source_ids"].tolist())) == sorted(words)
        assert pieces.decode(labels.tolist()) == pieces.decode(inputs["source_ids"].tolist())
    plain = Batches(encoded)
    assert not equal(plain.at(0)[1], sampled[0][1])
    assert np.count_nonzero(sampled[0][1]) > np.count_nonzero(plain.at(0)[1])


def test_subword_sampling_leaves_characters_as_they_are() -> None:
    words = ["".join(random.Random(i).choices("abcd", k=8)) for i in range(60)]
    pieces, characters = train(words, 40, kind="bpe"), train(words, 40, kind="char")
    encoded = encode(Pairs(words, words), characters, pieces)
    inputs, labels, _ = Batches(encoded, augmentations=[SubwordSampling(rate=0.3)]).at(0)
    assert np.count_nonzero(labels) > np.count_nonzero(Batches(encoded).at(0)[1])
    assert pieces.decode(labels.tolist()) == characters.decode(inputs["source_ids"].tolist())
    with pytest.raises(UserError, match=r"^sub-word sampling: no side has sub-words; take a tokenizer of bpe"):
        Batches(encode(Pairs(words, words), characters, characters), augmentations=[SubwordSampling(rate=0.3)]).at(0)


def test_a_mixture_decides_what_is_in_an_epoch(tokenizer: Tokenizer) -> None:
    pairs, mixture = mix({"a": Pairs(["a"] * 30, ["a"] * 30), "b": Pairs(["b"] * 10, ["b"] * 10)}, {"a": 1, "b": 1})
    made = Batches(encode(pairs, tokenizer, tokenizer), tokens=64, mixture=mixture)
    for epoch in range(3):
        texts = [text for step in made.steps_of(epoch) for text in tokenizer.decode(made.at(step)[1].tolist())]
        assert Counter(texts) == {"a": 20, "b": 20}


def test_padding_and_tokens_are_counted(examples: Examples) -> None:
    made = Batches(examples, tokens=256)
    real = padded = 0
    for step in made.steps_of(0):
        inputs, labels, _ = made.at(step)
        ids = np.count_nonzero(inputs["source_ids"]) + np.count_nonzero(labels)
        assert made.tokens_at(step) == ids
        real, padded = real + ids, padded + inputs["source_ids"].size + labels.size
    assert made.padding() == pytest.approx(1 - real / padded)


def split(batches: Batches, step: int, replicas: int) -> None:
    """Shares are rows of the whole batch, each in one of them; where none are left, the first without a weight."""
    whole, seen = batches.at(step), set()
    times = batches.times
    rows = len(keras.tree.flatten(whole)[0])
    for place in range(replicas):
        inputs, labels, weights = batches.at(step, Share(place, replicas))
        own = [row for row in range(rows) if row // times % replicas == place]
        seen.update(own)
        expected = keras.tree.map_structure(lambda values, own=own: values[own or range(times)], whole)
        assert equal((inputs, labels), expected[:2])
        assert equal(weights, expected[2]) if own else not any(map(np.any, keras.tree.flatten(weights)))
    assert seen == set(range(rows))


@pytest.mark.parametrize("replicas", [2, 3])
@pytest.mark.parametrize("case", ["plain", "twice", "features", "attention", "augmented", "labelled"])
def test_a_share_is_the_rows_of_the_whole_batch(
    tokenizer: Tokenizer, pairs: Pairs, examples: Examples, replicas: int, case: str
) -> None:
    some, options = examples, {}
    match case:
        case "twice":
            options = {"twice": True}
        case "features":
            sources = [np.full((len(source) + 1, 2), len(source), "float32") for source in pairs.sources]
            some = encode(Pairs(sources, pairs.targets), None, tokenizer)
        case "attention":
            some = replace(examples, alignments=learn_alignments(examples.sources, examples.labels))
            options = {"heads": ["logits", "attention"]}
        case "augmented":
            words = ["".join(random.Random(i).choices("abcd", k=8)) for i in range(60)]
            pieces = train(words, 40, kind="bpe")
            some, options = encode(Pairs(words, words), pieces, pieces), {"augmentations": [SubwordSampling(rate=0.3)]}
        case "labelled":
            source = LabelSource((None, None), lambda inputs, ids: ids + inputs["source_ids"].sum())
            options = {"labels": {"sum": source}}
    batches = Batches(some, tokens=64, **options)
    sizes = [len(keras.tree.flatten(batches.at(step))[0]) for step in batches.steps_of(0)]
    for step in (int(np.argmin(sizes)), int(np.argmax(sizes))):
        split(batches, step, replicas)


def test_only_the_rows_of_a_share_are_read(examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    read, take = [], Examples.take
    monkeypatch.setattr(Examples, "take", lambda self, rows: read.extend(rows) or take(self, rows))
    batches = Batches(examples, tokens=256)
    batches.at(0, Share(1, 3))
    assert sorted(read) == sorted(batches._rows(0)[1::3])
