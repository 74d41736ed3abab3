"""Words of the source in the place of unknown tokens (Luong et al. 2015)."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from keras_s2s.special_ids import UNKNOWN
from keras_s2s.text.tokenizer import Tokenizer

# Of names of characters: scripts that put no spaces between words.
_UNSPACED = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR"}
# General categories of what a word may follow only after a space: closing brackets and quotes, other punctuation.
_SPACE_BEHIND = {"Pe", "Pf", "Po"}


class Span(NamedTuple):
    """Places of a text: the first, and the one after the last."""

    begin: int
    end: int


def with_source_words(
    target: Tokenizer, tokens: Sequence[int], attention: np.ndarray, text: str, pieces: Sequence[tuple[int, int]]
) -> str:
    """The text of an output, with what unknown tokens looked at in their place, as it stands in the source.

    Unknown tokens beside each other that are a whole word of the output become the words of the source that they looked
    at, each once. Others, with parts of a word beside them, become the piece alone. A space stands between words.

    Args:
        target: the tokenizer of the output.
        tokens: of the output, without EOS.
        attention: (T, S) or larger, where the model looked as it wrote each token.
        text: the source.
        pieces: where each piece of it stands; see `Tokenizer.spans`.
    """
    source = _Source(text, pieces)
    looked = [source.most(attention[place]) for place, token in enumerate(tokens) if token == UNKNOWN]
    known = target.around_unknown(tokens)
    written, before = known[0], None
    for first, last in _runs(known):
        after = known[last + 1]
        spans = looked[first : last + 1]
        opens = target.has_words or not _in_word(written[-1:]) or source.begins_word(spans[0])
        closes = target.has_words or not _in_word(after[:1])
        units = _without_repeats([source.word(span) if opens and closes else span for span in spans])
        if units[0] == before and not known[first].strip(" "):
            # The same word, written a second time.
            written, units = written.rstrip(" "), units[1:]
        elif written[-1:].strip() and (target.has_words or source.is_apart(spans[0], written[-1])):
            written += " "
        gaps = [" " if target.has_words else source.between(a, b) for a, b in pairwise(units)]
        for gap, unit in zip(["", *gaps], units, strict=False):
            written, before = written + gap + text[unit.begin : unit.end], unit
        written += after
    return written


class _Source:
    """A source, and where its pieces stand."""

    def __init__(self, text: str, pieces: Sequence[tuple[int, int]]) -> None:
        self._text = text
        self._spans = [self._visible(begin, max(end, begin + 1)) for begin, end in pieces]

    def _visible(self, begin: int, end: int) -> Span:
        """A span without spaces at its ends; empty, if it is nothing else."""
        part = self._text[begin:end]
        begin += len(part) - len(part.lstrip())
        return Span(begin, begin + len(part.strip()))

    def most(self, attention: np.ndarray) -> Span:
        """The piece that was looked at most, of those that are not only a space."""
        places = [place for place, span in enumerate(self._spans) if span.begin < span.end]
        return self._spans[max(places, key=lambda place: float(attention[place]))]

    def begins_word(self, span: Span) -> bool:
        """Whether a space or nothing stands before it."""
        return span.begin == 0 or self._text[span.begin - 1].isspace()

    def word(self, span: Span) -> Span:
        """The word that a piece belongs to, without punctuation around it; of a script without spaces, the piece."""
        text, (begin, end) = self._text, span
        part = text[begin:end]
        if not any(map(_in_word, part)) or any(map(_is_unspaced, part)):
            return span
        while begin and _continues(text[begin - 1]):
            begin -= 1
        while end < len(text) and _continues(text[end]):
            end += 1
        while begin < span.begin and _category(text[begin])[0] == "P":
            begin += 1
        while end > span.end and _category(text[end - 1])[0] == "P":
            end -= 1
        return Span(begin, end)

    def is_apart(self, span: Span, before: str) -> bool:
        """Whether a space has to stand between a character of the output and this part of the source."""
        joined = _is_unspaced(before) or _is_unspaced(self._text[span.begin])
        return self.begins_word(span) and not joined and (_in_word(before) or _category(before) in _SPACE_BEHIND)

    def between(self, one: Span, other: Span) -> str:
        """The space, if any, between two parts that are written one after the other."""
        first, second = sorted((one, other))
        return " " if any(map(str.isspace, self._text[first.end : second.begin])) else ""


def _runs(known: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The first and the last of unknown tokens that stand beside each other, given the texts around all of them."""
    first = 0
    for number in range(1, len(known)):
        if number == len(known) - 1 or known[number]:
            yield first, number - 1
            first = number


def _without_repeats(spans: Sequence[Span]) -> list[Span]:
    return [span for place, span in enumerate(spans) if not place or span != spans[place - 1]]


def _category(character: str) -> str:
    return unicodedata.category(character)


def _in_word(character: str) -> bool:
    """Whether it is a part of a word, so that what stands beside it is of the same one; "" is not."""
    return bool(character) and _category(character)[0] in "LMN" and not _is_unspaced(character)


def _is_unspaced(character: str) -> bool:
    return unicodedata.name(character, "").partition(" ")[0] in _UNSPACED


def _continues(character: str) -> bool:
    return not character.isspace() and not _is_unspaced(character)
