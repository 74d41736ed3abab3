"""Readers: the formats of corpora that a recipe's `data` may name.

A format is a file of its own: a function that reads it one pair, or one block of pairs, after the other, and a `Reader`
that a recipe can name.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import ValidationError

from keras_s2s.config import Config
from keras_s2s.data.files import LINES
from keras_s2s.data.pairs import Block, Pair, Pairs
from keras_s2s.errors import UserError
from keras_s2s.registry import ConfigRegistry


class Surroundings(NamedTuple):
    """A recipe's settings that apply to a corpus.

    Attributes:
        place: gives the path of a file that the recipe names; environment variables are filled in, and a relative name
            starts at the recipe's folder. Patterns such as `*.tsv` stay patterns.
        features: of recordings, from the samples (N,) and their rate in Hz to (S, F), as `data.log_mel` says.
    """

    place: Callable[[str], Path]
    features: Callable[[np.ndarray, int], np.ndarray]


class Reader(Config, ABC):
    """A corpus in some format. A subclass's fields are the keys of a corpus in a recipe's `data`.

    `train: {tmx: corpus.tmx, languages: [en, de]}` is read by the reader whose `key` is `tmx`, made with the fields
    `tmx` and `languages`. A recipe may say `name`, `weight` and `tag` of every corpus; these are no fields of a reader.

    Attributes:
        key: the field that names the reader, which no other reader has as its key.
        together: what a recipe must say for this format, as an error names it; the key alone if it is empty.
        is_speech: whether the sources are features instead of texts.
    """

    key: ClassVar[str]
    together: ClassVar[tuple[str, ...]] = ()
    is_speech: ClassVar[bool] = False

    @property
    def has_sources(self) -> bool:
        """Whether this is more than targets, which are enough for a language model alone."""
        return True

    @abstractmethod
    def read(self, around: Surroundings) -> Iterable[Pair]:
        """Reads the corpus, one pair after the other, so that it may be larger than memory.

        Args:
            around: where its files are.

        Returns:
            At least one pair, as a generator or as `Pairs`; sources are texts, or features (S, F) float32 where
            `is_speech`.

        Raises:
            UserError: names the file, and the line or record, that cannot be read; a generator raises it where it gets
                there.
        """

    def blocks(self, around: Surroundings, size: int) -> Iterator[Block]:
        """Reads the corpus in blocks, so that several processes can share the work.

        Args:
            around: where its files are.
            size: pairs of a block, at most.

        Returns:
            Blocks whose `pairs()`, one block after the other, are those of `read`. By default they are `Pairs`. A
            format that is slow to decode gives blocks that are decoded by `pairs()`.

        Raises:
            UserError: as `read`; what is found by decoding is raised by `pairs()` of the block.
        """
        pairs = iter(self.read(around))
        while block := Pairs.of(islice(pairs, size)):
            yield block

    def files(self, around: Surroundings) -> Sequence[Path] | None:
        """The files whose bytes decide what is read; None if only reading tells.

        Raises:
            UserError: there are none of that name.
        """
        return None


class BlocksReader(Reader):
    """Base of readers that know best how to give blocks: `read` is made of them."""

    @abstractmethod
    def blocks(self, around: Surroundings, size: int) -> Iterator[Block]:
        """Reads the corpus in blocks, see `Reader.blocks`."""

    def read(self, around: Surroundings) -> Iterator[Pair]:
        """Reads the corpus, see `Reader.read`."""
        return (pair for block in self.blocks(around, LINES) for pair in block.pairs())


_OF_EVERY_CORPUS = ("name", "weight", "tag")


def _key_of(reader: type[Reader]) -> str:
    key = getattr(reader, "key", None)
    if not isinstance(key, str) or key not in reader.model_fields:
        raise UserError(f"{reader.__name__}: needs a key that is one of its fields, such as key: ClassVar[str] = 'tmx'")
    for name in _OF_EVERY_CORPUS:
        if name in reader.model_fields:
            raise UserError(f"{reader.__name__}: the field '{name}' is a key of every corpus; give it another name")
    return key


READERS: ConfigRegistry[Reader] = ConfigRegistry("reader", Reader, _key_of)
"""All readers by their key; `READERS.register` adds one."""


def reader_of(corpus: Mapping[str, Any]) -> Reader:
    """Makes the reader that a corpus of a recipe names.

    Args:
        corpus: keys and values, without those of every corpus. A value of None counts as not given.

    Raises:
        UserError: no reader is named, or several, or a key belongs to other readers.
        ValidationError: there is no such key, or a value is of another type; locations begin at the corpus.
    """
    given = {key: value for key, value in corpus.items() if value is not None}
    for key, value in given.items():
        if not readers_with(key):
            raise ValidationError.from_exception_data(
                "Reader", [{"type": "extra_forbidden", "loc": (key,), "input": value}]
            )
    named = [key for key in given if key in READERS]
    if len(named) != 1:
        forms = [" and ".join(map(repr, reader.together or (key,))) for key, reader in READERS.items()]
        raise UserError(f"expected one of {', or '.join(forms)}")
    reader = READERS[named[0]]
    for key in given:
        if key not in reader.model_fields:
            others = " or ".join(repr(other.key) for other in readers_with(key))
            raise UserError(f"'{key}' goes with {others}, not '{reader.key}'")
    return reader.model_validate(given)


def readers_with(key: str) -> list[type[Reader]]:
    """The readers that have a field of that name."""
    return [reader for reader in READERS.values() if key in reader.model_fields]
