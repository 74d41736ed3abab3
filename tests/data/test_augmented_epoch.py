"""Batches of sampled texts: all pairs, little padding, the same in whatever order they are asked for."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from keras_s2s.data import Batches, Examples, Pairs, SubwordSampling, augmented_epoch, encode
from keras_s2s.data.augmented_epoch import AugmentedEpoch, _cut_evenly, turns
from keras_s2s.data.plans import Plan
from keras_s2s.errors import UserError
from keras_s2s.text import Tokenizer, train


@pytest.fixture(scope="module")
def words() -> list[str]:
    draw = random.Random(2)
    return ["".join(draw.choices("abcd", k=draw.randint(1, 20))) for _ in range(600)]


@pytest.fixture(scope="module")
def pieces(words: list[str]) -> Tokenizer:
    return train(words, 60, kind="bpe")


@pytest.fixture(scope="module")
def examples(words: list[str], pieces: Tokenizer) -> Examples:
    return encode(Pairs(words, words), pieces, pieces)


def padding(batches: list[Examples]) -> float:
    padded = sum(len(batch.labels) * int(batch.label_lengths.max()) for batch in batches)
    return 1 - sum(int(batch.label_lengths.sum()) for batch in batches) / padded


def test_an_epoch_has_every_pair_once(examples: Examples, words: list[str], pieces: Tokenizer) -> None:
    made = Batches(examples, tokens=128, augmentations=[SubwordSampling(rate=0.3)])
    of_epochs = [[made.at(step) for step in made.steps_of(epoch)] for epoch in (0, 1)]
    for batches in of_epochs:
        assert len(batches) == len(made)
        texts = [text for _, labels, _ in batches for text in pieces.decode(labels.tolist())]
        assert sorted(texts) == sorted(words)
    first, second = ({tuple(row) for _, labels, _ in batches for row in labels.tolist()} for batches in of_epochs)
    assert first != second


def test_lengths_in_a_batch_are_those_of_what_was_drawn(examples: Examples) -> None:
    rows = np.argsort(examples.length_keys(), kind="stable")
    alone = [examples.take(part).sampled(0.3, (1, n)) for n, part in enumerate(np.array_split(rows, 40))]
    plan = Plan(rows, np.cumsum([len(part) for part in np.array_split(rows, 40)]), np.arange(40))
    epoch = AugmentedEpoch(examples, plan, [SubwordSampling(rate=0.3)], (1, 0), None)
    together = [epoch.at(number) for number in range(40)]
    assert padding(together) < 0.5 * padding(alone)


def test_a_batch_is_the_same_whichever_was_asked_for_before(examples: Examples) -> None:
    made, again = (Batches(examples, tokens=128, augmentations=[SubwordSampling(rate=0.3)]) for _ in range(2))
    steps = [*range(2 * len(made))]
    backwards = {step: again.at(step)[1] for step in reversed(steps)}
    assert all(np.array_equal(made.at(step)[1], backwards[step]) for step in steps)


def test_both_rows_of_a_pair_have_the_same_pieces(examples: Examples) -> None:
    inputs, labels, _ = Batches(examples, tokens=256, augmentations=[SubwordSampling(rate=0.3)], twice=True).at(0)
    assert np.array_equal(labels[::2], labels[1::2])
    assert np.array_equal(inputs["source_ids"][::2], inputs["source_ids"][1::2])


def test_a_batch_has_no_more_sentences_than_it_may(examples: Examples) -> None:
    made = Batches(examples, sentences=7, augmentations=[SubwordSampling(rate=0.3)])
    sizes = [len(made.at(step)[1]) for step in made.steps_of(0)]
    assert max(sizes) == 7 and sum(sizes) == len(examples.labels)


@pytest.mark.parametrize("longest", [None, 3])
def test_rows_are_cut_evenly(longest: int | None) -> None:
    for costs in itertools.product((1, 2, 9), repeat=6):
        for number in range(2, 7):
            runs = _cut_evenly(np.array(costs), number, longest)
            assert [start for start, _ in runs] == [0, *(end for _, end in runs[:-1])]
            assert runs[-1][1] == 6 and len(runs) == number
            assert all(1 <= end - start <= (longest or 6) for start, end in runs)
    assert _cut_evenly(np.array([1, 1, 1, 1, 2, 2, 4]), 3, None) == [(0, 4), (4, 6), (6, 7)]


def test_turns_count_how_often_a_row_came_before() -> None:
    rows = np.random.default_rng(2).integers(0, 100_000, 300_000)
    seen: dict[int, int] = {}
    expected = []
    for row in rows.tolist():
        expected.append(seen.get(row, 0))
        seen[row] = expected[-1] + 1
    assert turns(rows.astype(np.uint32)).tolist() == expected


def test_batches_are_the_same_from_a_file_and_its_folder_may_be_full(
    examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Batches(examples, tokens=128, augmentations=[SubwordSampling(rate=0.3)])
    expected = [made.at(step)[1] for step in made.steps_of(0)]
    monkeypatch.setattr(augmented_epoch, "_IN_MEMORY", 1000)
    again = Batches(examples, tokens=128, augmentations=[SubwordSampling(rate=0.3)])
    assert all(np.array_equal(again.at(step)[1], batch) for step, batch in enumerate(expected))
    full = again._augmented(1)
    with Path("/dev/full").open("r+b", buffering=0) as device:
        monkeypatch.setattr(full, "_made", device)
        with pytest.raises(UserError, match=r"^augmentations: .*: No space left on device; .* so far 0 bytes; make"):
            full.at(0)
