"""Waveforms to features."""

import keras_s2s.backend  # noqa: F401
from keras_s2s.audio.log_mel import LogMel, log_mel

__all__ = ["LogMel", "log_mel"]
