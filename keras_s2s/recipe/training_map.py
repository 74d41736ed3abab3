"""A stage of a recipe that makes a map of the training pairs, one block after the other."""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from keras_s2s import status
from keras_s2s.data.corpus_map import CorpusMap, MapWriter, Part, check, is_complete, open_map
from keras_s2s.data.workers import OrderedMap
from keras_s2s.recipe.made_from import MadeFrom
from keras_s2s.recipe.stages import stage

MAP = "train"  # in the folder of the stage
# Pairs: a few megabytes of text, some tens of features. A map that was begun goes on behind its last block, so a change
# needs another `corpus_map._FORMAT`.
BLOCK, BLOCK_OF_SPEECH = 20_000, 100


class Context(NamedTuple):
    """Where and how the stages of training data are made.

    Attributes:
        folder: of the recipe's stages.
        say: is told what happens, a line at a time.
        on_cores: does what is done to each block.
    """

    folder: Path
    say: Callable[[str], None]
    on_cores: OrderedMap


def training_map(
    name: str,
    inputs: Mapping[str, str],
    work: Callable[[], Callable[[Any], Part]],
    blocks: Iterable[Any],
    count: int,
    context: Context,
) -> CorpusMap:
    """Makes a map, unless that was done before from the same things.

    Args:
        name: of the stage.
        inputs: what the map depends on, see `MadeFrom`.
        work: makes what makes a part of a block.
        blocks: each gives a part. Those of a map that was begun are not asked for again, so they must be the same.
        count: rows of all blocks.
        context: of the recipe.

    Raises:
        UserError: the map was changed.
    """
    folder = context.folder / name

    def make(below: Path) -> None:
        if is_complete(below / MAP):
            return
        writer = MapWriter(below / MAP)
        with status.shown(Console(), name) as tell:
            report = Progress(tell, sum(part.rows for part in writer.parts), f" of {count:,} pairs")
            for part in context.on_cores(work(), itertools.islice(blocks, len(writer.parts), None)):
                writer.append(part)
                report.add(len(part))
        writer.finish()

    stage(folder, MadeFrom(inputs=inputs), make, context.say, is_there=lambda below: is_complete(below / MAP))
    return checked_map(folder)


def checked_map(stage_folder: Path) -> CorpusMap:
    """Opens the map of a finished stage.

    Raises:
        UserError: it was changed.
    """
    corpus = open_map(stage_folder / MAP)
    with status.doing(f"checking {stage_folder.name}"):
        check(corpus)
    return corpus


def block_size(is_speech: bool) -> int:
    """How many pairs are worked on together."""
    return BLOCK_OF_SPEECH if is_speech else BLOCK


class Progress:
    """Tells how many pairs are done, and how many a second.

    Args:
        tell: is told.
        done: by an earlier process.
        of: behind the number.
        name: before it.
    """

    def __init__(self, tell: status.Tell, done: int, of: str, name: str = "") -> None:
        self._tell, self._done, self._of, self._name = tell, done, of, name
        self._new, self._began = 0, time.monotonic()

    def add(self, pairs: int) -> None:
        """So many more are done."""
        self._new += pairs
        rate = self._new / max(time.monotonic() - self._began, 1e-9)
        self._tell(f"{self._name}{self._done + self._new:,}{self._of}, {rate:,.0f} a second")
