"""The labels of a teacher are columns beside the ids, and batches read them by their rows."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.data import Batches, Examples, TeacherLabels
from keras_s2s.data.mixtures import Mixture
from keras_s2s.data.ragged import Ragged
from keras_s2s.data.shares import Share
from keras_s2s.labels import TEACHER_IDS, TEACHER_LOG_PROBABILITIES

PAIRS, K = 60, 3


def ragged(rows: list[Any], dtype: str) -> Ragged:
    return Ragged(np.concatenate(rows).astype(dtype), np.cumsum([len(row) for row in rows]))


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Whose teacher's numbers say of which pair, place and rank they are."""
    draw = np.random.default_rng(1)
    lengths = draw.integers(1, 9, PAIRS)
    labels = [[*draw.integers(4, 9, length - 1), 2] for length in lengths]
    sources = [[*draw.integers(4, 9, length), 2] for length in draw.integers(1, 9, PAIRS)]
    ids = [1000 * row + 10 * np.arange(n)[:, None] + np.arange(K) for row, n in enumerate(lengths)]
    teacher = TeacherLabels(ragged(ids, "uint16"), ragged([-(of_row % 1000) / 8 for of_row in ids], "float16"))
    weights = np.arange(1, PAIRS + 1, dtype="float32")  # Of each pair another, so that a row says which it is.
    return Examples(sources, labels, weights, teacher=teacher)


def check_batch(examples: Examples, batch: Any) -> None:
    _, labels, weights = batch
    assert set(labels) == {"logits", TEACHER_IDS, TEACHER_LOG_PROBABILITIES}
    ids, log_probabilities = labels[TEACHER_IDS], labels[TEACHER_LOG_PROBABILITIES]
    assert (ids.dtype, log_probabilities.dtype) == (np.int32, np.float32)
    assert ids.shape == log_probabilities.shape == (*labels["logits"].shape, K)
    for b, row in enumerate(weights.max(axis=1).astype(int) - 1):
        length = len(examples.labels[row])
        assert labels["logits"][b, :length].tolist() == examples.labels[row].tolist()
        assert (ids[b, :length] == 1000 * row + 10 * np.arange(length)[:, None] + np.arange(K)).all()
        assert (log_probabilities[b, :length] == -(ids[b, :length] % 1000) / 8).all()
        assert not ids[b, length:].any() and not log_probabilities[b, length:].any()


@pytest.mark.parametrize(
    "options", [{}, {"twice": True}, {"mixture": Mixture({"a": range(40), "b": range(40, PAIRS)}, [30, 70])}], ids=str
)
def test_each_row_has_its_own(examples: Examples, options: dict[str, Any]) -> None:
    made = Batches(examples, tokens=64, seed=3, **options)
    for step in range(len(made) + 2):
        check_batch(examples, made.at(step))


def test_a_batch_follows_from_its_step(examples: Examples) -> None:
    made = Batches(examples, tokens=64, seed=3)
    steps = list(range(2 * len(made)))
    before = {step: made.at(step) for step in steps}
    for step in reversed(steps):
        again = Batches(examples, tokens=64, seed=3).at(step)
        tf.nest.map_structure(np.testing.assert_array_equal, again, before[step])


def test_shares_of_a_batch_make_the_batch(examples: Examples) -> None:
    made = Batches(examples, tokens=64, seed=3)
    for step in range(len(made)):
        whole, parts = made.at(step), [made.at(step, Share(place, 2)) for place in range(2)]
        for place, part in enumerate(parts[: len(whole[2])]):
            for values, own in zip(tf.nest.flatten(whole), tf.nest.flatten(part), strict=True):
                np.testing.assert_array_equal(own, values[place::2])


def test_the_dataset_has_them_and_says_so(examples: Examples) -> None:
    made = Batches(examples, tokens=64, seed=3)
    dataset = made.dataset(first_step=2)
    _, labels, _ = dataset.element_spec
    assert labels[TEACHER_IDS] == tf.TensorSpec((None, None, K), tf.int32)
    assert labels[TEACHER_LOG_PROBABILITIES] == tf.TensorSpec((None, None, K), tf.float32)
    tf.nest.map_structure(np.testing.assert_array_equal, next(iter(dataset.as_numpy_iterator())), made.at(2))


def test_pairs_that_are_too_long_need_none(examples: Examples) -> None:
    short = examples.costs <= 6
    assert short.any() and not short.all()
    teacher = examples.teacher
    assert teacher is not None
    kept = [
        np.arange(len(row)) < (len(row) if is_short else 0)
        for row, is_short in zip(examples.labels, short, strict=True)
    ]
    some = TeacherLabels(
        ragged([row[some] for row, some in zip(teacher.ids, kept, strict=True)], "uint16"),
        ragged([row[some] for row, some in zip(teacher.log_probabilities, kept, strict=True)], "float16"),
    )
    left = Examples(examples.sources, examples.labels, examples.weights, teacher=some)
    made = Batches(left, tokens=64, seed=3, maximum_length=6)
    assert len(made.kept) == short.sum()
    for step in range(len(made)):
        check_batch(examples, made.at(step))
