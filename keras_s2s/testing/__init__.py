"""Checks that a piece of your own keeps its contract, for use in your tests."""

import keras_s2s.backend  # noqa: F401
