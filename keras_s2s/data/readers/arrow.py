"""Pairs from Arrow files, also called Feather: IPC files and IPC streams."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from keras_s2s.data.files import LINES, Location, at_least_one, matching
from keras_s2s.data.pairs import Block, Pairs, join
from keras_s2s.data.readers import READERS, BlocksReader, Surroundings
from keras_s2s.data.readers.records import Fields, RecordsReader, pairs_of
from keras_s2s.errors import UserError


@READERS.register
class ArrowReader(RecordsReader, BlocksReader):
    """Arrow files, see `read_arrow`.

    Args:
        arrow: the file, or a pattern of several.
        fields: of each row.
    """

    key: ClassVar[str] = "arrow"
    arrow: str

    def blocks(self, around: Surroundings, size: int) -> Iterator[Block]:
        """Cuts the files into blocks of rows."""
        return arrow_blocks(around.place(self.arrow), self.names, size)

    def files(self, around: Surroundings) -> Sequence[Path]:
        """Those that match."""
        return matching(around.place(self.arrow))


@dataclass(frozen=True)
class RowsBlock:
    """Rows of a file of Apache Arrow or Parquet.

    Attributes:
        stream: they, as an IPC stream; rows that are pickled without would take along the whole batch that they are of.
        fields: of each row.
        where: names the file in errors.
        first: the number of the first row, from 1.
    """

    stream: Any
    fields: Fields
    where: str
    first: int

    @classmethod
    def of(cls, batch: Any, fields: Fields, where: str, first: int) -> "RowsBlock":
        """Makes a block of a `pyarrow.RecordBatch`."""
        import pyarrow

        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return cls(sink.getvalue(), fields, where, first)

    def pairs(self) -> Pairs:
        """Makes texts of the rows; errors as those of `read_arrow`."""
        return Pairs.of(pairs_of(self._rows(), self.fields, self.where, "record", self.first))

    def _rows(self) -> Iterator[Any]:
        import pyarrow

        batch = pyarrow.ipc.open_stream(self.stream).read_next_batch()
        try:
            yield from batch.to_pylist()
        except UnicodeDecodeError:
            for row in range(len(batch)):
                try:
                    batch.slice(row, 1).to_pylist()
                except UnicodeDecodeError:
                    raise UserError(f"{self.where}: record {self.first + row}: not UTF-8; write it again") from None


def read_arrow(path: Location, fields: Fields = Fields()) -> Pairs:  # noqa: B008
    """Reads files of the IPC formats of Apache Arrow; of each, only the columns that are needed.

    A stream has no mark that it must end with. So one that is cut short exactly between two batches is taken for whole.

    Args:
        path: a file, or a pattern.
        fields: of each row: source and target are strings, or bytes in UTF-8, weight is a number.

    Raises:
        UserError: a file cannot be read, or is cut short; a row (named by file and number) has no text in a field;
            there are none; or pyarrow is not installed.
    """
    return join([block.pairs() for block in arrow_blocks(path, fields)])


def arrow_blocks(path: Location, fields: Fields = Fields(), size: int = LINES) -> Iterator[RowsBlock]:  # noqa: B008
    """The blocks of at most `size` pairs that `read_arrow` reads."""
    for file in matching(path):
        yield from blocks_of(_batches(file, fields, size), fields, file, "an Arrow file")


def blocks_of(batches: Iterator[Any], fields: Fields, path: Path, kind: str) -> Iterator[RowsBlock]:
    """Makes blocks of the batches of a file.

    Args:
        batches: read from it while they are asked for.
        fields: of each row.
        path: of the file.
        kind: what the file should be, as an error has it.

    Raises:
        UserError: the file cannot be read, is of another kind or cut short, or has no rows; pyarrow is not installed.
    """
    first = 1
    for batch in at_least_one(_readable(batches, path, kind), str(path), "record"):
        yield RowsBlock.of(batch, fields, str(path), first)
        first += len(batch)


def _readable(batches: Iterator[Any], path: Path, kind: str) -> Iterator[Any]:
    """Batches with rows; errors of pyarrow become those of a user."""
    if not path.is_file():
        raise UserError(f"{path}: cannot be read: no such file; check the name")
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(f"{path}: {error}; install it with pip install 'keras_s2s[arrow]'") from None
    try:
        yield from (batch for batch in batches if len(batch))
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not {kind}, or damaged or cut short; write it again ({reason[:200]})") from None


def columns_of(fields: Fields, names: Sequence[str], path: Path) -> list[str]:
    """The columns that hold the fields, out of those of a file.

    Raises:
        UserError: there is no such column.
    """
    wanted = [field for field in (fields.source, fields.target, fields.weight) if field is not None]
    columns = [field.split(".")[0] for field in wanted]
    for column in columns:
        if column not in names:
            raise UserError(f"{path}: no field {column!r}; there are {', '.join(map(repr, names))}")
    return list(dict.fromkeys(columns))


def _batches(path: Path, fields: Fields, size: int) -> Iterator[Any]:
    import pyarrow

    with pyarrow.memory_map(str(path)) as file:
        open_ipc = pyarrow.ipc.open_file if file.read(6) == b"ARROW1" else pyarrow.ipc.open_stream
        file.seek(0)
        schema = open_ipc(file).schema
        places = [schema.get_field_index(column) for column in columns_of(fields, schema.names, path)]
        file.seek(0)
        reader = open_ipc(file, options=pyarrow.ipc.IpcReadOptions(included_fields=places))
        is_file = isinstance(reader, pyarrow.ipc.RecordBatchFileReader)
        for batch in map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader:
            yield from (batch.slice(start, size) for start in range(0, len(batch), size))
