"""Pairs from translation memories in TMX, the format in which translators and OPUS exchange them.

TMX 1.4b: https://www.gala-global.org/tmx-14b. XML is read by defusedxml, which refuses entities that a file declares.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from defusedxml import EntitiesForbidden
from defusedxml.ElementTree import ParseError, XMLParser

from keras_s2s.data.files import Location, matching
from keras_s2s.data.pairs import Pair, Pairs
from keras_s2s.data.readers import READERS, Reader, Surroundings
from keras_s2s.errors import UserError
from keras_s2s.text.files import unpacked

_log = logging.getLogger(__name__)

Tags = Literal["drop", "symbols"]

_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"  # TMX 1.1 has `lang`.
_BYTES = 1 << 16


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
    of_source, of_target = map(_plain, languages)
    for unit in _units(path):
        units += 1
        source, target = _segment(unit, of_source), _segment(unit, of_target)
        if source is None or target is None:
            left_out += 1
            there.update(dict.fromkeys(unit))
            continue
        numbers = _Numbers() if tags == "symbols" else None
        yield Pair(_text(source, numbers), _text(target, numbers))
    wanted, lacking = (f" {word} ".join(map(repr, languages)) for word in ("and", "or"))
    if units == left_out:
        others = f"; their languages are {', '.join(map(repr, list(there)[:8]))}" if there else ""
        raise UserError(f"{path}: none of {units} units has both {wanted}{others}")
    if left_out:
        _log.warning("%s: %s of %s units are left out, because they lack %s", path, left_out, units, lacking)


def _units(path: Path) -> Iterator["_Unit"]:
    """The units of a file, one after the other."""
    handler = _Handler(path)
    try:
        with unpacked(path.open("rb"), str(path)) as file:
            parser = XMLParser(target=handler)
            while content := file.read(_BYTES):
                parser.feed(content)
                yield from handler.take()
            parser.close()
    except ParseError as error:
        line, _ = error.position
        what = str(error).rsplit(": line ", 1)[0]
        raise UserError(f"{path}: line {line}: broken XML, or cut short: {what}") from None
    except EntitiesForbidden as error:
        raise UserError(
            f"{path}: declares the entity {error.name!r}, and such files are not read; write its text instead"
        ) from None
    except LookupError as error:
        raise UserError(f"{path}: {error}; write the file in UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}; check the name") from None


class _Tag(NamedTuple):
    """A tag inside a segment: `bpt`, `ept`, `it`, `ph` or `ut`, and its attributes `i` and `x`."""

    name: str
    i: str | None
    x: str | None


_Segment = list[str | _Tag]
"""Texts and tags of a segment."""

_Unit = dict[str, _Segment]
"""The segments of a unit by language; of one that is there twice, the first."""


class _Handler:
    """Makes units of what the parser says. No tree is built, so that nothing is kept but units not taken yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._units: list[_Unit] = []
        self._unit: _Unit | None = None  # None until the first element.
        self._language = ""
        self._segment: _Segment | None = None  # None outside of a segment.
        self._codes = 0  # How many elements with codes are open.

    def take(self) -> list[_Unit]:
        """The units that are complete."""
        units, self._units = self._units, []
        return units

    def start(self, element: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        name = element.rpartition("}")[2]
        if self._segment is not None:
            if name == "hi":
                return
            if not self._codes:
                self._segment.append(_Tag(name, attributes.get("i"), attributes.get("x")))
            self._codes += 1
        elif name == "seg":
            self._segment = []
        elif name == "tuv":
            self._language = _plain(attributes.get(_LANGUAGE) or attributes.get("lang") or "")
        elif name == "tu":
            self._unit = {}
        elif self._unit is None:
            if name != "tmx":
                raise UserError(f"{self._path}: begins with the element {name!r}; expected 'tmx'")
            self._unit = {}

    def data(self, text: str) -> None:
        """Text, maybe a part of one."""
        if self._segment is not None and not self._codes:
            self._segment.append(text)

    def end(self, element: str) -> None:
        """An element ends."""
        name = element.rpartition("}")[2]
        if self._segment is not None:
            if name == "seg":
                assert self._unit is not None
                self._unit.setdefault(self._language, self._segment)
                self._segment = None
            elif name != "hi":
                self._codes -= 1
        elif name == "tu":
            assert self._unit is not None
            self._units.append(self._unit)

    def close(self) -> None:
        """The file ends."""


def _segment(unit: _Unit, language: str) -> _Segment | None:
    if language in unit:
        return unit[language]
    main = language.split("-")[0]
    return next((segment for name, segment in unit.items() if name.split("-")[0] == main), None)


def _plain(language: str) -> str:
    return language.lower().replace("_", "-")


class _Numbers:
    """Numbers of the tags of a unit: tags of source and target that belong together have the same one."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str | int], int] = {}

    def of(self, tag: _Tag, place: int) -> int:
        """That of a tag, which stands at a place among those of its segment."""
        name = ("place", place) if tag.x is None else ("x", tag.x)
        return self._numbers.setdefault(name, len(self._numbers) + 1)


def _text(segment: _Segment, numbers: _Numbers | None) -> str:
    """The text of a segment, without tags or, with numbers, with symbols for them."""
    if numbers is None:
        return "".join(part for part in segment if isinstance(part, str))
    texts, count = [], 0
    opened: dict[str | None, int] = {}
    for part in segment:
        if isinstance(part, str):
            texts.append(part)
        elif part.name == "ept" and part.i in opened:
            texts.append(f"</{opened.pop(part.i)}>")
        else:
            count += 1
            number = numbers.of(part, count)
            if part.name == "bpt":
                opened[part.i] = number
            texts.append({"bpt": f"<{number}>", "ept": f"</{number}>"}.get(part.name, f"<{number}/>"))
    return "".join(texts)
