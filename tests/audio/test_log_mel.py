"""Log-mel features against their definition, frame by frame."""

import math

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.audio import LogMel, log_mel
from keras_s2s.errors import UserError

CONFIGS = [LogMel(), LogMel(sample_rate=8000, bins=23), LogMel(sample_rate=8000, window=0.032, hop=0.016, bins=40)]


def slow_log_mel(samples: np.ndarray, config: LogMel) -> np.ndarray:
    length, hop = round(config.window * config.sample_rate), round(config.hop * config.sample_rate)
    size = 2 ** math.ceil(math.log2(length))
    mel = np.linspace(0, 2595 * math.log10(1 + config.sample_rate / 1400), config.bins + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frames = []
    for start in range(0, len(samples) - length + 1, hop):
        window = [0.5 - 0.5 * math.cos(2 * math.pi * n / length) for n in range(length)]
        power = np.abs(np.fft.rfft(samples[start : start + length] * window, size)) ** 2
        frame = []
        for left, centre, right in zip(edges, edges[1:], edges[2:], strict=False):
            total = 0.0
            for k, p in enumerate(power):
                frequency = k * config.sample_rate / size
                total += p * max(0.0, min((frequency - left) / (centre - left), (right - frequency) / (right - centre)))
            frame.append(math.log(max(total, 1e-10)))
        frames.append(frame)
    return np.array(frames)


@pytest.mark.parametrize("config", CONFIGS)
def test_features_are_those_of_the_definition(config: LogMel) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 2000).astype("float32")
    tone = np.sin(np.arange(2000) * 0.3).astype("float32")
    features = np.asarray(log_mel(np.stack([noise, tone]), config))
    assert features.dtype == np.float32
    assert features.shape == (2, config.frames(2000), config.bins)
    # Far from a pure tone there is nothing but the error of float32.
    np.testing.assert_allclose(features[0], slow_log_mel(noise, config), atol=2e-3)
    np.testing.assert_allclose(np.exp(features[1]), np.exp(slow_log_mel(tone, config)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 399, 400, 401, 559, 560, 4000])
def test_the_number_of_frames(samples: int) -> None:
    config = LogMel()
    assert log_mel(np.ones((1, samples), "float32"), config).shape[1] == config.frames(samples)


def test_padding_changes_no_real_frame() -> None:
    config = LogMel(sample_rate=8000)
    samples = np.random.default_rng(2).normal(size=(1, 1000)).astype("float32")
    alone = np.asarray(log_mel(samples, config))
    padded = np.asarray(log_mel(np.pad(samples, [(0, 0), (0, 777)]), config))
    np.testing.assert_allclose(padded[:, : config.frames(1000)], alone, atol=1e-5)


def test_silence_is_finite() -> None:
    assert np.asarray(log_mel(np.zeros((1, 1600), "float32"), LogMel())) == pytest.approx(math.log(1e-10))


def test_it_works_in_a_graph_of_any_length() -> None:
    function = tf.function(lambda x: log_mel(x, LogMel()), input_signature=[tf.TensorSpec((None, None), tf.float32)])
    for samples in (10, 400, 3000):
        waveform = np.random.default_rng(3).normal(size=(2, samples)).astype("float32")
        np.testing.assert_allclose(function(waveform), log_mel(waveform, LogMel()), atol=1e-4)


def test_another_rate_is_refused() -> None:
    assert LogMel(sample_rate=8000)(np.zeros(800, "float32"), 8000).shape == (8, 80)
    with pytest.raises(UserError, match=r"^recorded at 8000 Hz, but sample_rate is 16000; resample it or change this$"):
        LogMel()(np.zeros(800, "float32"), 8000)
