"""Records of tables, TSV and CSV: each field is the text that stands there.

No field is taken for a number, a date or a missing value, and no row is padded or moved to fit.
"""

import io
import re
from collections.abc import Iterable, Iterator

from keras_s2s.data.files import lines_of
from keras_s2s.errors import UserError


def table_records(
    texts: Iterable[str], where: str, separator: str, names: list[str] | None = None, header: bool = True
) -> Iterator[dict[str, str]]:
    r"""Reads a table, one row after the other.

    With TAB as the separator a quote is text as any other, and only \n and \r\n end a row, as in `read_tsv`. With any
    other, fields may be quoted as RFC 4180 has it, so that they hold separators, line ends and doubled quotes, and
    empty lines are no rows.

    Args:
        texts: of the file, one after the other, each of whole lines.
        where: names the file in an error.
        separator: one character.
        names: of the columns; those of the header if None.
        header: whether the first row is one.

    Raises:
        UserError: a row (named by its line) has another number of columns than there are names, a quote is no quote of
            a whole field, or two columns have one name.
    """
    rows = table_rows(texts, where, separator)
    if header:
        _, first = next(rows, (1, []))
        names = names or first
    names = names or []
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where}: two columns are called {name!r}; rename one")
    for line, row in rows:
        if len(row) != len(names):
            known = ", ".join(map(repr, names))
            raise UserError(f"{where}: line {line}: expected {len(names)} columns ({known}), got {len(row)}")
        yield dict(zip(names, row, strict=True))


def table_rows(texts: Iterable[str], where: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table, as `table_records` reads them, and the number of the line at which each begins.

    Raises:
        UserError: a quote is no quote of a whole field.
    """
    return _tab_separated(texts) if separator == "\t" else _quoted(texts, where, separator)


def _tab_separated(texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows and the numbers of their lines."""
    for number, line in enumerate((line for text in texts for line in lines_of(text)), start=1):
        yield number, line.split("\t")


def _quoted(texts: Iterable[str], where: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows, quotes taken off, and the numbers of the lines at which they begin.

    Python's `csv` would end a row at a lone CR, and it limits the length of fields for the whole process.
    """
    between = re.escape(separator)
    field = re.compile(rf'(?:"((?:[^"]++|"")*+)"|(?!")([^{between}\n]*?))({between}|\r?\n|\Z)')
    lines = (line for text in texts for line in io.StringIO(text))
    number = 1
    for content in lines:
        row: list[str] = []
        place, start, end = 0, number, separator
        while end == separator:
            while _OPEN.match(content, place) and (more := _to_next_quote(lines)):
                content += more
            found = field.match(content, place)
            if found is None:
                line = start + content.count("\n", 0, place)
                raise UserError(
                    f"{where}: line {line}: a field begins with a quote and does not end with one; double it"
                )
            quoted, plain, end = found.groups()
            row.append(plain if quoted is None else quoted.replace('""', '"'))
            place = found.end()
        if quoted is not None or row != [""]:
            yield start, row
        number = start + content.count("\n")


_OPEN = re.compile(r'"(?:[^"]++|"")*+\Z')
"""A quoted field that goes on in the next line."""


def _to_next_quote(lines: Iterator[str]) -> str:
    """The lines up to one with a quote; none if no line has one."""
    taken = []
    for line in lines:
        taken.append(line)
        if '"' in line:
            return "".join(taken)
    return ""
