"""Keras on TensorFlow: every package that is made of Keras imports this first, which fails with one line elsewhere."""

import json
import os
import sys
from pathlib import Path

from keras_s2s.errors import UserError

_VARIABLE = "KERAS_BACKEND"
_TENSORFLOW = "tensorflow"


def check() -> None:
    """Looks what Keras computes with, or will when it is imported; it could not be imported without that backend.

    Raises:
        UserError: something else than TensorFlow.
    """
    who, backend = _chosen()
    if backend != _TENSORFLOW:
        raise UserError(
            f"{who} names the backend {backend}, but models are built, trained and exported with TensorFlow; "
            f"set {_VARIABLE}={_TENSORFLOW} before Python starts"
        )


def _chosen() -> tuple[str, str]:
    """The source of Keras's choice of backend, and the backend."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return "Keras, which was imported before,", keras.config.backend()
    if variable := os.environ.get(_VARIABLE):
        return _VARIABLE, variable
    file = Path(os.environ.get("KERAS_HOME", "~/.keras"), "keras.json").expanduser()
    try:
        return str(file), json.loads(file.read_text()).get("backend", _TENSORFLOW)
    except (OSError, ValueError):
        return str(file), _TENSORFLOW  # Keras, too, goes on without a file that it cannot read.


check()
