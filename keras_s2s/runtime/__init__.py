"""Text in, hypotheses out: a bundle's graphs under onnxruntime, without TensorFlow."""

from keras_s2s.runtime.generator import Generator, Hypothesis
from keras_s2s.runtime.options import Options
from keras_s2s.runtime.providers import PROVIDERS, Provider, check_providers
from keras_s2s.runtime.scoring import Scored, perplexity
from keras_s2s.runtime.steps import Batch, Steps

__all__ = [
    "PROVIDERS",
    "Batch",
    "Generator",
    "Hypothesis",
    "Options",
    "Provider",
    "Scored",
    "Steps",
    "check_providers",
    "perplexity",
]
