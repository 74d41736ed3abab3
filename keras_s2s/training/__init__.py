"""Training: config, callbacks, and the run that ties them to `fit`."""

from keras_s2s.training.callbacks import DecodedMetrics, DevPerplexity
from keras_s2s.training.config import TrainingConfig
from keras_s2s.training.train import CHECKPOINT, load, train

__all__ = ["CHECKPOINT", "DecodedMetrics", "DevPerplexity", "TrainingConfig", "load", "train"]
