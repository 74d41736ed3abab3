"""Which source place each label comes from, for guided alignment."""

import os
import re
from collections.abc import Iterator

import numpy as np

from keras_s2s.data.blocks import blocks
from keras_s2s.data.model_1 import Model1, Rows, learn, sample, without_eos
from keras_s2s.data.pairs import Pairs
from keras_s2s.data.ragged import Ragged
from keras_s2s.data.readers.text import read_lines
from keras_s2s.errors import UserError

_LINK = re.compile(r"(\d+)-(\d+)")


# Pairs that are aligned together.
_PAIRS = 20_000
_ITERATIONS = 8


def align(sources: Rows, targets: Rows, *, iterations: int = _ITERATIONS) -> Ragged:
    """Aligns each pair by its most probable links under IBM model 1.

    The model is learnt from the same pairs, or from a sample of many, see `learn_lexicon`.

    Args:
        sources: ids of each source, without padding, with EOS behind them or without.
        targets: ids of each target, as many.
        iterations: of EM.

    Returns:
        Of each pair the source place, from 0, of each target id but EOS, (T,) int32, see `Model1.align`.

    Raises:
        UserError: there is no pair, or not as many targets as sources.
    """
    model = learn(*sample(sources, targets), iterations)
    return Ragged.join([model.align(*block) for block in _blocks(sources, targets)])


def learn_alignments(sources: Rows, targets: Rows) -> Ragged:
    """Aligns labels to source places as `align` does; EOS is aligned to EOS.

    Args:
        sources: ids of each source, with EOS behind them or without.
        targets: ids of each target, with EOS behind them or without.

    Returns:
        Of each pair the place of each label in the source, (T,) int32, EOS the last; -1 where none is known.
    """
    model = learn_model(sources, targets)
    one, other = Ragged.of(sources), Ragged.of(targets)
    return Ragged.join([aligned(model, one[block], other[block]) for block in blocks(len(one), _PAIRS)])


def learn_model(sources: Rows, targets: Rows) -> Model1:
    """The model of `learn_alignments`, which takes the same pairs."""
    return learn(*sample(sources, targets), iterations=_ITERATIONS)


def aligned(model: Model1, sources: Ragged, targets: Ragged) -> Ragged:
    """Some of the rows of `learn_alignments`, whose model was learnt before."""
    sources, targets = without_eos(sources), without_eos(targets)
    return _with_eos(sources, model.align(sources, targets))


def read_alignments(path: str | os.PathLike[str], pairs: Pairs, sources: Rows, targets: Rows) -> Ragged:
    """Reads alignments by words, such as fast_align and eflomal write: a line a pair of links `source-target`, from 0.

    Of several links of a target word the first in the source counts.

    Args:
        path: the file, lines such as `0-0 1-2 2-1`.
        pairs: texts, as many as lines.
        sources: ids of each source, without EOS.
        targets: ids of each target, without EOS.

    Returns:
        As `learn_alignments`.

    Raises:
        UserError: the file has not a line for each pair, a link is malformed or leads outside its pair, or ids are not
            words.
    """
    lines = read_lines(path)
    if len(lines) != len(pairs):
        raise UserError(f"{path}: {len(lines)} lines, but there are {len(pairs)} pairs; give each pair one line")
    places = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}: line {number}"
        source, target = sources[number - 1], targets[number - 1]
        for text, ids in ((pairs.sources[number - 1], source), (pairs.targets[number - 1], target)):
            if len(text.split()) != len(ids):
                raise UserError(
                    f"{where}: '{text}' is {len(text.split())} words but {len(ids)} ids; alignments by words need "
                    "tokenizers of kind word, or leave the file out and let them be learnt"
                )
        places.append(_places(line, len(source), len(target), where))
    return _with_eos(Ragged.of(sources), Ragged.of(places))


def _places(line: str, source_length: int, target_length: int, where: str) -> np.ndarray:
    """The first source place of each target place, or -1."""
    places = np.full(target_length, -1, np.int32)
    for word in line.split():
        match = _LINK.fullmatch(word)
        if not match:
            raise UserError(f"{where}: '{word}' is no link; expected source-target, such as 0-2")
        source, target = int(match[1]), int(match[2])
        if source >= source_length or target >= target_length:
            raise UserError(
                f"{where}: '{word}' leads outside the pair of {source_length} and {target_length} words; count from 0"
            )
        if places[target] < 0 or source < places[target]:
            places[target] = source
    return places


def _with_eos(sources: Ragged, places: Ragged) -> Ragged:
    values = np.insert(places.values.astype(np.int32), places.ends, sources.lengths)
    return Ragged(values, places.ends + np.arange(1, len(places) + 1))


def _blocks(sources: Rows, targets: Rows) -> Iterator[tuple[Ragged, Ragged]]:
    """Pairs without EOS."""
    for block in blocks(len(sources), _PAIRS):
        yield without_eos(sources[block]), without_eos(targets[block])
