"""Text in, hypotheses out: a bundle's graphs under onnxruntime, without TensorFlow."""

from keras_s2s.runtime.generator import Generator, Hypothesis

__all__ = ["Generator", "Hypothesis"]
