"""Texts in one array of UTF-8, which may be a map of a file."""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import numpy as np

from keras_s2s.data.ragged import Ragged

_BLOCK = 10_000  # texts that are decoded at once


@dataclass(frozen=True, eq=False)
class TextColumn(Sequence[str]):
    """Texts, one behind the other. A lone surrogate, which JSON can hold and UTF-8 cannot, is kept.

    Attributes:
        rows: the bytes of each text, uint8.
    """

    rows: Ragged

    @classmethod
    def of(cls, texts: Sequence[str]) -> "TextColumn":
        """Makes one of texts."""
        if isinstance(texts, TextColumn):
            return texts
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        return cls(Ragged(np.frombuffer(b"".join(encoded), np.uint8), ends))

    def __len__(self) -> int:
        """The number of texts."""
        return len(self.rows)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> "TextColumn": ...
    def __getitem__(self, row: int | slice) -> "str | TextColumn":
        """A text; several are a `TextColumn`."""
        found = self.rows[row]
        return TextColumn(found) if isinstance(found, Ragged) else _decoded(found.tobytes())

    def __iter__(self) -> Iterator[str]:
        """All texts, in order."""
        return map(_decoded, self.utf8())

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same texts."""
        if not isinstance(other, Sequence) or isinstance(other, str):
            return False
        return len(self) == len(other) and all(map(operator.eq, self, other))

    def utf8(self) -> Iterator[bytes]:
        """All texts, in order, as they stand in the array."""
        begin = 0
        for first in range(0, len(self), _BLOCK):
            ends = self.rows.ends[first : first + _BLOCK]
            content = self.rows.values[begin : ends[-1]].tobytes()
            yield from (content[start:end] for start, end in pairwise([0, *(ends - begin).tolist()]))
            begin = ends[-1]


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")
