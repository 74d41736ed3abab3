"""Train sequence-to-sequence models with Keras; ship them as one quantized ONNX graph.

Names are loaded when first used (PEP 562): a serving process that takes `Generator` never imports TensorFlow.
"""

import importlib
import os
import sys
import warnings
from typing import Any

__version__ = "0.1.0"
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def _choose_onednn() -> None:
    """Asks TensorFlow for oneDNN's operators, unless the user has chosen.

    TensorFlow reads the choice when it is imported. Of itself it goes without them on an x86 without VNNI, where a step
    of training takes a sixth less time with them.
    """
    if _ONEDNN in os.environ:
        return
    os.environ[_ONEDNN] = "1"
    port = sys.modules.get("tensorflow.python.util._pywrap_util_port")
    if port is not None and not port.IsMklEnabled():
        warnings.warn(
            "TensorFlow was imported before keras_s2s and goes without oneDNN's operators, so that training is slower; "
            f"import keras_s2s first, or set {_ONEDNN}=1",
            RuntimeWarning,
            stacklevel=3,
        )


_choose_onednn()

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
