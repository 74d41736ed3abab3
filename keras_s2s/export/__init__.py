"""Trace, lowering to ONNX, graph passes, quantize, parity: from a trained model to a verified bundle."""

import keras_s2s.backend  # noqa: F401
from keras_s2s.export.export import DEFAULT_DECODING, export_bundle
from keras_s2s.export.measure import Measured
from keras_s2s.export.number_formats import FORMATS, Format, register_format
from keras_s2s.export.standard import OperatorSet
from keras_s2s.export.verify import VerificationError

__all__ = [
    "DEFAULT_DECODING",
    "FORMATS",
    "Format",
    "Measured",
    "OperatorSet",
    "VerificationError",
    "export_bundle",
    "register_format",
]
