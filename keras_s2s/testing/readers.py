"""Checks of a reader."""

import pickle
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.audio import LogMel
from keras_s2s.config import parse
from keras_s2s.data import READERS, Pair, Pairs, Reader, Surroundings
from keras_s2s.data.pairs import join
from keras_s2s.errors import UserError
from keras_s2s.recipe.data_schema import Files


def check_reader(
    corpus: Mapping[str, Any],
    folder: Path,
    expected: Pairs | None = None,
    mistakes: Mapping[str, bytes] | None = None,
    features: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> Pairs:
    """Checks that a recipe can name a corpus, that its reader keeps its contract, and returns the pairs.

    Args:
        corpus: as in a recipe's `data`, such as `{"tmx": "corpus.tmx", "languages": ["en", "de"]}`.
        folder: where relative names start.
        expected: the pairs that the corpus has.
        mistakes: contents that the file named by the reader's key may not have, by a text that the error must hold,
            such as the number of a line. Of readers of one file that lies in `folder`.
        features: of recordings; those of the default `data.log_mel` if None.

    Raises:
        AssertionError: the contract is broken; says how.
    """
    files = parse(Files, dict(corpus), "corpus")
    reader = files.reader
    assert READERS[reader.key] is type(reader), f"{reader.key}: another class is registered under this key"
    again = parse(Files, files.model_dump(mode="json"), "corpus")
    assert again == files, f"{reader.key}: written as JSON and read again, the keys are {again}, not {files}"
    around = Surroundings(lambda name: folder / name, features or LogMel())
    pairs = _read(reader, around)
    _check_pairs(pairs, reader.key, reader.is_speech)
    assert _equal(pairs, _read(reader, around)), f"{reader.key}: read twice, the pairs differ"
    for size in (1, len(pairs) + 1):
        _check_blocks(reader, around, size, pairs)
    _check_files(reader, around)
    if expected is not None:
        assert _equal(pairs, expected), f"{reader.key}: read {pairs}, expected {expected}"
    for message, content in (mistakes or {}).items():
        _check_mistake(lambda: _read(reader, around), folder / getattr(reader, reader.key), content, message)
    absent = Surroundings(lambda name: folder / "absent" / name, around.features)
    _check_absent(lambda: _read(reader, absent), reader.key)
    return pairs


def _read(reader: Reader, around: Surroundings) -> Pairs:
    read = reader.read(around)
    if isinstance(read, Pairs):
        return read
    assert isinstance(read, Iterable), f"{reader.key}: read() returned {type(read).__name__}; expected pairs"
    pairs = list(read)
    for number, pair in enumerate(pairs, start=1):
        assert isinstance(pair, Pair), f"{reader.key}: read() gave a {type(pair).__name__} as pair {number}, not a Pair"
    return Pairs.of(pairs)


def _check_blocks(reader: Reader, around: Surroundings, size: int, pairs: Pairs) -> None:
    what = f"{reader.key}: in blocks of {size}"
    # As a process gets them that decodes them.
    blocks = [pickle.loads(pickle.dumps(block)).pairs() for block in reader.blocks(around, size)]
    assert all(0 < len(block) <= size for block in blocks), f"{what}, one has more pairs, or none"
    assert _equal(join(blocks), pairs), f"{what}, the pairs are not those of read()"


def _check_files(reader: Reader, around: Surroundings) -> None:
    for file in reader.files(around) or ():
        assert Path(file).is_file(), f"{reader.key}: files() names {file}, which is no file"


def _check_pairs(pairs: Pairs, key: str, is_speech: bool) -> None:
    assert len(pairs), f"{key}: no pairs, which must be a UserError"
    for number, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True), start=1):
        assert isinstance(target, str), f"{key}: pair {number}: the target is {type(target).__name__}, not a text"
        if is_speech:
            is_right = isinstance(source, np.ndarray) and source.ndim == 2 and source.dtype == np.float32
            assert is_right, f"{key}: pair {number}: the source must be an array (S, F) of float32"
        else:
            assert isinstance(source, str), f"{key}: pair {number}: the source is {type(source).__name__}, not a text"


def _check_mistake(read: Callable[[], Pairs], file: Path, content: bytes, message: str) -> None:
    right = file.read_bytes()
    file.write_bytes(content)
    try:
        error = _error_of(read, f"{file} with {content[:80]!r}")
    finally:
        file.write_bytes(right)
    assert file.name in error, f"the error does not name the file {file.name}: {error}"
    assert message in error, f"the error does not hold {message!r}: {error}"


def _check_absent(read: Callable[[], Pairs], key: str) -> None:
    assert "absent" in _error_of(read, f"{key}: a file that is not there"), f"{key}: the error does not name the file"


def _error_of(read: Callable[[], Pairs], what: str) -> str:
    """The one line of the error that must be raised."""
    try:
        read()
    except UserError as error:
        assert "\n" not in str(error), f"{what}: the error has several lines: {error}"
        return str(error)
    except Exception as error:
        raise AssertionError(f"{what}: raised {type(error).__name__}, expected a UserError: {error}") from error
    raise AssertionError(f"{what}: was read without an error")


def _equal(one: Pairs, other: Pairs) -> bool:
    same = len(one) == len(other) and list(one.targets) == list(other.targets)
    same = same and all(np.array_equal(a, b) for a, b in zip(one.sources, other.sources, strict=True))
    return (
        same
        and (one.weights is None) == (other.weights is None)
        and [pair.weight for pair in one] == [pair.weight for pair in other]
    )
