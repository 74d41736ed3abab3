"""The tokenizers that a recipe describes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_s2s import text
from keras_s2s.data import Pairs
from keras_s2s.recipe.data_schema import PieceConfig
from keras_s2s.recipe.schema import RecipeConfig
from keras_s2s.text.training import Normalization

SIDES = ("source", "target")
_LINES = 500_000  # of a side, that its tokenizer learns from
_NORMALIZATION: Mapping[str, Normalization] = {"source": "nmt_nfkc", "target": "identity"}  # where a recipe says none


def train_tokenizers(config: RecipeConfig, train: Pairs, folder: Path) -> None:
    """Writes `source.model` and `target.model` to a folder.

    Those of a language model are one, of its targets. Speech has none of its sources. Of more than 500,000 pairs a
    sample is enough.
    """
    how, tags = config.tokenizer, config.data.tags
    options = how.model_dump(include=set(PieceConfig.model_fields))
    of_target = options if how.target is None else how.target.model_dump()
    of_source = {**options, "symbols": list(dict.fromkeys((*options["symbols"], *tags)))}
    if config.data.is_speech:
        source, target = None, _of_side("target", train.targets, of_target)
    elif config.is_language_model:
        source = target = _of_side("target", train.targets, of_source)
    elif how.joint:
        source, target = _of_both_sides(train, of_source)
    else:
        source, target = _of_side("source", train.sources, of_source), _of_side("target", train.targets, of_target)
    for side, tokenizer in zip(SIDES, (source, target), strict=True):
        if tokenizer is not None:
            tokenizer.save(folder / f"{side}.model")


def _of_side(side: str, lines: Sequence[str], options: Mapping[str, Any]) -> text.Tokenizer:
    normalization = options["normalization"] or _NORMALIZATION[side]
    return text.train(_some(lines), **{**options, "normalization": normalization})


def _of_both_sides(train: Pairs, options: Mapping[str, Any]) -> tuple[text.Tokenizer, text.Tokenizer]:
    others = dict(options)
    said = others.pop("normalization")
    rules: dict[str, Any] = {f"{side}_normalization": said or _NORMALIZATION[side] for side in SIDES}
    return text.train_joint(_some(train.sources), _some(train.targets), **others, **rules)


def _some(lines: Sequence[str]) -> list[str]:
    """Lines to learn from: all of them that are not empty, or a sample of very many, evenly spread by a fixed seed."""
    rows: Sequence[int] | np.ndarray = range(len(lines))
    if len(lines) > _LINES:
        places = np.arange(_LINES) + np.random.default_rng(1).random(_LINES)
        rows = (places * len(lines) / _LINES).astype(np.int64)
    return [line for row in rows if (line := lines[row])]


def load_tokenizers(folder: Path) -> tuple[text.Tokenizer | None, text.Tokenizer]:
    """Those of source and target that `train_tokenizers` wrote; None of a side without one."""
    source = folder / "source.model"
    return text.Tokenizer.load(source) if source.exists() else None, text.Tokenizer.load(folder / "target.model")
