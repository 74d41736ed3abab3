"""Statistics of a corpus, from which a recipe is chosen."""

import itertools
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_s2s.data import Pairs
from keras_s2s.data.alignments import align

# Scripts whose words have no spaces between them.
UNSPACED = frozenset(("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"))
_NAMES = {"Cjk": "Han"}
_SAMPLE = 2000  # pairs
_LINKS = 2_000_000
_WORDS = 3


class Lengths(NamedTuple):
    """How long texts are: half of them at most `median`, 99 % at most `most`."""

    median: int
    most: int
    longest: int


class Side(NamedTuple):
    """Statistics of the texts of one side.

    Attributes:
        characters: lengths in characters.
        words: lengths in words, which white space separates.
        scripts: the share of each script among the letters, the largest first.
        running: words in running text.
        vocabulary: different words.
        alphabet: different characters.
        rare: the share of words in running text that occur nowhere else.
    """

    characters: Lengths
    words: Lengths
    scripts: dict[str, float]
    running: int
    vocabulary: int
    alphabet: int
    rare: float

    @property
    def script(self) -> str:
        """The most frequent one."""
        return next(iter(self.scripts), "no letters")

    @property
    def has_spaces(self) -> bool:
        """Whether words have spaces between them."""
        return self.script not in UNSPACED


class Seen(NamedTuple):
    """Statistics of the pairs.

    Attributes:
        pairs: how many.
        sources: different ones.
        repeated: pairs that stand there before.
        contradictory: sources with more than one target.
        contradiction: one of these, and two of its targets.
        copies: pairs whose target is the source.
        source: one side.
        target: the other one.
        monotone: see `monotone`; None where nothing could be aligned.
    """

    pairs: int
    sources: int
    repeated: int
    contradictory: int
    contradiction: tuple[str, str, str] | None
    copies: int
    source: Side
    target: Side
    monotone: float | None


def look(pairs: Pairs) -> Seen:
    """Looks at each text once.

    Args:
        pairs: texts, none of them empty.
    """
    targets: dict[str, set[str]] = {}
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        targets.setdefault(source, set()).add(target)
    several = [source for source, found in targets.items() if len(found) > 1]
    example = None
    if several:
        one, other = sorted(targets[several[0]])[:2]
        example = (several[0], one, other)
    source_side, target_side = side(pairs.sources), side(pairs.targets)
    return Seen(
        pairs=len(pairs),
        sources=len(targets),
        repeated=len(pairs) - sum(map(len, targets.values())),
        contradictory=len(several),
        contradiction=example,
        copies=sum(map(str.__eq__, pairs.sources, pairs.targets)),
        source=source_side,
        target=target_side,
        monotone=monotone(pairs, *(_is_words(each) for each in (source_side, target_side))),
    )


def side(texts: Sequence[str]) -> Side:
    """The statistics of one side."""
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    counts = np.zeros(len(texts), np.int64)
    for number, text in enumerate(texts):
        found = text.split()
        counts[number] = len(found)
        words.update(found)
        characters.update(text)
    once = sum(count == 1 for count in words.values())
    return Side(
        characters=_lengths(np.fromiter(map(len, texts), np.int64, len(texts))),
        words=_lengths(counts),
        scripts=_scripts(characters),
        running=int(counts.sum()),
        vocabulary=len(words),
        alphabet=len(characters),
        rare=once / max(int(counts.sum()), 1),
    )


def script(character: str) -> str | None:
    """The script of a letter, by the first word of its Unicode name, such as "Latin"; None of any other character.

    Letters that Unicode calls compatible with others, such as full-width ones, have the script of those.
    """
    plain = unicodedata.normalize("NFKC", character)[:1]
    # Modifier letters are used with every script.
    if not plain.isalpha() or unicodedata.category(plain) == "Lm":
        return None
    name = unicodedata.name(plain, "").partition(" ")[0].capitalize()
    return _NAMES.get(name, name) or None  # Letters for private use have no name.


def monotone(pairs: Pairs, source_words: bool, target_words: bool) -> float | None:
    """How far targets keep the order of their sources: 1 always, about 0.5 where the order is any.

    At most 2,000 pairs, evenly spread, are cut into words or characters and aligned by IBM model 1, learnt from the
    same pairs. Only links to a unit that its source has once count, for between equal ones model 1 cannot choose. The
    result is the share of links that do not go back behind the link before them in the same target.

    Args:
        pairs: texts.
        source_words: whether sources are cut into words; else into characters.
        target_words: the same for targets.

    Returns:
        The share, or None where no two links follow each other.
    """
    rows = _sample(len(pairs))
    sources = [_units(pairs.sources[row], source_words) for row in rows]
    targets = [_units(pairs.targets[row], target_words) for row in rows]
    sizes = np.cumsum([len(source) * len(target) for source, target in zip(sources, targets, strict=True)])
    count = int(np.searchsorted(sizes, _LINKS)) or 1
    sources, targets = sources[:count], targets[:count]
    forward = neighbours = 0
    for source, places in zip(sources, align(_ids(sources), _ids(targets)), strict=True):
        seen = Counter(source)
        kept = [place for place in places.tolist() if place >= 0 and seen[source[place]] == 1]
        forward += sum(one <= other for one, other in itertools.pairwise(kept))
        neighbours += max(len(kept) - 1, 0)
    return forward / neighbours if neighbours else None


def _is_words(texts: Side) -> bool:
    return texts.words.median >= _WORDS


def _sample(count: int) -> list[int]:
    return np.linspace(0, count - 1, min(count, _SAMPLE)).astype(int).tolist()


def _units(text: str, words: bool) -> list[str]:
    return text.split() if words else [character for character in text if not character.isspace()]


def _ids(rows: Sequence[Sequence[str]]) -> list[list[int]]:
    """Numbers of units from 4 on, as of a tokenizer."""
    known: dict[str, int] = {}
    return [[known.setdefault(unit, len(known) + 4) for unit in row] for row in rows]


def _lengths(counts: np.ndarray) -> Lengths:
    median, most = np.quantile(counts, (0.5, 0.99), method="inverted_cdf").tolist()
    return Lengths(int(median), int(most), int(counts.max()))


def _scripts(characters: Counter[str]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for character, count in characters.items():
        if (name := script(character)) is not None:
            found[name] += count
    return {name: count / found.total() for name, count in found.most_common()}
