"""Smaller models: a bundle or a checkpoint in, another one out.

A bundle gets graphs in more number formats, measured on dev data. A model of Transformer blocks loses heads,
feed-forward units and whole blocks.
"""

import keras_s2s.backend  # noqa: F401
from keras_s2s.compression.importance import Place, Scores, by_gradient, by_norm
from keras_s2s.compression.kept import Kept, KeptBlock
from keras_s2s.compression.quantization import CALIBRATIONS, DEFAULTS, Wanted, quantize_bundle
from keras_s2s.compression.ranking import budget_of, most_important
from keras_s2s.compression.report import Variant
from keras_s2s.compression.surgery import prune

__all__ = [
    "CALIBRATIONS",
    "DEFAULTS",
    "Kept",
    "KeptBlock",
    "Place",
    "Scores",
    "Variant",
    "Wanted",
    "budget_of",
    "by_gradient",
    "by_norm",
    "most_important",
    "prune",
    "quantize_bundle",
]
