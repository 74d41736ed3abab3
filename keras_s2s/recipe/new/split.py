"""Dev and test data, split off so that no source is in two splits."""

import random
import unicodedata
from typing import NamedTuple

from keras_s2s.data import Pairs
from keras_s2s.errors import UserError

_FEWEST, _MOST = 20, 1000
_LEAST_SOURCES = 3 * _FEWEST


class Splits(NamedTuple):
    """The splits, none of whose pairs has an empty side.

    Attributes:
        left_out: pairs with a source that dev or test has already.
        known: how many sources of a given dev or test are in train, too.
    """

    train: Pairs
    dev: Pairs
    test: Pairs
    left_out: int
    known: dict[str, int]


def split(train: Pairs, dev: Pairs | None, test: Pairs | None, seed: int) -> Splits:
    """Splits off dev and test data where there are none.

    Sources that differ in nothing but case, white space and compatible characters are one source here. So many
    different sources, drawn by the seed, go to dev, and as many others to test: a tenth up to 100, a twentieth
    up to 1,000, at least 20. Of each the first pair is taken, and its other pairs are left out.

    Args:
        train: pairs.
        dev: pairs that are taken as they are.
        test: pairs that are taken as they are.
        seed: of the choice.

    Raises:
        UserError: there are too few sources.
    """
    given = {name: pairs for name, pairs in (("dev", dev), ("test", test)) if pairs is not None}
    taken = {key for pairs in given.values() for key in map(_key, pairs.sources)}
    keys = [_key(source) for source in train.sources]
    first: dict[str, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    known = {name: len(set(map(_key, pairs.sources)) & first.keys()) for name, pairs in given.items()}
    free = [key for key in first if key not in taken]
    missing = [name for name in ("dev", "test") if name not in given]
    if missing and len(free) < _LEAST_SOURCES:
        told = "1 different source" if len(free) == 1 else f"{len(free)} different sources"
        outside = "".join(f" that {name} does not have" for name in given)
        raise UserError(
            f"{told}{outside}: too few to split off {' and '.join(missing)}; give at least "
            f"{_LEAST_SOURCES}, or {' and '.join(f'--{name}' for name in missing)}"
        )
    random.Random(seed).shuffle(free)
    count = size(len(free))
    for number, name in enumerate(missing):
        chosen = free[number * count : (number + 1) * count]
        given[name] = train.take(sorted(first[key] for key in chosen))
    held_out = {key for number in range(len(missing)) for key in free[number * count : (number + 1) * count]}
    rest = [row for row, key in enumerate(keys) if key not in held_out]
    left_out = len(keys) - len(rest) - len(held_out)
    return Splits(train.take(rest), given["dev"], given["test"], left_out, known)


def size(sources: int) -> int:
    """How many sources dev and test have of so many."""
    return min(_MOST, max(sources // 20, min(sources // 10, 100), _FEWEST))


def _key(source: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", source).casefold().split())
