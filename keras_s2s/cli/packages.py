"""Packages that only some verbs need, and that the base installation lacks."""

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator

from keras_s2s.errors import UserError

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def training_packages(verb: str) -> contextlib.AbstractContextManager[None]:
    """`needed_packages` of the extra "train"."""
    return needed_packages(verb, "train", "the training packages")


@contextlib.contextmanager
def needed_packages(verb: str, extra: str, what: str = "packages of its own") -> Iterator[None]:
    """Says in one line what to install when the block imports a package that is not there.

    Args:
        verb: who needs it.
        extra: of this package, which has it.
        what: the extra in words.

    Raises:
        UserError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "keras_s2s").split(".")[0]
        if package == "keras_s2s":
            raise
        raise UserError(f'{verb} needs {what}, and {package} is missing; pip install "keras_s2s[{extra}]"') from error


def import_tensorflow() -> None:
    """Imports TensorFlow quietly, unless TF_CPP_MIN_LOG_LEVEL says how loud it shall be.

    While it is imported it writes lines to standard error that none of its settings silences (tensorflow issue
    100442). They are held back, and shown only if the import fails.

    Raises:
        UserError: Keras was told to compute with something else.
    """
    import keras_s2s.backend  # noqa: F401  TensorFlow imports Keras, and would fail with its words.

    if _LOG_LEVEL in os.environ:
        return
    os.environ[_LOG_LEVEL] = "3"
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
        except BaseException:
            held_back.seek(0)
            os.write(standard_error, held_back.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
