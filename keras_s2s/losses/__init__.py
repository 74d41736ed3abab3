"""Losses, one small file each."""

from keras_s2s.losses.cross_entropy import CrossEntropy

__all__ = ["CrossEntropy"]
