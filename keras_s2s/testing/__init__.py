"""Conformance checks for pieces of your own: readers, augmentations, losses, cells, mixers and number formats."""

import keras_s2s.backend  # noqa: F401
