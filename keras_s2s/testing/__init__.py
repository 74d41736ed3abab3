"""Conformance checks for pieces of your own, from readers to number formats."""

import keras_s2s.backend  # noqa: F401
from keras_s2s.testing.augmentations import check_augmentation
from keras_s2s.testing.cells import check_cell
from keras_s2s.testing.losses import check_loss
from keras_s2s.testing.mixers import check_mixer
from keras_s2s.testing.number_formats import check_format
from keras_s2s.testing.pieces import check_piece
from keras_s2s.testing.readers import check_reader

__all__ = [
    "check_augmentation",
    "check_cell",
    "check_format",
    "check_loss",
    "check_mixer",
    "check_piece",
    "check_reader",
]
