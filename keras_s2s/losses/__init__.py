"""Losses, one small file each."""

from keras_s2s.losses.crf import CRF
from keras_s2s.losses.cross_entropy import CrossEntropy
from keras_s2s.losses.ctc import CTC

__all__ = ["CRF", "CTC", "CrossEntropy"]
