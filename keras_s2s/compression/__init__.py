"""Smaller models: a bundle or a checkpoint in, another one out.

A bundle gets graphs in more number formats, measured on dev data. What a teacher writes becomes a corpus for students.
"""

import keras_s2s.backend  # noqa: F401
from keras_s2s.compression.quantization import CALIBRATIONS, DEFAULTS, Wanted, quantize_bundle
from keras_s2s.compression.report import Variant
from keras_s2s.compression.shortlists import Shortlist, fit_shortlist
from keras_s2s.compression.teacher_outputs import (
    Chosen,
    Output,
    Ratios,
    Selection,
    choose,
    distill,
    read_outputs,
    repeats_itself,
)

__all__ = [
    "CALIBRATIONS",
    "DEFAULTS",
    "Chosen",
    "Output",
    "Ratios",
    "Selection",
    "Shortlist",
    "Variant",
    "Wanted",
    "choose",
    "distill",
    "fit_shortlist",
    "quantize_bundle",
    "read_outputs",
    "repeats_itself",
]
