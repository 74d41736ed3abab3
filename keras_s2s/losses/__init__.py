"""Losses, one small file each."""

import keras_s2s.backend  # noqa: F401
from keras_s2s.losses.bag_of_tokens import BagOfTokens, BagOfTokensConfig
from keras_s2s.losses.config import LOSSES, LossConfig, NamedLoss
from keras_s2s.losses.crf import CRF, CRFConfig
from keras_s2s.losses.cross_entropy import CrossEntropy, CrossEntropyConfig
from keras_s2s.losses.ctc import CTC, CTCConfig
from keras_s2s.losses.guided_alignment import GuidedAlignment, GuidedAlignmentConfig
from keras_s2s.losses.labelled import LabelledLoss
from keras_s2s.losses.r_drop import RDrop, RDropConfig
from keras_s2s.losses.token_distillation import TokenDistillation, TokenDistillationConfig
from keras_s2s.losses.total import Total

__all__ = [
    "CRF",
    "CTC",
    "LOSSES",
    "BagOfTokens",
    "BagOfTokensConfig",
    "CRFConfig",
    "CTCConfig",
    "CrossEntropy",
    "CrossEntropyConfig",
    "GuidedAlignment",
    "GuidedAlignmentConfig",
    "LabelledLoss",
    "LossConfig",
    "NamedLoss",
    "RDrop",
    "RDropConfig",
    "TokenDistillation",
    "TokenDistillationConfig",
    "Total",
]
