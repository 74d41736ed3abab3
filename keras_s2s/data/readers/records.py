"""Pairs from records with named fields: lines of JSON, and what data set libraries give."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from keras_s2s.config import Config
from keras_s2s.data.files import LINES, Lines, Location, at_least_one, matching, pieces
from keras_s2s.data.pairs import Block, Pair, Pairs, join
from keras_s2s.data.readers import READERS, BlocksReader, Reader, Surroundings
from keras_s2s.data.readers.text import number
from keras_s2s.errors import UserError


@dataclass(frozen=True)
class Fields:
    """Names of a record's fields; `translation.en` is the field `en` of the record `translation`.

    Attributes:
        weight: that of example weights, if there is one.
    """

    source: str = "source"
    target: str = "target"
    weight: str | None = None


class FieldsConfig(Config):
    """`Fields` as a recipe says them."""

    source: str = "source"
    target: str = "target"
    weight: str | None = None


class RecordsReader(Reader):
    """Base of readers of records.

    Args:
        fields: of each record.
    """

    fields: FieldsConfig = FieldsConfig()

    @property
    def names(self) -> Fields:
        """The fields that are read."""
        return Fields(**self.fields.model_dump())


@READERS.register
class JSONLReader(RecordsReader, BlocksReader):
    """A JSON object a line, see `read_jsonl`.

    Args:
        jsonl: the file, or a pattern of several.
        fields: of each object.
    """

    key: ClassVar[str] = "jsonl"
    jsonl: str

    def blocks(self, around: Surroundings, size: int) -> Iterator[Block]:
        """Cuts the files into blocks of lines."""
        return jsonl_blocks(around.place(self.jsonl), self.names, size)

    def files(self, around: Surroundings) -> Sequence[Path]:
        """Those that match."""
        return matching(around.place(self.jsonl))


@dataclass(frozen=True)
class JSONLBlock:
    """Lines of JSON, not parsed yet; `fields` as for `read_jsonl`."""

    lines: Lines
    fields: Fields

    def pairs(self) -> Pairs:
        """Parses the lines; errors as those of `read_jsonl`."""
        records = map(_parse, self.lines.texts())
        return Pairs.of(pairs_of(records, self.fields, self.lines.where, "line", self.lines.first))


def read_jsonl(path: Location, fields: Fields = Fields()) -> Pairs:
    """Reads files of a JSON object a line; a file may be compressed, a name a pattern.

    Raises:
        UserError: as `read_lines`; a line (named by number) is no JSON object or lacks a field; there are no lines.
    """
    return join([block.pairs() for block in jsonl_blocks(path, fields)])


def jsonl_blocks(path: Location, fields: Fields = Fields(), size: int = LINES) -> Iterator[JSONLBlock]:
    """The blocks of `size` pairs that `read_jsonl` reads."""
    for file in matching(path):
        for lines in at_least_one(pieces(file, size), str(file)):
            yield JSONLBlock(lines, fields)


def pairs_of(records: Iterable[Any], fields: Fields, where: str, what: str, first: int = 1) -> Iterator[Pair]:
    """Makes pairs of records, one after the other.

    Args:
        records: mappings of texts, as str or UTF-8 bytes, and numbers.
        fields: which ones.
        where: names the records in an error, with
        what: a record is called, such as "line".
        first: the number of the first one.

    Raises:
        UserError: a record (named by number) lacks a field, or a field is of another kind; there are none.
    """
    source, target = _path(fields.source), _path(fields.target)
    weight = None if fields.weight is None else _path(fields.weight)
    for count, record in enumerate(at_least_one(records, where, what), start=first):
        try:
            texts = _text(record, source), _text(record, target)
            written = None if weight is None else str(_value(record, weight))
        except UserError as error:
            raise UserError(f"{where}: {what} {count}: {error}") from None
        yield Pair(*texts, None if written is None else number(written, f"{where}: {what} {count}"))


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None


def _path(field: str) -> tuple[str, ...]:
    return tuple(field.split("."))


def _value(record: Any, path: tuple[str, ...]) -> Any:
    value = record
    for name in path:
        # Nearly all are dicts, and that is quicker to tell.
        if not isinstance(value, (dict, Mapping)):
            raise UserError(f"expected an object with the field {'.'.join(path)!r}")
        if name not in value:
            raise UserError(f"no field {'.'.join(path)!r}; there are {', '.join(map(repr, value))}")
        value = value[name]
    return value


def _text(record: Any, path: tuple[str, ...]) -> str:
    value = _value(record, path)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"field {'.'.join(path)!r} is not UTF-8") from None
    if not isinstance(value, str):
        raise UserError(f"field {'.'.join(path)!r}: expected a text, got {type(value).__name__}")
    return value
