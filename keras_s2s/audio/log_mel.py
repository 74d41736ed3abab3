"""Log-mel features of a waveform."""

import math
from typing import Any

import numpy as np
from keras import ops
from pydantic import Field, PositiveFloat, PositiveInt

from keras_s2s.config import Config
from keras_s2s.errors import UserError

_FLOOR = 1e-10


class LogMel(Config):
    """Which log-mel features are made, see `log_mel`.

    Args:
        sample_rate: of the recordings, in Hz.
        window: length of a frame, in seconds.
        hop: from one frame to the next, in seconds.
        bins: F, the number of mel filters.
    """

    sample_rate: PositiveInt = 16000
    window: PositiveFloat = 0.025
    hop: PositiveFloat = 0.01
    bins: PositiveInt = Field(default=80, le=256)

    @property
    def window_samples(self) -> int:
        """L, samples of a frame."""
        return round(self.window * self.sample_rate)

    @property
    def hop_samples(self) -> int:
        """Samples from one frame to the next."""
        return round(self.hop * self.sample_rate)

    def frames(self, samples: int) -> int:
        """S of a waveform of so many samples; a shorter one than a frame is padded to one frame."""
        return 1 + max(0, samples - self.window_samples) // self.hop_samples

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """Makes the features (S, F) float32 of one recording (N,).

        Raises:
            UserError: it was recorded at another rate.
        """
        if rate != self.sample_rate:
            raise UserError(f"recorded at {rate} Hz, but sample_rate is {self.sample_rate}; resample it or change this")
        return ops.convert_to_numpy(log_mel(samples[None], self))[0]


def log_mel(waveform: Any, config: LogMel) -> Any:
    r"""Makes log-mel features.

    Frame s begins at sample s h; with the window `w[n] = 0.5 - 0.5 cos(2 pi n / L)` (Hann), N the power of two from L
    on, and triangular filters B on the mel scale `m(f) = 2595 log10(1 + f / 700)` from 0 Hz to half the rate:

        P[s, k] = |sum_n w[n] x[s h + n] exp(-2 pi i k n / N)|^2,  n < L,  k <= N / 2
        features[s, f] = log max(sum_k B[k, f] P[s, k], 1e-10)

    The sum over n is a convolution of stride h with 2 (N / 2 + 1) kernels, so it is one operator in every graph.

    Args:
        waveform: (B, N) float, padded with zeros.
        config: L, h, F.

    Returns:
        (B, S, F) float32. Of a padded waveform the first `config.frames(samples)` frames are real.
    """
    x = ops.cast(waveform, "float32")
    missing = ops.maximum(0, config.window_samples - ops.shape(x)[1])
    x = ops.pad(x, [[0, 0], [0, missing]])[..., None]  # (B, N, 1)
    real_and_imaginary = ops.conv(x, _kernels(config), strides=config.hop_samples, padding="valid")  # (B, S, 2K)
    real, imaginary = ops.split(real_and_imaginary, 2, axis=-1)
    power = ops.square(real) + ops.square(imaginary)  # (B, S, K)
    return ops.log(ops.maximum(ops.matmul(power, _filters(config)), _FLOOR))


def _fft_length(config: LogMel) -> int:
    return 1 << (config.window_samples - 1).bit_length()


def _kernels(config: LogMel) -> np.ndarray:
    """(L, 1, 2K) float32: the window times cosine and sine of each frequency."""
    length, size = config.window_samples, _fft_length(config)
    n = np.arange(length)
    angles = 2 * np.pi * np.outer(n, np.arange(size // 2 + 1)) / size
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / length)
    kernels = window[:, None] * np.concatenate([np.cos(angles), -np.sin(angles)], axis=1)
    return kernels[:, None, :].astype(np.float32)


def _filters(config: LogMel) -> np.ndarray:
    """B (K, F) float32: filter f rises from edge f to f + 1 and falls to f + 2; F + 2 edges lie evenly in mel."""
    nyquist = config.sample_rate / 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * math.log10(1 + nyquist / 700), config.bins + 2) / 2595) - 1)
    frequencies = np.linspace(0, nyquist, _fft_length(config) // 2 + 1)[:, None]  # (K, 1)
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
