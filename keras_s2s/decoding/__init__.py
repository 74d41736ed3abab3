"""Step contract, the search, strategies, processors, scorers, and the programs around them."""

import keras_s2s.backend  # noqa: F401
from keras_s2s.decoding.beam import BeamSearch
from keras_s2s.decoding.coverage import Coverage
from keras_s2s.decoding.diverse import DiverseBeamSearch
from keras_s2s.decoding.ensemble import Ensemble
from keras_s2s.decoding.fusion import Fusion
from keras_s2s.decoding.generate import generate
from keras_s2s.decoding.greedy import Greedy
from keras_s2s.decoding.joint import JointCTC
from keras_s2s.decoding.length_penalties import LengthNormalization, LengthPenalty
from keras_s2s.decoding.processors import (
    EndIfNothingElse,
    ForcedPrefix,
    MinimumLength,
    NoPadding,
    NoRepeatNGram,
    NoUnknown,
    RepetitionPenalty,
    Suppress,
)
from keras_s2s.decoding.programs import available, length_limit, make_program, problems
from keras_s2s.decoding.registry import FEATURES, INPUTS, register_feature, register_strategy
from keras_s2s.decoding.sampling import Sampling
from keras_s2s.decoding.score import alignment, token_scores
from keras_s2s.decoding.scoring import Scorer
from keras_s2s.decoding.search import Hypotheses, Processor, Search, Strategy, advance, finish, start
from keras_s2s.decoding.shortlist import Shortlist
from keras_s2s.decoding.step import ModelStep, Step, StepOutput, as_step
from keras_s2s.decoding.steps import StepPrograms, make_steps, step_problems
from keras_s2s.option import OwnOption
from keras_s2s.search_options import Decoding

__all__ = [
    "FEATURES",
    "INPUTS",
    "BeamSearch",
    "Coverage",
    "Decoding",
    "DiverseBeamSearch",
    "EndIfNothingElse",
    "Ensemble",
    "ForcedPrefix",
    "Fusion",
    "Greedy",
    "Hypotheses",
    "JointCTC",
    "LengthNormalization",
    "LengthPenalty",
    "MinimumLength",
    "ModelStep",
    "NoPadding",
    "NoRepeatNGram",
    "NoUnknown",
    "OwnOption",
    "Processor",
    "RepetitionPenalty",
    "Sampling",
    "Scorer",
    "Search",
    "Shortlist",
    "Step",
    "StepOutput",
    "StepPrograms",
    "Strategy",
    "Suppress",
    "advance",
    "alignment",
    "as_step",
    "available",
    "finish",
    "generate",
    "length_limit",
    "make_program",
    "make_steps",
    "problems",
    "register_feature",
    "register_strategy",
    "start",
    "step_problems",
    "token_scores",
]
