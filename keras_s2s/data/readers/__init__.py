"""Readers: the formats of corpora that a recipe's `data` may name.

A format is a file of its own: a function that reads it into `Pairs`, and a `Reader` that a recipe can name.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import ValidationError

from keras_s2s.config import Config
from keras_s2s.data.pairs import Pairs
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
    def read(self, around: Surroundings) -> Pairs:
        """Reads the corpus.

        Args:
            around: where its files are.

        Returns:
            At least one pair; sources are texts, or features (S, F) float32 where `is_speech`.

        Raises:
            UserError: names the file, and the line or record, that cannot be read.
        """


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
