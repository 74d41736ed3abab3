"""The stage of a recipe that encodes its training pairs and writes the ids down as a map."""

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from keras_s2s import status
from keras_s2s.data import Examples, Pairs
from keras_s2s.data.columns import mapped_examples, slices
from keras_s2s.data.corpus_map import MapWriter, check, is_complete, open_map
from keras_s2s.data.examples import Texts
from keras_s2s.data.preparing import Encoding
from keras_s2s.data.workers import OrderedMap
from keras_s2s.recipe.made_from import MadeFrom
from keras_s2s.recipe.stages import stage
from keras_s2s.text import Tokenizer

_BLOCK = 20_000  # pairs; a change needs another `corpus_map._FORMAT`: half a map goes on at the next block


def training_examples(
    pairs: Pairs,
    fingerprint: str,
    source_tokenizer: Tokenizer | None,
    target_tokenizer: Tokenizer,
    folder: Path,
    say: Callable[[str], None],
    on_cores: OrderedMap,
) -> Examples:
    """Encodes training pairs, unless that was done before.

    Args:
        pairs: of a map.
        fingerprint: of the pairs.
        source_tokenizer: None for a language model, and for features, which stay in the map of the pairs.
        target_tokenizer: of the targets.
        folder: of the recipe's stages.
        say: is told what happens.
        on_cores: does the work.

    Raises:
        UserError: the map was changed.
    """
    below = folder / "examples"
    work = Encoding(None if source_tokenizer is None else source_tokenizer.model, target_tokenizer.model)
    inputs = {"the training pairs": fingerprint, "the tokenizers": work.fingerprint}

    def make(below: Path) -> None:
        with status.shown(Console(), "examples") as tell:
            _write(pairs, work, below, on_cores, tell)

    stage(below, MadeFrom(inputs=inputs), make, say, is_there=lambda below: is_complete(below / "train"))
    corpus = open_map(below / "train")
    with status.doing("checking the training examples"):
        check(corpus)
    return mapped_examples(corpus, Texts(pairs.sources, pairs.targets, source_tokenizer, target_tokenizer))


def _write(pairs: Pairs, work: Encoding, folder: Path, on_cores: OrderedMap, tell: status.Tell) -> None:
    path = folder / "train"
    if is_complete(path):
        return
    writer = MapWriter(path)
    done, began = sum(part.rows for part in writer.parts), time.monotonic()
    read = 0
    if work.source_model is None:  # Nobody reads sources.
        pairs = Pairs(pairs.targets, pairs.targets, pairs.weights)
    blocks = (block for block, span in slices(pairs, _BLOCK) if span.start >= done)
    for part in on_cores(work, blocks):
        writer.append(part)
        read += len(part)
        rate = read / max(time.monotonic() - began, 1e-9)
        tell(f"{done + read:,} of {len(pairs):,} pairs, {rate:,.0f} a second")
    writer.finish()
