"""Rows of different lengths in one array."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

_SMALL = np.iinfo(np.uint16).max


@dataclass(frozen=True, eq=False)
class Ragged(Sequence[np.ndarray]):
    """Rows of different lengths, one behind the other in one array, which may be a map of a file.

    Row i is `values[ends[i - 1]:ends[i]]`, the first one begins at 0.

    Attributes:
        values: (sum of lengths, ...) all rows.
        ends: (N,) int64, where each row ends.
        lengths: (N,) int64, of each row.
    """

    values: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Measures all lengths."""
        object.__setattr__(self, "lengths", np.diff(self.ends, prepend=0))

    @classmethod
    def of(cls, rows: Sequence[Any]) -> "Ragged":
        """Makes one of rows of ids, in 16 bits if they allow, else in 32; or of frames, in float32."""
        if isinstance(rows, Ragged):
            return rows
        ends = np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)))
        if not len(rows):
            return cls(np.zeros(0, np.uint16), ends)
        if isinstance(rows[0], np.ndarray):
            values = np.concatenate(rows)
        else:
            values = np.fromiter((value for row in rows for value in row), np.int32, ends[-1])
        if np.issubdtype(values.dtype, np.floating):
            return cls(values.astype(np.float32, copy=False), ends)
        fits = not values.size or (values.min() >= 0 and values.max() <= _SMALL)
        return cls(values.astype(np.uint16 if fits else np.int32, copy=False), ends)

    @classmethod
    def join(cls, parts: Sequence["Ragged"]) -> "Ragged":
        """The rows of all parts, of which there is at least one."""
        begins = np.cumsum([0, *(len(part.values) for part in parts[:-1])])
        ends = np.concatenate([begin + part.ends for begin, part in zip(begins, parts, strict=True)])
        return cls(np.concatenate([part.values for part in parts]), ends)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.ends)

    @overload
    def __getitem__(self, row: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, row: slice) -> "Ragged": ...
    def __getitem__(self, row: int | slice) -> "np.ndarray | Ragged":
        """A row, a view of `values`; several are a `Ragged`."""
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        end = self.ends[row]
        return self.values[end - self.lengths[row] : end]

    def __iter__(self) -> Iterator[np.ndarray]:
        """All rows, in order."""
        begin = 0
        for end in self.ends.tolist():
            yield self.values[begin:end]
            begin = end

    def take(self, rows: Sequence[int] | np.ndarray) -> "Ragged":
        """The rows at `rows`, in that order."""
        rows = np.asarray(rows, np.int64)
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.ends[rows] - ends, lengths)
        return Ragged(self.values[places], ends)

    def padded(self, fill: float = 0) -> np.ndarray:
        """All rows, filled up to the longest one: (N, L, ...)."""
        places = np.arange(self.lengths.max(initial=0)) < self.lengths[:, None]
        dtype = np.int32 if self.values.dtype == np.uint16 else self.values.dtype
        matrix = np.full((*places.shape, *self.values.shape[1:]), fill, dtype)
        matrix[places] = self.values
        return matrix
