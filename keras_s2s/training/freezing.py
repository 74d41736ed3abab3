"""Weights that training leaves as they are."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

import keras

from keras_s2s.errors import UserError


def freeze(model: keras.Model, patterns: Sequence[str]) -> list[str]:
    """Freezes all weights whose path matches one of the patterns. Call it before `compile`.

    Paths look like `encoder/block_0/self_attention/query_key_value/kernel`; `*` matches slashes too, so `encoder/*` is
    the whole encoder and `*/bias` every offset.

    Args:
        model: whose weights.
        patterns: with `*`, `?` and `[…]`, as a shell's.

    Returns:
        The frozen paths, in the model's order.

    Raises:
        UserError: a pattern matches no weight, or nothing is left to train.
    """
    paths = [variable.path for variable in model.trainable_variables]
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            near = difflib.get_close_matches(pattern, _names(paths), n=3, cutoff=0)
            raise UserError(f"freeze: '{pattern}' matches no weight; the nearest are {', '.join(near)}")
    chosen = [v for v in model.trainable_variables if any(fnmatchcase(v.path, pattern) for pattern in patterns)]
    if len(chosen) == len(paths):
        raise UserError(f"freeze: {', '.join(patterns)}: nothing is left to train; freeze less")
    for variable in chosen:
        variable.trainable = False
    return [variable.path for variable in chosen]


def _names(paths: Sequence[str]) -> list[str]:
    """The paths, and each of their beginnings as a pattern."""
    begins = {"/".join(path.split("/")[:n]) + "/*" for path in paths for n in range(1, path.count("/") + 1)}
    return [*paths, *sorted(begins)]
