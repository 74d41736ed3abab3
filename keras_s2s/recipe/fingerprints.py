"""Fingerprints of files and of pairs, which are read a part at a time."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.data import Pairs
from keras_s2s.data.text_column import TextColumn
from keras_s2s.errors import UserError

_ROWS = 10_000  # that are hashed at once


def of_file(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; check the name") from None


def of_pairs(pairs: Pairs) -> str:
    """A hash of pairs: the same for the same sources, targets and weights, wherever they come from."""
    digest = hashlib.sha256()
    weights = () if pairs.weights is None else (str(float(weight)).encode() for weight in pairs.weights)
    for rows in (_contents(pairs.sources), _contents(pairs.targets), weights):
        contents = iter(rows)
        while some := list(islice(contents, _ROWS)):
            digest.update(b"".join(b"%d %b" % (len(content), content) for content in some))
    return digest.hexdigest()


def _contents(column: Iterable[Any]) -> Iterator[bytes]:
    if isinstance(column, TextColumn):
        return column.utf8()
    return (row.tobytes() if isinstance(row, np.ndarray) else row.encode("utf-8", "surrogatepass") for row in column)
