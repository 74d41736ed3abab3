"""Smaller models: a bundle or a checkpoint in, another one out.

A bundle gets graphs in more number formats, measured on dev data. A model loses the pieces that its training pairs do
not use.
"""

import keras_s2s.backend  # noqa: F401
from keras_s2s.compression.quantization import CALIBRATIONS, DEFAULTS, Wanted, quantize_bundle
from keras_s2s.compression.report import Variant
from keras_s2s.compression.trimming import BeforeAndAfter, HeldOut, Recut, Trimmed, TrimReport, trim

__all__ = [
    "CALIBRATIONS",
    "DEFAULTS",
    "BeforeAndAfter",
    "HeldOut",
    "Recut",
    "TrimReport",
    "Trimmed",
    "Variant",
    "Wanted",
    "quantize_bundle",
    "trim",
]
