"""Losses, one small file each."""

import keras_s2s.backend  # noqa: F401
from keras_s2s.losses.bag_of_tokens import BagOfTokens
from keras_s2s.losses.crf import CRF
from keras_s2s.losses.cross_entropy import CrossEntropy
from keras_s2s.losses.ctc import CTC
from keras_s2s.losses.guided_alignment import GuidedAlignment
from keras_s2s.losses.r_drop import RDrop
from keras_s2s.losses.total import Total

__all__ = ["CRF", "CTC", "BagOfTokens", "CrossEntropy", "GuidedAlignment", "RDrop", "Total"]
