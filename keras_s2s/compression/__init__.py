"""Smaller models: a bundle or a checkpoint in, another one out.

A bundle gets graphs in more number formats and a smaller shortlist, measured on dev data. A model loses the pieces that
its training pairs do not use. What a teacher writes becomes a corpus for students.
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
from keras_s2s.compression.trimming import BeforeAndAfter, HeldOut, Recut, Trimmed, TrimReport, trim

__all__ = [
    "CALIBRATIONS",
    "DEFAULTS",
    "BeforeAndAfter",
    "Chosen",
    "HeldOut",
    "Output",
    "Ratios",
    "Recut",
    "Selection",
    "Shortlist",
    "TrimReport",
    "Trimmed",
    "Variant",
    "Wanted",
    "choose",
    "distill",
    "fit_shortlist",
    "quantize_bundle",
    "read_outputs",
    "repeats_itself",
    "trim",
]
