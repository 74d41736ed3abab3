"""The first stages of a recipe: its data and its tokenizers."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_s2s import status, text
from keras_s2s.data import Mixture, Pairs, Task, mix
from keras_s2s.data.mixtures import tagged
from keras_s2s.data.overlap import overlap
from keras_s2s.data.pairs import join
from keras_s2s.data.readers import Surroundings
from keras_s2s.errors import UserError
from keras_s2s.evaluation import warn_of_missing_spaces
from keras_s2s.recipe.corpora import fingerprint as fingerprint_of
from keras_s2s.recipe.corpora import preprocessed
from keras_s2s.recipe.data_schema import SPLITS, DataConfig, PieceConfig, Split
from keras_s2s.recipe.made_from import MadeFrom, keys_of
from keras_s2s.recipe.read import load, resolve
from keras_s2s.recipe.schema import CombinedConfig, Recipe, RecipeConfig
from keras_s2s.recipe.stages import Rules, stage
from keras_s2s.text.training import Normalization
from keras_s2s.text.unwritable import unwritable

BUNDLES = Path("saved_models")
_SIDES = ("source", "target")
_NORMALIZATION: Mapping[str, Normalization] = {"source": "nmt_nfkc", "target": "identity"}  # where a recipe says none


def folder_of(recipe: Recipe) -> Path:
    """The folders of a recipe's stages."""
    return BUNDLES / ".runs" / recipe.config.name


def beside(recipe: Recipe, key: str, name: str) -> tuple[Recipe, RecipeConfig]:
    """Reads another recipe that `key` of a recipe names; a relative path starts at the recipe's folder.

    Raises:
        UserError: as `load`; or it is a recipe that combines others.
    """
    other = load(recipe.path.parent / name)
    if isinstance(other.config, CombinedConfig):
        raise UserError(f"{recipe.path}: {key}: {name} combines other recipes; name one that trains a model")
    return other, other.config


def prepare(recipe: Recipe, config: RecipeConfig) -> tuple[Task, str]:
    """Data and tokenizers, and a fingerprint of what a model is made and chosen by: the test data are not in it."""
    splits, mixture = _splits(recipe, config)
    folder, fingerprint = _tokenizers(recipe, config, splits)
    source, target = load_tokenizers(folder)
    if lost := unwritable(splits["dev"].targets, target):
        say(
            f"tokenizer: {len(lost):,} of {len(splits['dev']):,} dev targets cannot be written as they stand, "
            f"so no model gets them right; the first is number {lost[0].number:,}: {lost[0]}"
        )
    for split in ("dev", "test"):
        if split in splits and (both := overlap(splits["train"], splits[split])):
            say(
                f"overlap: {both.sources:,} of {len(splits[split]):,} {split} sources are in the training data, "
                f"{both.pairs:,} with the same target; the first is number {both.first:,}"
            )
    warn_of_missing_spaces(config.metrics, splits["dev"].targets)
    task = Task(
        name=config.task,
        train=splits["train"],
        dev=splits["dev"],
        test=splits.get("test"),
        source_tokenizer=None if config.is_language_model else source,
        target_tokenizer=target,
        metrics=config.metrics,
        mixture=mixture,
    )
    rates = {}
    if mixture is not None:
        rates = {name: int(count) for name, count in zip(mixture.parts, mixture.counts, strict=True)}
    content = json.dumps([fingerprint, fingerprint_of(splits["dev"]), rates])
    fingerprint = hashlib.sha256(content.encode()).hexdigest()
    if config.decoding is None:
        return task, fingerprint
    limits = {name: getattr(config.decoding, name) for name in ("max_length_factor", "max_length_extra")}
    return dataclasses.replace(task, **limits), fingerprint


def _tokenizers(recipe: Recipe, config: RecipeConfig, splits: dict[Split, Pairs]) -> tuple[Path, str]:
    """The folder with `source.model` and `target.model`, and a fingerprint of them and the training data."""
    folder = folder_of(recipe) / "tokenizer"
    keys = keys_of(config, "tokenizer")
    inputs = {"the train data": fingerprint_of(splits["train"]), "the tags of the data": " ".join(config.data.tags)}
    if config.tokenizer.same_as is None:
        made_from = MadeFrom(keys, inputs)
        return folder, _stage(folder, made_from, lambda folder: train_tokenizers(config, splits["train"], folder))
    other, other_config = beside(recipe, "tokenizer.same_as", config.tokenizer.same_as)
    if other_config.tokenizer.same_as is not None:
        raise UserError(
            f"{recipe.path}: tokenizer.same_as: {config.tokenizer.same_as} takes those of "
            f"{other_config.tokenizer.same_as}; name that recipe"
        )
    taken, fingerprint = _tokenizers(other, other_config, _splits(other, other_config)[0])

    def take(folder: Path) -> None:
        for side in _SIDES:
            if (taken / f"{side}.model").exists():
                shutil.copyfile(taken / f"{side}.model", folder / f"{side}.model")

    inputs["the tokenizer of tokenizer.same_as"] = fingerprint
    return folder, _stage(folder, MadeFrom(keys, inputs), take)


