"""Smaller models: a bundle or a checkpoint in, another one out.

A bundle gets graphs in more number formats and a smaller shortlist, measured on dev data. A model loses the pieces that
its training pairs do not use, or heads, feed-forward units and whole blocks. What a teacher writes becomes a corpus for
students.
"""

import keras_s2s.backend  # noqa: F401
from keras_s2s.compression.dev_loss import mean_dev_loss
from keras_s2s.compression.importance import Place, Scores, by_gradient, by_norm
from keras_s2s.compression.kept import Kept, KeptBlock
from keras_s2s.compression.quantization import CALIBRATIONS, DEFAULTS, Wanted, quantize_bundle
from keras_s2s.compression.ranking import budget_of, check_blocks, most_important, share_for, without_blocks
from keras_s2s.compression.report import Variant
from keras_s2s.compression.shortlists import Shortlist, fit_shortlist
from keras_s2s.compression.surgery import prune
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
    "Kept",
    "KeptBlock",
    "Output",
    "Place",
    "Ratios",
    "Recut",
    "Scores",
    "Selection",
    "Shortlist",
    "TrimReport",
    "Trimmed",
    "Variant",
    "Wanted",
    "budget_of",
    "by_gradient",
    "by_norm",
    "check_blocks",
    "choose",
    "distill",
    "fit_shortlist",
    "mean_dev_loss",
    "most_important",
    "prune",
    "quantize_bundle",
    "read_outputs",
    "repeats_itself",
    "share_for",
    "trim",
    "without_blocks",
]
