"""The stage of a recipe that looks for its dev and test data in its training data."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_s2s import status
from keras_s2s.data import Pairs
from keras_s2s.data.columns import slices
from keras_s2s.data.overlap import HeldOut, Overlap
from keras_s2s.data.preparing import Looking
from keras_s2s.data.workers import OrderedMap
from keras_s2s.recipe.data_schema import Split
from keras_s2s.recipe.fingerprints import of_pairs
from keras_s2s.recipe.made_from import MadeFrom
from keras_s2s.recipe.stages import stage
from keras_s2s.recipe.training_map import Context, block_size

_FOUND = "overlap.json"


def overlaps(
    train: Pairs,
    fingerprint: str,
    held_out: Mapping[Split, Pairs],
    context: Context,
) -> list[str]:
    """Looks for held-out pairs in training pairs, unless that was done before.

    Args:
        train: of a map.
        fingerprint: of them.
        held_out: by the name of the split.
        context: of the recipe.

    Returns:
        A line for each split.
    """
    below = context.folder / "overlap"

    def work(below: Path) -> None:
        with status.shown(Console(), "overlap") as tell:
            found = _found(train, held_out, context.on_cores, tell)
        (below / _FOUND).write_text(json.dumps(found))

    inputs = {f"the {name} data": of_pairs(pairs) for name, pairs in held_out.items()}
    made_from = MadeFrom(inputs={"the training pairs": fingerprint, **inputs})
    stage(below, made_from, work, context.say, is_there=lambda below: (below / _FOUND).exists())
    known = json.loads((below / _FOUND).read_text())
    return [_in_words(name, len(pairs), known[name]) for name, pairs in held_out.items()]


def _in_words(split: Split, count: int, found: Sequence[int] | None) -> str:
    if found is None:
        return f"overlap: none of {count:,} {split} sources is in the training data"
    both = Overlap(*found)
    return (
        f"overlap: {both.sources:,} of {count:,} {split} sources are in the training data, "
        f"{both.pairs:,} with the same target; the first is number {both.first:,}"
    )


def _found(
    train: Pairs, held_out: Mapping[Split, Pairs], on_cores: OrderedMap, tell: status.Tell
) -> dict[Split, Overlap | None]:
    splits = {name: HeldOut(pairs) for name, pairs in held_out.items()}
    seen: dict[Split, dict[Any, set[str]]] = {name: {} for name in splits}
    done, size = 0, block_size(train.has_features)
    for of_block in on_cores(Looking(splits), (block for block, _ in slices(train, size))):
        for name, found in of_block.items():
            for key, targets in found.items():
                seen[name].setdefault(key, set()).update(targets)
        done = min(done + size, len(train))
        tell(f"{done:,} of {len(train):,} training pairs")
    return {name: split.overlap(seen[name]) for name, split in splits.items()}
