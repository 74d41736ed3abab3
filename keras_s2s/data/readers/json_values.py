"""Records of JSON, one after the other, of a file that may be larger than memory."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from keras_s2s.errors import UserError

_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")


def json_records(texts: Iterable[str], where: str, field: str | None = None) -> Iterator[Any]:
    """Reads JSON: a value a line, or anyhow one after the other; or one list, whose items are the records.

    Args:
        texts: of the file, one after the other, each of whole lines.
        where: names the file in an error.
        field: that of one object which holds the list.

    Raises:
        UserError: a line (named by number) is no JSON, or there is no such field.
    """
    text = _Text(texts, where)
    if field is not None:
        yield from _of_field(text, field)
        if text.next():
            raise _no_field(where, field)
    elif text.next() == "[":
        yield from _items(text)
        if text.next():
            raise text.error("extra data after the list")
    else:
        while text.next():
            yield text.value()


def _items(text: "_Text") -> Iterator[Any]:
    """The items of a list."""
    text.take("[")
    if text.next() == "]":
        text.take("]")
        return
    yield text.value()
    while text.next() != "]":
        text.take(",")
        yield text.value()
    text.take("]")


def _of_field(text: "_Text", field: str) -> Iterator[Any]:
    """The records at the field of an object; what else is in it is read and forgotten."""
    found = False
    if text.next() != "{":
        raise _no_field(text.where, field)
    text.take("{")
    while text.next() != "}":
        is_field = text.value() == field
        text.take(":")
        if is_field and text.next() == "[":
            yield from _items(text)
        else:
            value = text.value()
            if is_field:
                yield value
        found = found or is_field
        if text.next() != "}":
            text.take(",")
    text.take("}")
    if not found:
        raise _no_field(text.where, field)


def _no_field(where: str, field: str) -> UserError:
    return UserError(f"{where}: expected one JSON object with the field {field!r}")


class _Text:
    """A text that comes in parts, and the place in it up to which it was read.

    A part ends with a line, and no word of JSON goes on in the next line: neither a number nor a string.
    """

    def __init__(self, texts: Iterable[str], where: str) -> None:
        self.where = where
        self._waiting = iter(texts)
        self._text = ""
        self._place = 0
        self._line = 1  # of the beginning of `_text`.

    def next(self) -> str:
        """The next character that is no blank; nothing at the end."""
        self._skip()
        while self._place == len(self._text) and self._more():
            self._skip()
        return self._text[self._place : self._place + 1]

    def take(self, character: str) -> None:
        """Goes past this character, which must be the next one."""
        if self.next() != character:
            raise self.error(f"expecting {character!r}")
        self._place += 1

    def value(self) -> Any:
        """The value that comes next."""
        self.next()
        while True:
            try:
                value, self._place = _DECODER.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                # With more to come, a value that has no end yet is none that is wrong.
                if error.pos < len(self._text.rstrip(" \t\n\r")) or not self._more():
                    raise self.error(f"{error.msg[0].lower()}{error.msg[1:]}", error.pos) from None
            except RecursionError:
                raise self.error("too deeply nested") from None
            else:
                return value

    def error(self, what: str, place: int | None = None) -> UserError:
        """An error at a place of the text at hand, or at the one up to which it was read."""
        line = self._line + self._text.count("\n", 0, self._place if place is None else place)
        return UserError(f"{self.where}: line {line}: not JSON: {what}")

    def _skip(self) -> None:
        found = _BLANKS.match(self._text, self._place)
        assert found is not None
        self._place = found.end()

    def _more(self) -> bool:
        """Forgets what was read, and reads on until there is twice as much; whether there was more."""
        self._line += self._text.count("\n", 0, self._place)
        parts = [self._text[self._place :]]
        wanted = more = len(parts[0])
        while more >= 0 and (part := next(self._waiting, "")):
            parts.append(part)
            more -= len(part)
        self._text, self._place = "".join(parts), 0
        return len(self._text) > wanted
