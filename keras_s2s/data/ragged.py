"""Rows of different lengths in one array."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from keras_s2s.data.blocks import blocks

_SMALL = np.iinfo(np.uint16).max


@dataclass(frozen=True, eq=False)
class Ragged(Sequence[np.ndarray]):
    """Rows of different lengths, one behind the other in one array.

    Row i is `values[ends[i - 1]:ends[i]]`, the first one begins at 0. Both arrays may be maps of files that are larger
    than memory.

    Attributes:
        values: (sum of lengths, ...) all rows.
        ends: (N,) int64, where each row ends.
    """

    values: np.ndarray
    ends: np.ndarray

    def __post_init__(self) -> None:
        """Takes maps of files as the arrays that they are: numpy makes views of a `memmap` slowly."""
        for name in ("values", "ends"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """(N,) int64, of each row. It is computed once and held; of very many rows ask `lengths_at` for some."""
        return self.lengths_at(slice(None))

    def lengths_at(self, rows: np.ndarray | slice) -> np.ndarray:
        """(M,) int64, the lengths of some rows: those of a slice without a step, or those of the numbers (M,) >= 0."""
        if isinstance(rows, slice):
            ends, start = self.ends[rows], rows.indices(len(self))[0]
            lengths = ends.copy()
            lengths[1:] -= ends[:-1]
            lengths[:1] -= self._begin(start)
            return lengths
        rows = rows.astype(np.int64)
        begins = self.ends[rows - 1]
        begins[rows == 0] = 0
        return self.ends[rows] - begins

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
        """A row, a view of `values`; several are a `Ragged`, of neighbouring rows a view, too."""
        if not isinstance(row, slice):
            row = range(len(self))[row]
            return self.values[self._begin(row) : self.ends[row]]
        start, stop, step = row.indices(len(self))
        if step != 1:
            return self.take(range(start, stop, step))
        begin, ends = self._begin(start), self.ends[start:stop]
        return Ragged(self.values[begin : ends[-1] if len(ends) else begin], ends - begin)

    def __iter__(self) -> Iterator[np.ndarray]:
        """All rows, in order."""
        begin = 0
        for block in blocks(len(self)):
            for end in self.ends[block].tolist():
                yield self.values[begin:end]
                begin = end

    def take(self, rows: Sequence[int] | np.ndarray) -> "Ragged":
        """The rows at `rows`, in that order; -1 is the last one."""
        rows = np.asarray(rows, np.int64)
        rows = np.where(rows < 0, rows + len(self), rows)
        lengths = self.lengths_at(rows)
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.ends[rows] - ends, lengths)
        return Ragged(self.values[places], ends)

    def _begin(self, row: int) -> int:
        """Where a row begins."""
        return int(self.ends[row - 1]) if row else 0

    def padded(self, fill: float = 0, least: int = 0) -> np.ndarray:
        """All rows, filled up to the longest one, or to `least` if that is more: (N, L, ...)."""
        places = np.arange(self.lengths.max(initial=least)) < self.lengths[:, None]
        dtype = np.int32 if self.values.dtype == np.uint16 else self.values.dtype
        matrix = np.full((*places.shape, *self.values.shape[1:]), fill, dtype)
        matrix[places] = self.values
        return matrix
