"""Records of text files, TSV, CSV and JSON: each field is the text that stands there.

No field is taken for a number, a date or a missing value, and no row is padded or moved to fit.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from keras_s2s.data.files import lines_of
from keras_s2s.errors import UserError


def table_records(
    text: str, where: str, separator: str, names: list[str] | None = None, header: bool = True
) -> list[dict[str, str]]:
    r"""Reads a table.

    With TAB as the separator a quote is text as any other, and only \n and \r\n end a row, as in `read_tsv`. With any
    other, fields may be quoted as RFC 4180 has it, so that they hold separators, line ends and doubled quotes, and
    empty lines are no rows.

    Args:
        text: of the file.
        where: names the file in an error.
        separator: one character.
        names: of the columns; those of the header if None.
        header: whether the first row is one.

    Raises:
        UserError: a row (named by its line) has another number of columns than there are names, a quote is no quote of
            a whole field, or two columns have one name.
    """
    rows = table_rows(text, where, separator)
    if header:
        _, first = next(rows, (1, []))
        names = names or first
    names = names or []
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where}: two columns are called {name!r}; rename one")
    records = []
    for line, row in rows:
        if len(row) != len(names):
            known = ", ".join(map(repr, names))
            raise UserError(f"{where}: line {line}: expected {len(names)} columns ({known}), got {len(row)}")
        records.append(dict(zip(names, row, strict=True)))
    return records


def table_rows(text: str, where: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, as `table_records` reads them, and the number of the line at which each begins.

    Raises:
        UserError: a quote is no quote of a whole field.
    """
    return _tab_separated(text) if separator == "\t" else _quoted(text, where, separator)


def json_records(text: str, where: str, field: str | None = None) -> list[Any]:
    """Reads JSON: a value a line, or anyhow one after the other; or one list, whose items are the records.

    Args:
        text: of the file.
        where: names the file in an error.
        field: that of one object which holds the list.

    Raises:
        UserError: a line (named by number) is no JSON, or there is no such field.
    """
    values, place = [], _blanks(text, 0)
    while place < len(text):
        try:
            value, end = _DECODER.raw_decode(text, place)
        except json.JSONDecodeError as error:
            line = text.count("\n", 0, error.pos) + 1
            raise UserError(f"{where}: line {line}: not JSON: {error.msg[0].lower()}{error.msg[1:]}") from None
        except RecursionError:
            line = text.count("\n", 0, place) + 1
            raise UserError(f"{where}: line {line}: not JSON: too deeply nested") from None
        values.append(value)
        place = _blanks(text, end)
    if field is not None:
        if len(values) != 1 or not isinstance(values[0], dict) or field not in values[0]:
            raise UserError(f"{where}: expected one JSON object with the field {field!r}")
        values = [values[0][field]]
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values


_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")


def _blanks(text: str, place: int) -> int:
    """Where the blanks that begin at a place end."""
    found = _BLANKS.match(text, place)
    assert found is not None
    return found.end()


def _tab_separated(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows and the numbers of their lines."""
    for number, line in enumerate(lines_of(text), start=1):
        yield number, line.split("\t")


def _quoted(text: str, where: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows, quotes taken off, and the numbers of the lines at which they begin.

    Python's `csv` would end a row at a lone CR, and it limits the length of fields for the whole process.
    """
    between = re.escape(separator)
    field = re.compile(rf'(?:"((?:[^"]++|"")*+)"|(?!")([^{between}\n]*?))({between}|\r?\n|\Z)')
    row: list[str] = []
    line, start, place = 1, 0, 0
    while place < len(text) or row:
        found = field.match(text, place)
        if found is None:
            line += text.count("\n", start, place)
            raise UserError(f"{where}: line {line}: a field begins with a quote and does not end with one; double it")
        quoted, plain, end = found.groups()
        row.append(plain if quoted is None else quoted.replace('""', '"'))
        place = found.end()
        if end != separator:
            if quoted is not None or row != [""]:
                yield line, row
            line += text.count("\n", start, place)
            row, start = [], place
