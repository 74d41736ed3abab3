"""Training: config, callbacks, and the run that ties them to `fit`."""

import keras_s2s.backend  # noqa: F401
from keras_s2s.training.callbacks import DecodedMetrics, DevPerplexity
from keras_s2s.training.checkpoints import Checkpoints, average
from keras_s2s.training.config import TrainingConfig
from keras_s2s.training.criteria import PERPLEXITY, Criterion
from keras_s2s.training.freezing import freeze
from keras_s2s.training.minutes import Costs, epochs_in, measure
from keras_s2s.training.non_finite import NonFinite
from keras_s2s.training.objective import check, distillation_of, heads_of
from keras_s2s.training.optimizers import OptimizerConfig, averaged_weights, make_optimizer
from keras_s2s.training.teaching import Teaching, as_part, as_teacher, mapped_teacher_labels, teach
from keras_s2s.training.tensorboard import TensorBoard
from keras_s2s.training.train import CHECKPOINT, WarmStart, batches_of, goes_on, load, train
from keras_s2s.training.transfer import Vocabularies, start_from

__all__ = [
    "CHECKPOINT",
    "PERPLEXITY",
    "Checkpoints",
    "Costs",
    "Criterion",
    "DecodedMetrics",
    "DevPerplexity",
    "NonFinite",
    "OptimizerConfig",
    "Teaching",
    "TensorBoard",
    "TrainingConfig",
    "Vocabularies",
    "WarmStart",
    "as_part",
    "as_teacher",
    "average",
    "averaged_weights",
    "batches_of",
    "check",
    "distillation_of",
    "epochs_in",
    "freeze",
    "goes_on",
    "heads_of",
    "load",
    "make_optimizer",
    "mapped_teacher_labels",
    "measure",
    "start_from",
    "teach",
    "train",
]
