"""Probabilities of growing prefixes, against every alignment."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_s2s.dynamic import ctc_prefix

RNG = np.random.default_rng(7)
CLASSES = 5  # 0, BOS, EOS, the one label 3, and the blank
BOS, EOS, BLANK = 1, 2, 4


def random_log_p(*shape: int) -> np.ndarray:
    logits = RNG.normal(scale=2, size=shape).astype("float32")
    return np.array(ops.log_softmax(logits, axis=-1))


def padded(log_p: np.ndarray, frames: int) -> np.ndarray:
    frame = np.full((len(log_p), frames, log_p.shape[2]), -1e9, "float32")
    frame[..., -1] = 0
    return np.concatenate([log_p, frame], axis=1)


def forward_of(log_p: np.ndarray, prefixes: np.ndarray) -> tuple[tf.Tensor, np.ndarray]:
    """The `forward` of prefixes (R, P) of the same length and their last tokens, R = B·K."""
    rows = len(prefixes)
    forward = np.repeat(ctc_prefix.start(log_p), rows // len(log_p), axis=0)
    last = np.full(rows, BOS, "int32")
    for token in prefixes.T:
        forward = ctc_prefix.extend(log_p, forward, last, token)
        last = token
    return forward, last


def brute_extensions(every: dict[tuple[int, ...], float], prefix: tuple[int, ...]) -> np.ndarray:
    """log p(prefix + v, whatever follows) for each v, and of the prefix alone at EOS."""
    result = np.full(CLASSES, -np.inf)
    for labels, score in every.items():
        if labels[: len(prefix)] == prefix and len(labels) > len(prefix):
            result[labels[len(prefix)]] = np.logaddexp(result[labels[len(prefix)]], score)
    result[EOS] = every.get(prefix, -np.inf)
    return result


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_extensions_are_sums_over_all_longer_labellings(labellings: Callable, frames: int, length: int) -> None:
    log_p = random_log_p(2, frames, CLASSES)
    # No token may stand in for EOS.
    prefixes = np.array(list(itertools.product((0, 3), repeat=length)), "int32").reshape(2**length, length)
    forward, last = forward_of(log_p, np.tile(prefixes, (2, 1)))
    got = np.asarray(ctc_prefix.extensions(log_p, forward, last)).reshape(2, len(prefixes), CLASSES)
    for b in range(2):
        every = labellings(log_p[b])
        for row, prefix in zip(got[b], prefixes, strict=True):
            expected = brute_extensions(every, tuple(map(int, prefix)))
            possible = np.isfinite(expected)
            np.testing.assert_allclose(row[possible], expected[possible], atol=1e-5)
            assert (row[~possible] < -80).all()
            assert row[BLANK] < -1e8


def test_forward_is_every_frame_of_the_prefix(labellings: Callable) -> None:
    log_p = random_log_p(1, 5, CLASSES)
    for prefix in [(), (3,), (3, 3), (3, 0), (0, 3, 0)]:
        forward, _ = forward_of(log_p, np.array([prefix], "int32").reshape(1, -1))
        total = np.logaddexp.reduce(np.asarray(forward, "float64")[0], axis=1)
        for s in range(5):
            expected = labellings(log_p[0, : s + 1]).get(prefix, -np.inf)
            if np.isfinite(expected):
                assert total[s] == pytest.approx(expected, abs=1e-5)
            else:
                assert total[s] < -1e8


def test_the_continuations_of_a_prefix_sum_to_it() -> None:
    logits = RNG.normal(size=(3, 30, 12)).astype("float32")
    logits[:, :, EOS] = -1e9
    log_p = np.asarray(ops.log_softmax(logits))
    tokens = RNG.integers(3, 11, size=(6, 5)).astype("int32")
    forward, last = np.repeat(ctc_prefix.start(log_p), 2, axis=0), np.full(6, BOS, "int32")
    expected = np.zeros(6)
    for token in tokens.T:
        following = np.asarray(ctc_prefix.extensions(log_p, forward, last))
        np.testing.assert_allclose(np.logaddexp.reduce(following, axis=1), expected, atol=1e-4)
        expected = following[np.arange(6), token]
        forward, last = ctc_prefix.extend(log_p, forward, last, token), token


def test_padded_frames_and_batch_mates_change_nothing() -> None:
    log_p = random_log_p(3, 7, 9)
    for b, frames in enumerate([7, 2, 4]):
        log_p[b : b + 1] = padded(log_p[b : b + 1, :frames], 7 - frames)
    prefixes = RNG.integers(3, 8, size=(12, 2)).astype("int32")
    together = np.asarray(ctc_prefix.extensions(log_p, *forward_of(log_p, prefixes)))
    for b, frames in enumerate([7, 2, 4]):
        own = log_p[b : b + 1, :frames]
        for row in range(4 * b, 4 * b + 4):
            alone = np.asarray(ctc_prefix.extensions(own, *forward_of(own, prefixes[row : row + 1])))[0]
            likely = alone > -1e8
            np.testing.assert_allclose(together[row][likely], alone[likely], atol=1e-5)
            assert (together[row][~likely] < -1e8).all()


def test_a_prefix_longer_than_the_frames_stays_finite() -> None:
    log_p = padded(random_log_p(1, 2, 6), 2)
    forward, last = forward_of(log_p, np.array([[3, 4, 3, 4, 0, 2, 2]], "int32"))
    assert np.isfinite(forward).all()
    following = np.asarray(ctc_prefix.extensions(log_p, forward, last))
    assert np.isfinite(following).all()
    assert (following < -1e8).all()


def test_it_is_the_same_in_onnx(in_onnx: Callable) -> None:
    def both(log_p: tf.Tensor, forward: tf.Tensor, last: tf.Tensor, token: tf.Tensor) -> tuple[tf.Tensor, ...]:
        longer = ctc_prefix.extend(log_p, forward, last, token)
        return ctc_prefix.start(log_p), longer, ctc_prefix.extensions(log_p, longer, token)

    ids = tf.TensorSpec((None,), tf.int32)
    run = in_onnx(both, tf.TensorSpec((None, None, 7)), tf.TensorSpec((None, None, 2)), ids, ids)
    for batch, frames, rows in [(1, 1, 1), (1, 1, 3), (2, 5, 4), (3, 16, 1), (2, 9, 2)]:
        log_p = padded(random_log_p(batch, frames, 7), 1)
        prefixes = RNG.integers(3, 6, size=(batch * rows, 1)).astype("int32")
        forward, last = forward_of(log_p, prefixes)
        token = RNG.integers(3, 6, size=batch * rows).astype("int32")
        for got, expected in zip(run(log_p, forward, last, token), both(log_p, forward, last, token), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-5)
