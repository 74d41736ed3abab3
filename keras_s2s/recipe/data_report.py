"""The data of a recipe, prepared and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s.data import Examples
from keras_s2s.data.blocks import blocks
from keras_s2s.data.workers import OrderedMap, on_all_cores
from keras_s2s.errors import UserError
from keras_s2s.recipe.prepare import folder_of, prepare
from keras_s2s.recipe.run import running
from keras_s2s.recipe.schema import CombinedConfig, Recipe
from keras_s2s.recipe.training_pairs import report_of

PICTURE = "lengths.png"
_LONGEST = 4096  # ids or frames; longer ones are counted as these


@dataclass(frozen=True)
class Lengths:
    """How long the rows of a side are.

    Attributes:
        unit: `ids`, or `frames` of features.
        counts: (L,) how many rows have each length, from 0.
        total: of all rows.
    """

    unit: str
    counts: np.ndarray
    total: int

    def quantile(self, share: float) -> int:
        """The length that this share of the rows does not exceed; of 0 the shortest one."""
        return int(np.searchsorted(np.cumsum(self.counts), max(share * self.counts.sum(), 1)))


@dataclass(frozen=True)
class DataReport:
    """What a recipe's data have come to.

    Attributes:
        corpora: of each training corpus `corpus`, its name, `pairs`, those that are `left`, and `findings`.
        pairs: of the training data, and of dev and test, by the split.
        sides: lengths by the side; a language model has targets alone. EOS counts.
        too_long: pairs that training leaves out by its `maximum_length`.
        folder: of the stages, where the maps are.
        bytes: of all maps.
    """

    corpora: Sequence[Mapping[str, Any]]
    pairs: Mapping[str, int]
    sides: Mapping[str, Lengths]
    too_long: int
    folder: Path
    bytes: int


def prepare_data(recipe: Recipe, on_cores: OrderedMap = on_all_cores) -> DataReport:
    """Runs the stages of a recipe up to its encoded training data, and counts; draws `lengths.png` in their folder.

    Args:
        recipe: as read by `load`.
        on_cores: does what is done to each part of the training data.

    Raises:
        UserError: the recipe combines others.
    """
    config = recipe.config
    if isinstance(config, CombinedConfig):
        raise UserError(f"{recipe.path}: combines models of other recipes; prepare the data of those")
    with running(recipe):
        task, _ = prepare(recipe, config, on_cores)
        examples, folder = task.encoded(), folder_of(recipe)
        both = _count(examples)
        counts = {"target": both.sum(axis=0)}
        if examples.sources is not None:
            counts = {"source": both.sum(axis=1), **counts}
        _draw(folder / PICTURE, both, examples)
    sides = {side: Lengths(_unit(side, examples), of_side, _total(side, examples)) for side, of_side in counts.items()}
    splits = {"train": task.train, "dev": task.dev, "test": task.test}
    return DataReport(
        corpora=report_of(folder),
        pairs={name: len(pairs) for name, pairs in splits.items() if pairs is not None},
        sides=sides,
        too_long=_too_long(examples, config.training.maximum_length),
        folder=folder,
        bytes=sum(file.stat().st_size for file in folder.glob("*/train/*")),
    )


def _count(examples: Examples) -> np.ndarray:
    """(S, T) how many pairs have each length of source and target; a language model's are (1, T)."""
    most = [0, 0]
    for block in blocks(len(examples.labels)):
        found = [int(lengths.max(initial=0)) for lengths in examples.lengths_at(block)]
        most = [min(max(one, other), _LONGEST) for one, other in zip(most, found, strict=True)]
    counts = np.zeros((most[0] + 1, most[1] + 1), np.int32)
    for block in blocks(len(examples.labels)):
        source, target = (np.minimum(lengths, _LONGEST) for lengths in examples.lengths_at(block))
        np.add.at(counts, (source, target), 1)
    return counts


def _too_long(examples: Examples, maximum: int) -> int:
    """Pairs of which one side is longer."""
    costs = (np.maximum(*examples.lengths_at(block)) for block in blocks(len(examples.labels)))
    return sum(int((of_block > maximum).sum()) for of_block in costs)


def _total(side: str, examples: Examples) -> int:
    rows = examples.labels if side == "target" else examples.sources
    assert rows is not None
    return len(rows.values)


def _unit(side: str, examples: Examples) -> str:
    return "frames" if side == "source" and examples.has_features else "ids"


def _draw(path: Path, counts: np.ndarray, examples: Examples) -> None:
    """A picture of all but the longest in a thousand, beside which nothing else would be seen."""
    from keras_s2s.evaluation.lengths_picture import lengths_picture

    shown = [int(np.searchsorted(np.cumsum(counts.sum(axis=axis)), 0.999 * counts.sum())) + 1 for axis in (1, 0)]
    lengths_picture(path, counts[: shown[0], : shown[1]], _unit("source", examples))
