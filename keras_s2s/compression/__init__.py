"""Smaller models: a bundle or a checkpoint in, another one out.

A bundle gets graphs in more number formats, measured on dev data.
"""

import keras_s2s.backend  # noqa: F401
from keras_s2s.compression.quantization import CALIBRATIONS, DEFAULTS, Wanted, quantize_bundle
from keras_s2s.compression.report import Variant

__all__ = ["CALIBRATIONS", "DEFAULTS", "Variant", "Wanted", "quantize_bundle"]
