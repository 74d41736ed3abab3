"""Train sequence-to-sequence models with Keras; ship them as one quantized ONNX graph.

Names are loaded when first used (PEP 562): a serving process that takes `Generator` never imports TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_s2s import environment

if TYPE_CHECKING:
    from keras_s2s import compression as compression
    from keras_s2s import data as data
    from keras_s2s import decoding as decoding
    from keras_s2s import evaluation as evaluation
    from keras_s2s import export as export
    from keras_s2s import layers as layers
    from keras_s2s import losses as losses
    from keras_s2s import models as models
    from keras_s2s import recipe as recipe
    from keras_s2s import runtime as runtime
    from keras_s2s import testing as testing
    from keras_s2s import text as text
    from keras_s2s import training as training
    from keras_s2s.decoding.generate import generate as generate
    from keras_s2s.errors import UserError as UserError
    from keras_s2s.export import export_bundle as export_bundle
    from keras_s2s.models import ModelConfig as ModelConfig
    from keras_s2s.models import build as build
    from keras_s2s.runtime import Generator as Generator

__version__ = "0.1.0"

environment.prepare()

_HOMES = {
    "Generator": "keras_s2s.runtime",
    "ModelConfig": "keras_s2s.models",
    "UserError": "keras_s2s.errors",
    "build": "keras_s2s.models",
    "export_bundle": "keras_s2s.export",
    "generate": "keras_s2s.decoding",
}
_PACKAGES = (
    "compression",
    "data",
    "decoding",
    "evaluation",
    "export",
    "layers",
    "losses",
    "models",
    "recipe",
    "runtime",
    "testing",
    "text",
    "training",
)

__all__ = ["__version__", *_HOMES, *_PACKAGES]


if not TYPE_CHECKING:  # A type checker would take every name for one of the package's.

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        if name in _PACKAGES:
            return importlib.import_module(f"keras_s2s.{name}")
        raise AttributeError(f"module 'keras_s2s' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
