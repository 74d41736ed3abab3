"""CTC probabilities and the best alignment, against every alignment."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.dynamic.ctc import greedy, log_probability

RNG = np.random.default_rng(3)
BLANK = 5  # labels are 3 and 4


def random_logits(*shape: int) -> np.ndarray:
    return RNG.normal(scale=2, size=(*shape, BLANK + 1)).astype("float32")


def padded_frames(batch: int, frames: int, classes: int = BLANK + 1) -> np.ndarray:
    frame = np.full((batch, frames, classes), -1e9, "float32")
    frame[..., -1] = 0
    return frame


def merged(path: np.ndarray) -> list[int]:
    return [int(c) for before, c in zip([-1, *path], path, strict=False) if c not in (before, BLANK)]


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_log_probability_is_the_sum_over_all_alignments(labellings: Callable, frames: int) -> None:
    logits = random_logits(frames)
    every = labellings(logits, classes=(3, 4))
    width = max(map(len, every)) + 1
    labels = np.array([[*tokens, *[0] * (width - len(tokens))] for tokens in every], "int32")
    got = log_probability(np.repeat(logits[None], len(labels), axis=0), labels)
    np.testing.assert_allclose(got, list(every.values()), atol=1e-5)


def test_end_of_sentence_is_padding() -> None:
    logits = random_logits(3, 6)
    with_end = np.array([[3, 4, 2, 0], [2, 0, 0, 0], [4, 4, 4, 2]], "int32")
    np.testing.assert_array_equal(
        log_probability(logits, with_end), log_probability(logits, np.where(with_end == 2, 0, with_end))
    )


def batch_of_sentences() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, labels and numbers of frames; everything fits."""
    frames = RNG.integers(4, 10, size=8)
    logits = padded_frames(8, 9)
    labels = np.zeros((8, 4), "int32")
    for b, count in enumerate(frames):
        logits[b, :count] = random_logits(count)
        length = RNG.integers(0, count // 2 + 1)
        labels[b, :length] = RNG.integers(3, BLANK, size=length)
    return logits, labels, frames


def test_sentences_are_independent_of_padding_and_of_each_other() -> None:
    logits, labels, frames = batch_of_sentences()
    together = log_probability(logits, labels).numpy()
    for b, count in enumerate(frames):
        length = max(1, np.count_nonzero(labels[b]))
        alone = log_probability(logits[b : b + 1, :count], labels[b : b + 1, :length])
        np.testing.assert_allclose(together[b], alone[0], atol=1e-5)


def test_value_and_gradient_equal_those_of_tensorflow() -> None:
    logits, labels, frames = batch_of_sentences()
    weights = RNG.uniform(0.5, 2, size=8).astype("float32")
    variable = tf.Variable(logits)
    with tf.GradientTape(persistent=True) as tape:
        ours = -log_probability(variable, labels)
        lengths = np.count_nonzero(labels, axis=1)
        theirs = tf.nn.ctc_loss(labels, variable, lengths, frames, logits_time_major=False, blank_index=BLANK)
        ours_total, theirs_total = tf.reduce_sum(ours * weights), tf.reduce_sum(theirs * weights)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    gradient = tape.gradient(ours_total, variable).numpy()
    np.testing.assert_allclose(gradient, tape.gradient(theirs_total, variable), atol=1e-5)
    assert np.abs(gradient).max() > 0.1


def test_gradient_equals_finite_differences() -> None:
    logits, labels, _ = batch_of_sentences()
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(log_probability(variable, labels))
    got = tape.gradient(total, variable).numpy()
    for place in [(0, 0, 3), (1, 2, BLANK), (2, 3, 4), (3, 1, 0)]:
        step = np.zeros_like(logits)
        step[place] = 0.02
        above, below = (float(tf.reduce_sum(log_probability(logits + s, labels))) for s in (step, -step))
        assert got[place] == pytest.approx((above - below) / 0.04, abs=2e-3)


def test_labels_that_do_not_fit_have_a_floor_and_no_gradient() -> None:
    labels = np.array([[3, 4, 3, 4], [3, 3, 0, 0], [3, 4, 0, 0]], "int32")
    logits = tf.Variable(random_logits(3, 2))
    with tf.GradientTape() as tape:
        value = log_probability(logits, labels)
        total = tf.reduce_sum(value)
    gradient = tape.gradient(total, logits).numpy()
    assert np.isfinite(value).all()
    assert (value.numpy()[:2] < -1e8).all()
    assert value.numpy()[2] > -100
    assert not gradient[:2].any()
    assert gradient[2].any()


def test_certain_and_long_inputs_stay_finite() -> None:
    logits = np.zeros((1, 700, BLANK + 1), "float32")
    logits[0, np.arange(700), np.where(np.arange(700) % 2, BLANK, 3)] = 1e4
    variable = tf.Variable(logits)
    labels = np.full((1, 350), 3, "int32")
    with tf.GradientTape() as tape:
        value = log_probability(variable, labels)
    assert float(value[0]) == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(tape.gradient(value, variable), np.zeros_like(logits), atol=1e-5)


def test_it_is_traced_with_any_sizes() -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, None, 6)), tf.TensorSpec((None, None), tf.int32)])
    def both(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = log_probability(logits, labels)
        return value, tape.gradient(value, logits)

    for batch, frames, length in [(1, 1, 1), (2, 5, 3), (5, 3, 2)]:
        logits = random_logits(batch, frames)
        labels = RNG.integers(3, BLANK, size=(batch, length)).astype("int32")
        value, gradient = both(logits, labels)
        np.testing.assert_allclose(value, log_probability(logits, labels), rtol=1e-6)
        np.testing.assert_allclose(np.sum(gradient, axis=2), 0, atol=1e-5)


def test_greedy_merges_repeats_and_drops_blanks() -> None:
    paths = np.array([[3, 3, 5, 3, 4, 4], [5, 5, 5, 5, 5, 5], [3, 4, 3, 4, 3, 4], [5, 4, 5, 5, 4, 5]])
    tokens, lengths, scores = greedy(np.where(np.eye(6)[paths] > 0, 2.0, 0.0).astype("float32"))
    np.testing.assert_array_equal(
        tokens, [[3, 3, 4, 0, 0, 0], [0, 0, 0, 0, 0, 0], [3, 4, 3, 4, 3, 4], [4, 4, 0, 0, 0, 0]]
    )
    np.testing.assert_array_equal(lengths, [3, 0, 6, 2])
    np.testing.assert_allclose(scores, np.full(4, 6 * (2 - np.log(np.exp(2) + 5))), rtol=1e-5)


def test_greedy_never_produces_a_special_id() -> None:
    logits = random_logits(16, 7)
    logits[:, :, :3] += 20
    tokens, lengths, _ = greedy(logits)
    best = logits[:, :, 3:].argmax(axis=2) + 3
    for b in range(16):
        assert list(tokens[b, : lengths[b]].numpy()) == merged(best[b])
        assert not tokens[b, lengths[b] :].numpy().any()


def test_greedy_is_the_same_in_onnx(in_onnx: Callable) -> None:
    run = in_onnx(greedy, tf.TensorSpec((None, None, 6)))
    for batch, frames in [(1, 1), (1, 6), (5, 1), (4, 9)]:
        logits = np.concatenate([random_logits(batch, frames), padded_frames(batch, 2)], axis=1)
        for got, expected in zip(run(logits), greedy(logits), strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5)
