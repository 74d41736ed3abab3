"""Prefix beam search, against every alignment and against the same search in plain Python."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.dynamic.ctc_search import prefix_beam_search

RNG = np.random.default_rng(5)
Prefix = tuple[int, ...]


def random_logits(*shape: int, scale: float = 2.0) -> np.ndarray:
    return RNG.normal(scale=scale, size=shape).astype("float32")


def padded(logits: np.ndarray, frames: int) -> np.ndarray:
    frame = np.full((len(logits), frames, logits.shape[2]), -1e9, "float32")
    frame[..., -1] = 0
    return np.concatenate([logits, frame], axis=1)


def plain_search(logits: np.ndarray, size: int) -> list[tuple[Prefix, float]]:
    """A dictionary of prefixes -> the log-probabilities of ending with a label and with a blank.

    Returns those that have an alignment, best first.
    """
    logits = logits.astype("float64")
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    blank = logits.shape[1] - 1
    beam: dict[Prefix, list[float]] = {(): [-np.inf, 0.0]}
    for frame in log_p:
        following: dict[Prefix, list[float]] = defaultdict(lambda: [-np.inf, -np.inf])

        def add(prefix: Prefix, kind: int, score: float, following: dict = following) -> None:
            following[prefix][kind] = np.logaddexp(following[prefix][kind], score)

        for prefix, (label, empty) in beam.items():
            total = np.logaddexp(label, empty)
            add(prefix, 1, total + frame[blank])
            if prefix:
                add(prefix, 0, label + frame[prefix[-1]])
            for token in range(3, blank):
                add((*prefix, token), 0, (empty if prefix and token == prefix[-1] else total) + frame[token])
        ranked = sorted(following.items(), key=lambda item: -np.logaddexp(*item[1]))
        beam = dict(ranked[:size])
    found = [(prefix, float(np.logaddexp(*scores))) for prefix, scores in beam.items()]
    return [result for result in found if result[1] > -np.inf]


def results(outputs: tuple, sentence: int) -> list[tuple[Prefix, float]]:
    tokens, lengths, scores = (np.asarray(output)[sentence] for output in outputs)
    assert all(not row[length:].any() for row, length in zip(tokens, lengths, strict=True))
    return [
        (tuple(map(int, row[:length])), float(score))
        for row, length, score in zip(tokens, lengths, scores, strict=True)
    ]


def check(got: list[tuple[Prefix, float]], expected: list[tuple[Prefix, float]]) -> None:
    assert [prefix for prefix, _ in got] == [prefix for prefix, _ in expected]
    np.testing.assert_allclose([score for _, score in got], [score for _, score in expected], atol=2e-5)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5])
def test_a_beam_that_holds_all_prefixes_finds_every_labelling(labellings: Callable, frames: int) -> None:
    logits = random_logits(6, frames, 6)
    for b, every in enumerate(labellings(sentence, classes=(3, 4)) for sentence in logits):
        outputs = prefix_beam_search(logits[b : b + 1], 70, 70)
        found = results(outputs, 0)
        check(found[: len(every)], sorted(every.items(), key=lambda item: -item[1]))
        assert all(result == ((), -np.inf) for result in found[len(every) :])
        assert len(every) < 70


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 20])
@pytest.mark.parametrize("classes", [5, 6, 12])
def test_a_small_beam_equals_the_plain_search(size: int, classes: int) -> None:
    for scale in (0.5, 2.0):
        logits = random_logits(8, 12, classes, scale=scale)
        outputs = prefix_beam_search(logits, size, size)
        for b in range(8):
            expected = plain_search(logits[b], size)
            check(results(outputs, b)[: len(expected)], expected)


def test_a_prefix_that_left_and_came_back_is_merged() -> None:
    """Close scores and few labels make prefixes leave the beam while longer ones stay."""
    logits = random_logits(64, 25, 6, scale=1.0)
    outputs = prefix_beam_search(logits, 5, 5)
    for b in range(64):
        found = results(outputs, b)
        check(found, plain_search(logits[b], 5))
        assert len({prefix for prefix, _ in found}) == 5


def test_only_the_best_n_are_given() -> None:
    logits = random_logits(3, 6, 7)
    for few, many in zip(prefix_beam_search(logits, 6, 2), prefix_beam_search(logits, 6, 6), strict=True):
        assert few.shape[1] == 2
        np.testing.assert_array_equal(few, many[:, :2])


def test_special_ids_are_never_produced() -> None:
    logits = random_logits(4, 6, 8)
    logits[:, :, :3] += 10
    tokens, lengths, scores = (np.asarray(output) for output in prefix_beam_search(logits, 9, 9))
    made = tokens[np.arange(6) < lengths[..., None]]
    assert made.size > 50
    assert made.min() >= 3
    assert made.max() < 7
    assert np.isfinite(scores).all()


def test_sentences_are_independent_of_padding_and_of_each_other() -> None:
    logits = random_logits(6, 8, 7)
    for b, frames in enumerate([8, 1, 5, 2, 7, 3]):
        logits[b : b + 1] = padded(logits[b : b + 1, :frames], 8 - frames)
    together = prefix_beam_search(logits, 4, 4)
    for b, frames in enumerate([8, 1, 5, 2, 7, 3]):
        check(results(together, b), results(prefix_beam_search(logits[b : b + 1, :frames], 4, 4), 0))


def test_it_is_the_same_in_onnx_for_every_size(in_onnx: Callable) -> None:
    number = tf.TensorSpec((), tf.int32)
    run = in_onnx(prefix_beam_search, tf.TensorSpec((None, None, 7)), number, number)
    for batch, frames, size, n_best in [(1, 1, 1, 1), (3, 1, 4, 2), (1, 9, 5, 5), (4, 6, 20, 3), (2, 12, 3, 1)]:
        logits = padded(random_logits(batch, frames, 7), 2)
        got = run(logits, np.array(size, "int32"), np.array(n_best, "int32"))
        expected = prefix_beam_search(logits, size, n_best)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])
        np.testing.assert_allclose(got[2], expected[2], atol=1e-5)
