"""A bundle, checked before its graphs are used."""

import os
import re

import onnxruntime

from keras_s2s.bundle import Bundle, read, verify
from keras_s2s.errors import UserError
from keras_s2s.runtime.safety import check_graphs


def open_bundle(path: str | os.PathLike[str], precision: str, threads: int | None) -> Bundle:
    """Reads a bundle and checks that its graphs of a precision can be used.

    Raises:
        UserError: no bundle, a wrong key or hash, an unknown precision, no threads, an onnxruntime that is too old, or
            as `check_graphs`.
    """
    bundle = read(path)
    if threads is not None and threads < 1:
        raise UserError(f"threads: expected at least 1, got {threads}")
    _check_onnxruntime(bundle)
    verify(bundle, _needed(bundle, precision))
    check_graphs(bundle, precision)
    return bundle


def _needed(bundle: Bundle, precision: str) -> list[str]:
    """The tokenizers, the graphs of this precision, and the weights that lie beside them."""
    manifest = bundle.manifest
    graphs = [graph.path for graph in bundle.graphs(precision).values()]
    weights = manifest.weights(precision)
    shortlists = [] if manifest.shortlist is None else [manifest.shortlist.path]
    return [manifest.tokenizers.source.path, manifest.tokenizers.target.path, *shortlists, *graphs, *weights]


def _check_onnxruntime(bundle: Bundle) -> None:
    minimum, installed = bundle.manifest.minimum_onnxruntime, onnxruntime.__version__
    if _release(installed) < _release(minimum):
        raise UserError(f"{bundle.path}: needs onnxruntime {minimum} or newer; {installed} is installed, upgrade it")


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", version)[:3]]
    return (*numbers, *[0] * (3 - len(numbers)))
