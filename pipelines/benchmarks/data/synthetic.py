"""Any number of pairs, made of those of Tatoeba.

Half are one pair of Tatoeba, half two, one behind the other. One in five has a made-up name before it, some names often
and most seldom, so that new words come to the very end; one in twenty has a number behind it.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

TATOEBA = Path(os.environ["KERAS_S2S_DATA"]) / "tatoeba"
_SYLLABLES = [
    first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "el", "in", "or")
]
_NAMES = 200_000


def write(path: Path, count: int, seed: int = 1) -> None:
    """Writes a TSV file of so many pairs. A shorter file is the beginning of a longer one."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_lines(count, random.Random(seed)))


def _lines(count: int, rng: random.Random) -> Iterator[str]:
    pairs = [line.split("\t") for line in (TATOEBA / "eng-deu.train.tsv").read_text("utf-8").splitlines()]
    names = ["".join(rng.choices(_SYLLABLES, k=rng.choice((2, 3)))).capitalize() for _ in range(_NAMES)]
    draw = rng.random
    for _ in range(count):
        source, target = pairs[int(draw() * len(pairs))]
        if draw() < 0.5:
            other = pairs[int(draw() * len(pairs))]
            source, target = f"{source} {other[0]}", f"{target} {other[1]}"
        if draw() < 0.2:
            name = names[int(draw() ** 4 * _NAMES)]
            source, target = f"{name}, {source}", f"{name}, {target}"
        if draw() < 0.05:
            number = int(draw() ** 3 * 10**6)
            source, target = f"{source} ({number})", f"{target} ({number})"
        yield f"{source}\t{target}\n"
