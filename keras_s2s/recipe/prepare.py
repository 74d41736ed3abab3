"""The first stages of a recipe: its data and its tokenizers."""

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_s2s import text
from keras_s2s.data import Pairs, Task, read_lines, read_pairs, read_tsv
from keras_s2s.errors import UserError
from keras_s2s.recipe.read import load, resolve
from keras_s2s.recipe.schema import CombinedConfig, Files, PieceConfig, Recipe, RecipeConfig
from keras_s2s.recipe.stages import stage

BUNDLES = Path("saved_models")
_SIDES = ("source", "target")


def folder_of(recipe: Recipe) -> Path:
    """Where the stages of a recipe are."""
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
    """Data and tokenizers, and their fingerprint."""
    splits = _splits(recipe, config)
    folder, fingerprint = _tokenizers(recipe, config, splits)
    source, target = (text.Tokenizer.load(folder / f"{side}.model") for side in _SIDES)
    task = Task(
        name=config.task,
        train=splits["train"],
        dev=splits["dev"],
        test=splits.get("test"),
        source_tokenizer=None if config.is_language_model else source,
        target_tokenizer=target,
        metrics=config.metrics,
    )
    if config.decoding is None:
        return task, fingerprint
    limits = {name: getattr(config.decoding, name) for name in ("max_length_factor", "max_length_extra")}
    return dataclasses.replace(task, **limits), fingerprint


def _tokenizers(recipe: Recipe, config: RecipeConfig, splits: dict[str, Pairs]) -> tuple[Path, str]:
    """The folder with `source.model` and `target.model`, and a fingerprint of them and the data."""
    folder = folder_of(recipe) / "tokenizer"
    data = [[*pairs.sources, *pairs.targets] for pairs in splits.values()]
    options = config.tokenizer.model_dump(mode="json")
    if config.tokenizer.same_as is None:
        return folder, _stage(folder, [options, data], lambda folder: _train(config, splits["train"], folder))
    other, other_config = beside(recipe, "tokenizer.same_as", config.tokenizer.same_as)
    if other_config.tokenizer.same_as is not None:
        raise UserError(
            f"{recipe.path}: tokenizer.same_as: {config.tokenizer.same_as} takes those of "
            f"{other_config.tokenizer.same_as}; name that recipe"
        )
    taken, fingerprint = _tokenizers(other, other_config, _splits(other, other_config))

    def take(folder: Path) -> None:
        for side in _SIDES:
            shutil.copyfile(taken / f"{side}.model", folder / f"{side}.model")

    return folder, _stage(folder, [options, data, fingerprint], take)


def _train(config: RecipeConfig, train: Pairs, folder: Path) -> None:
    """Writes both tokenizers; those of a language model are one, of its targets."""
    how = config.tokenizer
    options = how.model_dump(include=set(PieceConfig.model_fields))
    if how.joint or config.is_language_model:
        joint = text.train([line for line in (*train.sources, *train.targets) if line], **options)
        joint.save(folder / "source.model")
        joint.save(folder / "target.model")
    else:
        of_target = options if how.target is None else how.target.model_dump()
        text.train(train.sources, **options).save(folder / "source.model")
        text.train(train.targets, **of_target).save(folder / "target.model")


def _splits(recipe: Recipe, config: RecipeConfig) -> dict[str, Pairs]:
    """The data; they are generated first if a script does that."""
    folder = _generated(recipe, config) if config.data.generate else recipe.path.parent
    splits = {name: getattr(config.data, name) for name in ("train", "dev", "test")}
    return {
        name: _read(files, folder, recipe.path, config.is_language_model)
        for name, files in splits.items()
        if files is not None
    }


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
    _stage(folder, [script.read_text(encoding="utf-8"), data.seed], work)
    return folder


def _read(files: Files, folder: Path, recipe: Path, only_targets: bool) -> Pairs:
    """A split's pairs; those of a language model have empty sources."""
    if files.tsv is not None:
        pairs = read_tsv(resolve(files.tsv, folder, recipe))
        return _without_sources(pairs.targets) if only_targets else pairs
    assert files.target is not None
    target = resolve(files.target, folder, recipe)
    if files.source is None or only_targets:
        return _without_sources(read_lines(target))
    return read_pairs(resolve(files.source, folder, recipe), target)


def _without_sources(targets: Sequence[str]) -> Pairs:
    return Pairs([""] * len(targets), targets)


def _stage(folder: Path, made_from: Any, work: Callable[[Path], object]) -> str:
    return stage(folder, made_from, work, Console().print)
