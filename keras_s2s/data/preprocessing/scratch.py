"""Arrays in temporary files: they may be larger than the memory, and are gone with the process."""

import tempfile
from typing import Any

import numpy as np

from keras_s2s.errors import UserError

_AT_ONCE = 1 << 18  # values


class Scratch:
    """A temporary file that is written an array after the other, and then is one array."""

    def __init__(self, dtype: Any) -> None:
        self._file, self._dtype = tempfile.TemporaryFile(), np.dtype(dtype)  # noqa: SIM115 - `mapped` closes it.

    def append(self, values: np.ndarray) -> None:
        """Writes (M,) values behind those that are there.

        Raises:
            UserError: the disk is full.
        """
        self._write(np.ascontiguousarray(values, self._dtype).data)

    def mapped(self) -> np.ndarray:
        """All values: (N,), a map of the file, which may be changed. Nothing can be written behind them any more.

        Raises:
            UserError: the disk is full.
        """
        self._write(b"", flush=True)
        with self._file as file:
            if not file.tell():
                return np.zeros(0, self._dtype)
            # As a plain array it is some times as fast to look into; the map lives as long as that.
            return np.asarray(np.memmap(file, self._dtype, "r+"))

    def _write(self, content: Any, flush: bool = False) -> None:
        try:
            self._file.write(content)
            if flush:
                self._file.flush()
        except OSError as error:
            raise UserError(
                f"{tempfile.gettempdir()}: a temporary file cannot be written: {error.strerror}; "
                "make room, or set TMPDIR to another folder"
            ) from None


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array in a temporary file, mapped.

    The zeros are written: where a file is only told its size, a full disk kills the process at some later moment.

    Raises:
        UserError: the disk is full.
    """
    made, count = Scratch(dtype), int(np.prod(shape))
    for begin in range(0, count, _AT_ONCE):
        made.append(np.zeros(min(_AT_ONCE, count - begin), dtype))
    return made.mapped().reshape(shape)
