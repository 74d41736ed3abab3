"""Pairs from translation memories in TMX, the format in which translators and OPUS exchange them.

TMX 1.4b: https://www.gala-global.org/tmx-14b. XML is read by defusedxml, which refuses entities that a file declares.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal
from xml.etree.ElementTree import Element

from defusedxml import EntitiesForbidden
from defusedxml.ElementTree import ParseError, iterparse

from keras_s2s.data.files import Location, matching
from keras_s2s.data.pairs import Pair, Pairs
from keras_s2s.data.readers import READERS, Reader, Surroundings
from keras_s2s.errors import UserError
from keras_s2s.text.files import unpacked

_log = logging.getLogger(__name__)

Tags = Literal["drop", "symbols"]

_LANGUAGE = ("{http://www.w3.org/XML/1998/namespace}lang", "lang")  # `lang` is that of TMX 1.1.


@READERS.register
class TMXReader(Reader):
    """Translation memories, see `read_tmx`.

    Args:
        tmx: the file, or a pattern of several.
        languages: those of source and target, such as `[en, de]`.
        tags: of formatting inside a segment, such as bold type: `drop` them, or write them as `symbols`: `<1>` and
            `</1>` around a text, `<2/>` alone. The tokenizer must know them, see `tokenizer.symbols`.
    """

    key: ClassVar[str] = "tmx"
    together: ClassVar[tuple[str, ...]] = ("tmx", "languages")
    tmx: str
    languages: tuple[str, str]
    tags: Tags = "drop"

    def read(self, around: Surroundings) -> Iterator[Pair]:
        """Reads the units."""
        return tmx_pairs(around.place(self.tmx), self.languages, self.tags)

    def files(self, around: Surroundings) -> Sequence[Path]:
        """Those that match."""
        return matching(around.place(self.tmx))


def read_tmx(path: Location, languages: tuple[str, str], tags: Tags = "drop") -> Pairs:
    """Reads the segments of two languages of each unit.

    The language of a segment is that which is asked for, upper and lower case apart, or, if a unit has none, the first
    one that agrees up to the first hyphen: `en` finds `en-GB`, and `en-US` does, too. Units without one of the two are
    left out; a log message counts them.

    A segment is its text as it stands, with what `hi` marks. `bpt`, `ept`, `it`, `ph` and `ut` hold codes of the format
    that the text came from; the codes are left out, and with them what stands in their `sub`, as alternative texts of
    pictures. With symbols, `bpt` and `ept` become `<N>` and `</N>`, the others `<N/>`. Tags that belong together in
    source and target have one number: those with the same `x` or, without `x`, at the same place among the tags of
    their segment. Numbers begin at 1 in each unit.

    Args:
        path: a file, which may be compressed, or a pattern.
        languages: of source and target.
        tags: what becomes of `bpt`, `ept`, `it`, `ph` and `ut`.

    Raises:
        UserError: a file cannot be read, a line (named by number) is no XML, a file declares entities, or none of its
            units has both languages.
    """
    return Pairs.of(tmx_pairs(path, languages, tags))


def tmx_pairs(path: Location, languages: tuple[str, str], tags: Tags = "drop") -> Iterator[Pair]:
    """The pairs that `read_tmx` reads, one after the other."""
    for file in matching(path):
        yield from _pairs(file, languages, tags)


def _pairs(path: Path, languages: tuple[str, str], tags: Tags) -> Iterator[Pair]:
    units = left_out = 0
    there: dict[str, None] = {}
    for unit in _units(path):
        units += 1
        variants = _variants(unit)
        segments = [_segment(variants, language) for language in languages]
        if any(segment is None for segment in segments):
            left_out += 1
            there.update(dict.fromkeys(variants))
            continue
        numbers = _Numbers()
        source, target = (
            _text(segment, _Symbols(numbers) if tags == "symbols" else None)
            for segment in segments
            if segment is not None
        )
        yield Pair(source, target)
    wanted = " and ".join(map(repr, languages))
    if units == left_out:
        others = f"; their languages are {', '.join(map(repr, list(there)[:8]))}" if there else ""
        raise UserError(f"{path}: none of {units} units has both {wanted}{others}")
    if left_out:
        _log.warning("%s: %s of %s units are left out, because they lack %s", path, left_out, units, wanted)


def _units(path: Path) -> Iterator[Element]:
    """The elements `tu`, one after the other; each is forgotten when the next one is asked for."""
    try:
        with unpacked(path.open("rb"), str(path)) as file:
            body = None
            for number, (event, element) in enumerate(iterparse(file, ("start", "end"))):
                name = _name(element)
                if number == 0 and name != "tmx":
                    raise UserError(f"{path}: begins with the element {name!r}; expected 'tmx'")
                if event == "start":
                    body = element if name == "body" else body
                elif name == "tu":
                    yield element
                    # Else all units would stay in memory, in that which holds them.
                    (element if body is None else body).clear()
    except ParseError as error:
        line, _ = error.position
        what = str(error).rsplit(": line ", 1)[0]
        raise UserError(f"{path}: line {line}: broken XML, or cut short: {what}") from None
    except EntitiesForbidden as error:
        raise UserError(
            f"{path}: declares the entity {error.name!r}, and such files are not read; write its text instead"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}; check the name") from None


def _name(element: Element) -> str:
    """Of an element, without its namespace."""
    return element.tag.rpartition("}")[2]


def _variants(unit: Element) -> dict[str, Element]:
    """The segments of a unit by language; of one that is there twice, the first."""
    found: dict[str, Element] = {}
    for variant in unit:
        language = next((variant.get(name) for name in _LANGUAGE if variant.get(name) is not None), None)
        segment = next((child for child in variant if _name(child) == "seg"), None)
        if _name(variant) == "tuv" and language is not None and segment is not None:
            found.setdefault(_plain(language), segment)
    return found


def _segment(variants: dict[str, Element], language: str) -> Element | None:
    wanted = _plain(language)
    if wanted in variants:
        return variants[wanted]
    main = wanted.split("-")[0]
    return next((segment for name, segment in variants.items() if name.split("-")[0] == main), None)


def _plain(language: str) -> str:
    return language.lower().replace("_", "-")


class _Numbers:
    """Numbers of the tags of a unit: tags of source and target that belong together have the same one."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def of(self, kind: str, name: str) -> int:
        """That of the tag which `kind` and `name` identify in both languages."""
        return self._numbers.setdefault((kind, name), len(self._numbers) + 1)


class _Symbols:
    """Symbols of the tags of one segment."""

    def __init__(self, numbers: _Numbers) -> None:
        self._numbers = numbers
        self._count = 0
        self._opened: dict[str | None, int] = {}

    def of(self, tag: Element) -> str:
        """That of the next tag."""
        name = _name(tag)
        if name == "ept" and tag.get("i") in self._opened:
            return f"</{self._opened.pop(tag.get('i'))}>"
        self._count += 1
        x = tag.get("x")
        number = self._numbers.of("place", str(self._count)) if x is None else self._numbers.of("x", x)
        if name == "bpt":
            self._opened[tag.get("i")] = number
            return f"<{number}>"
        return f"</{number}>" if name == "ept" else f"<{number}/>"


def _text(element: Element, symbols: _Symbols | None) -> str:
    """The text of a segment, or of what `hi` marks in it."""
    parts = [element.text or ""]
    for child in element:
        if _name(child) == "hi":
            parts.append(_text(child, symbols))
        elif symbols is not None:
            parts.append(symbols.of(child))
        parts.append(child.tail or "")
    return "".join(parts)
