"""Pairs from Parquet files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from keras_s2s.data.files import LINES, Location, matching
from keras_s2s.data.pairs import Block, Pairs, join
from keras_s2s.data.readers import READERS, BlocksReader, Surroundings
from keras_s2s.data.readers.arrow import RowsBlock, blocks_of, columns_of
from keras_s2s.data.readers.records import Fields, RecordsReader

_BUFFER = 1 << 20
"""Bytes of a column that are read at once; without, all of a group of rows would be, and a group may be the file."""


@READERS.register
class ParquetReader(RecordsReader, BlocksReader):
    """Parquet files, see `read_parquet`.

    Args:
        parquet: the file, or a pattern of several.
        fields: of each row.
    """

    key: ClassVar[str] = "parquet"
    parquet: str

    def blocks(self, around: Surroundings, size: int) -> Iterator[Block]:
        """Cuts the files into blocks of rows."""
        return parquet_blocks(around.place(self.parquet), self.names, size)

    def files(self, around: Surroundings) -> Sequence[Path]:
        """Those that match."""
        return matching(around.place(self.parquet))


def read_parquet(path: Location, fields: Fields = Fields()) -> Pairs:  # noqa: B008
    """Reads Parquet files; of each, only the columns that are needed.

    Args:
        path: a file, or a pattern.
        fields: of each row: source and target are strings, or bytes in UTF-8, weight is a number.

    Raises:
        UserError: a file cannot be read, or is cut short; a row (named by file and number) has no text in a field;
            there are none; or pyarrow is not installed.
    """
    return join([block.pairs() for block in parquet_blocks(path, fields)])


def parquet_blocks(path: Location, fields: Fields = Fields(), size: int = LINES) -> Iterator[RowsBlock]:  # noqa: B008
    """The blocks of at most `size` pairs that `read_parquet` reads."""
    for file in matching(path):
        yield from blocks_of(_batches(file, fields, size), fields, file, "a Parquet file")


def _batches(path: Path, fields: Fields, size: int) -> Iterator[Any]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER) as file:
        columns = columns_of(fields, file.schema_arrow.names, path)
        yield from file.iter_batches(size, columns=columns, use_threads=False)
