"""Texts that a tokenizer cannot write as they stand."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from keras_s2s.text.tokenizer import Tokenizer

_BEFORE, _SHOWN = 20, 60  # characters of a long text: in front of the first difference, and in all
_COMPARED = 500  # characters that are aligned, which takes time by their square
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
        pairs = enumerate(zip(self.text, self.written, strict=False))
        same = next((place for place, (a, b) in pairs if a != b), min(len(self.text), len(self.written)))
        start = max(0, same - _BEFORE)
        named = list(dict.fromkeys(self._characters(max(0, same - 1))))
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        return (
            f"{_part(self.text, start)} would be {_part(self.written, start)} ({', '.join(named[:_MOST_NAMED])}{more})"
        )

    def _characters(self, start: int) -> Iterator[str]:
        """The characters that are lost after a place, or, if none are, those that are added; long texts are cut."""
        text, written = (whole[start : start + _COMPARED] for whole in (self.text, self.written))
        # The spaces around what is unknown stand for no space of the text.
        if (signs := written.replace(f" {_UNKNOWN} ", _UNKNOWN)) != text:
            written = signs
        found = SequenceMatcher(None, text, written, autojunk=False).get_opcodes()
        differences = [places for places in found if places[0] != "equal"]
        if lost := "".join(text[first:end] for _, first, end, _, _ in differences):
            yield from map(_named, lost)
        else:
            added = "".join(written[first:end] for _, _, _, first, end in differences)
            yield from (f"added: {_named(character)}" for character in added)


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