def train_tokenizers(config: RecipeConfig, train: Pairs, folder: Path) -> None:
    """Writes `source.model` and `target.model` to a folder.

    Those of a language model are one, of its targets. Speech has none of its sources.
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
    for side, tokenizer in zip(_SIDES, (source, target), strict=True):
        if tokenizer is not None:
            tokenizer.save(folder / f"{side}.model")


def _of_side(side: str, lines: Sequence[str], options: Mapping[str, Any]) -> text.Tokenizer:
    normalization = options["normalization"] or _NORMALIZATION[side]
    return text.train([line for line in lines if line], **{**options, "normalization": normalization})


def _of_both_sides(train: Pairs, options: Mapping[str, Any]) -> tuple[text.Tokenizer, text.Tokenizer]:
    others = dict(options)
    said = others.pop("normalization")
    rules: dict[str, Any] = {f"{side}_normalization": said or _NORMALIZATION[side] for side in _SIDES}
    sources, targets = ([line for line in lines if line] for lines in (train.sources, train.targets))
    return text.train_joint(sources, targets, **others, **rules)


def load_tokenizers(folder: Path) -> tuple[text.Tokenizer | None, text.Tokenizer]:
    """Those of source and target that `train_tokenizers` wrote; None of a side without one."""
    source = folder / "source.model"
    return text.Tokenizer.load(source) if source.exists() else None, text.Tokenizer.load(folder / "target.model")


def _splits(recipe: Recipe, config: RecipeConfig) -> tuple[dict[Split, Pairs], Mixture | None]:
    """The data of each split, and how often which of the training pairs are seen, if there are several corpora."""
    data = config.data
    folder = _generated(recipe, config) if data.generate else recipe.path.parent

    around = Surroundings(lambda name: resolve(name, folder, recipe.path), data.log_mel)

    def read(name: Split) -> dict[str, Pairs]:
        return {
            files.name or f"{name} corpus {number}": Pairs.of(files.reader.read(around))
            for number, files in enumerate(data.split(name), start=1)
        }

    with status.doing("reading the data"):
        corpora = {name: read(name) for name in SPLITS if data.split(name)}
    if data.preprocessing:
        keys = keys_of(config, "data.preprocessing")
        corpora["train"] = preprocessed(corpora["train"], data.preprocessing, keys, folder_of(recipe), say)
    joined = {name: _joined(name, data, list(parts.values())) for name, parts in corpora.items()}
    if config.is_language_model:
        joined = {name: _without_sources(pairs) for name, pairs in joined.items()}
    return joined, _mixture(data, corpora["train"])


def _joined(name: Split, data: DataConfig, corpora: Sequence[Pairs]) -> Pairs:
    return join([tagged(pairs, files.tag) for pairs, files in zip(corpora, data.split(name), strict=True)])


def _mixture(data: DataConfig, corpora: dict[str, Pairs]) -> Mixture | None:
    """The mixture of the training corpora; None if each pair is seen once in every epoch."""
    files = zip(corpora, data.split("train"), strict=True)
    weights = {name: file.weight for name, file in files if file.weight is not None}
    if len(corpora) == 1 or not (weights or data.temperature):
        return None
    return mix(corpora, weights or None, data.temperature)[1]


def _generated(recipe: Recipe, config: RecipeConfig) -> Path:
    data = config.data
    script = recipe.path.parent / str(data.generate)
    if not script.is_file():
        raise UserError(f"{recipe.path}: data.generate: {script}: no such file; expected a Python script")

    def work(folder: Path) -> None:
        done = subprocess.run([sys.executable, str(script), str(folder), "--seed", str(data.seed)], check=False)
        if done.returncode:
            raise UserError(f"{script}: ended with exit code {done.returncode}")

    folder = folder_of(recipe) / "data"
    inputs = {"the script data.generate": hashlib.sha256(script.read_bytes()).hexdigest()}
    _stage(folder, MadeFrom(keys_of(config, "data.seed"), inputs), work)
    return folder


def _without_sources(pairs: Pairs) -> Pairs:
    return Pairs([""] * len(pairs), pairs.targets, pairs.weights)


def say(text: str) -> None:
    """Prints a line, with what it has of the user's texts as they are."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def _stage(folder: Path, made_from: MadeFrom, work: Callable[[Path], object]) -> str:
    # What stands at tokenizer.same_as is a name, and what it names an input of its own.
    rules = Rules(counts=lambda change: change.name != "tokenizer.same_as")
    return stage(folder, made_from, work, say, rules)
