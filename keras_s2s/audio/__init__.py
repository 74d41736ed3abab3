"""Waveforms to features."""

from keras_s2s.audio.log_mel import LogMel, log_mel

__all__ = ["LogMel", "log_mel"]
