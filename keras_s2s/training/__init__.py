"""Training: config, callbacks, and the run that ties them to `fit`."""

from keras_s2s.training.callbacks import DecodedMetrics
from keras_s2s.training.config import TrainingConfig
from keras_s2s.training.train import CHECKPOINT, load, train

__all__ = ["CHECKPOINT", "DecodedMetrics", "TrainingConfig", "load", "train"]
