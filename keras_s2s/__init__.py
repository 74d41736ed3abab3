"""Train sequence-to-sequence models with Keras; ship them as one quantized ONNX graph.

Names are loaded when first used (PEP 562): a serving process that takes `Generator` never imports TensorFlow.
"""

import importlib
from typing import Any

from keras_s2s import environment

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
_PACKAGES = ("data", "decoding", "evaluation", "layers", "losses", "models", "runtime", "text", "training")

__all__ = ["__version__", *_HOMES, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"keras_s2s.{name}")
    raise AttributeError(f"module 'keras_s2s' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
