"""Pairs from records with named fields: lines of JSON, and what data set libraries give."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keras_s2s.config import Config
from keras_s2s.data.files import Location, matching, read_lines
from keras_s2s.data.pairs import Pairs, join
from keras_s2s.data.readers import READERS, Reader, Surroundings
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
class JSONLReader(RecordsReader):
    """A JSON object a line, see `read_jsonl`.

    Args:
        jsonl: the file, or a pattern of several.
        fields: of each object.
    """

    key: ClassVar[str] = "jsonl"
    jsonl: str

    def read(self, around: Surroundings) -> Pairs:
        """Reads the lines."""
        return read_jsonl(around.place(self.jsonl), self.names)


def read_jsonl(path: Location, fields: Fields = Fields()) -> Pairs:
    """Reads files of a JSON object a line; a file may be compressed (`.gz`), a name a pattern.

    Raises:
        UserError: as `read_lines`; a line (named by number) is no JSON object or lacks a field; there are no lines.
    """
    return join([pairs_of(map(_parse, read_lines(file)), fields, str(file), "line") for file in matching(path)])


def pairs_of(records: Iterable[Any], fields: Fields, where: str, what: str) -> Pairs:
    """Makes pairs of records.

    Args:
        records: mappings of texts, as str or UTF-8 bytes, and numbers.
        fields: which ones.
        where: names the records in an error, with
        what: a record is called, such as "line".

    Raises:
        UserError: a record (named by number) lacks a field, or a field is of another kind; there are none.
    """
    sources, targets, weights = [], [], []
    for count, record in enumerate(records, start=1):
        place = f"{where}: {what} {count}"
        sources.append(_text(record, fields.source, place))
        targets.append(_text(record, fields.target, place))
        if fields.weight is not None:
            weights.append(number(str(_value(record, fields.weight, place)), place))
    if not sources:
        raise UserError(f"{where}: no {what}s; give at least one")
    return Pairs(sources, targets, weights or None)


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        return None


def _value(record: Any, field: str, place: str) -> Any:
    value = record
    for name in field.split("."):
        if not isinstance(value, Mapping):
            raise UserError(f"{place}: expected an object with the field {field!r}")
        if name not in value:
            raise UserError(f"{place}: no field {field!r}; there are {', '.join(map(repr, value))}")
        value = value[name]
    return value


def _text(record: Any, field: str, place: str) -> str:
    value = _value(record, field, place)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{place}: field {field!r} is not UTF-8") from None
    if not isinstance(value, str):
        raise UserError(f"{place}: field {field!r}: expected a text, got {type(value).__name__}")
    return value
