"""Step contract, the search, strategies, scorers, and the loop around them."""

from keras_s2s.decoding.alignment import alignment
from keras_s2s.decoding.beam import BeamSearch
from keras_s2s.decoding.generate import PROGRAMS, generate, length_limit
from keras_s2s.decoding.greedy import Greedy
from keras_s2s.decoding.scoring import LengthPenalty
from keras_s2s.decoding.search import Hypotheses, Search, advance, finish, start
from keras_s2s.decoding.step import StepOutput, initial_state, model_step

__all__ = [
    "PROGRAMS",
    "BeamSearch",
    "Greedy",
    "Hypotheses",
    "LengthPenalty",
    "Search",
    "StepOutput",
    "advance",
    "alignment",
    "finish",
    "generate",
    "initial_state",
    "length_limit",
    "model_step",
    "start",
]
