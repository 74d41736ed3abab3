"""Texts that a tokenizer cannot write as they stand."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from keras_s2s.text.tokenizer import Tokenizer

_BEFORE, _SHOWN = 20, 60  # characters of a long text: in front of the first difference, and in all
_MOST_NAMED = 5
_UNKNOWN = "⁇"


@dataclass(frozen=True)
class Unwritable:
    """A text that does not come back from the ids it becomes.

    Attributes:
        number: its place among the texts, from 1.
        text: what should be written.
        written: what a model that gives the right ids writes.
    """

    number: int
    text: str
    written: str

    def __str__(self) -> str:
        """The text, what is written instead, and the characters that are not written, with their code points."""
        start = max(0, self._differences[0][0] - _BEFORE)
        named = list(dict.fromkeys(self._characters()))
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        return (
            f"{_part(self.text, start)} would be {_part(self.written, start)} ({', '.join(named[:_MOST_NAMED])}{more})"
        )

    @property
    def _differences(self) -> list[tuple[int, int, int, int]]:
        """Where they differ: first and last + 1 in the text, and in `_signs`."""
        found = SequenceMatcher(None, self.text, self._signs, autojunk=False).get_opcodes()
        return [(a, b, c, d) for tag, a, b, c, d in found if tag != "equal"]

    @property
    def _signs(self) -> str:
        """What is written, without the spaces around what is unknown: they stand for no space of the text."""
        return self.written.replace(f" {_UNKNOWN} ", _UNKNOWN)

    def _characters(self) -> Iterator[str]:
        lost = [self.text[first:end] for first, end, _, _ in self._differences]
        if any(lost):
            yield from map(_named, "".join(lost))
        else:
            added = [self._signs[first:end] for _, _, first, end in self._differences]
            yield from (f"added: {_named(character)}" for character in "".join(added))


def unwritable(texts: Sequence[str], tokenizer: Tokenizer) -> list[Unwritable]:
    """Returns the texts that decoding does not give back: `decode(encode(text)) != text`.

    A model with this tokenizer for its targets can never write them: the tokenizer's normalization changes a
    character or the spaces, or no piece has it.
    """
    written = tokenizer.decode(tokenizer.encode(texts))
    pairs = enumerate(zip(texts, written, strict=True), start=1)
    return [Unwritable(number, text, found) for number, (text, found) in pairs if text != found]


def _part(text: str, start: int) -> str:
    part = text[start : start + _SHOWN]
    return f"'{'…' if start else ''}{_printable(part)}{'…' if start + _SHOWN < len(text) else ''}'"


def _printable(text: str) -> str:
    """Shows what would not be seen, or would break the line, as its code point; a space is a space."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text)


def _named(character: str) -> str:
    sign = f" {character}" if character.isprintable() and not unicodedata.combining(character) else ""
    name = unicodedata.name(character, "").lower()
    return f"U+{ord(character):04X}{sign}" if sign.strip() else f"U+{ord(character):04X} {name}".rstrip()
