"""The first stages of a recipe: its data and its tokenizers."""

import functools
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_s2s import status, text
from keras_s2s.data import Mixture, Pairs, Task
from keras_s2s.data.mixtures import mixture_of, tagged
from keras_s2s.data.pairs import join
from keras_s2s.data.readers import Surroundings
from keras_s2s.data.workers import OrderedMap, on_all_cores
from keras_s2s.errors import UserError
from keras_s2s.evaluation import warn_of_missing_spaces
from keras_s2s.recipe.checkpoint import Checkpoint
from keras_s2s.recipe.data_schema import DataConfig, Files, Split
from keras_s2s.recipe.fingerprints import of_pairs
from keras_s2s.recipe.made_from import MadeFrom, keys_of
from keras_s2s.recipe.overlaps import overlaps
from keras_s2s.recipe.preprocessing_report import summary
from keras_s2s.recipe.read import load, resolve
from keras_s2s.recipe.schema import CombinedConfig, Recipe, RecipeConfig
from keras_s2s.recipe.stages import Rules, stage
from keras_s2s.recipe.tokenizers import SIDES, load_tokenizers, train_tokenizers
from keras_s2s.recipe.training_examples import training_alignments, training_examples
from keras_s2s.recipe.training_map import Context
from keras_s2s.recipe.training_pairs import Corpus, Prepared, training_pairs
from keras_s2s.text.unwritable import unwritable

BUNDLES = Path("saved_models")


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


def prepare(recipe: Recipe, config: RecipeConfig, on_cores: OrderedMap = on_all_cores) -> tuple[Task, str]:
    """Data and tokenizers, and a fingerprint of what a model is made and chosen by: the test data are not in it.

    Args:
        recipe: the recipe.
        config: its config.
        on_cores: does what is done to each part of the training data.
    """
    around, context = _surroundings(recipe, config), Context(folder_of(recipe), say, on_cores)
    held_out, train = _held_out(config, around), _train(config, around, context)
    mixture = _mixture(config.data, train.sizes)
    folder, fingerprint = _tokenizers(recipe, config, train, context)
    source, target = load_tokenizers(folder)
    if config.is_language_model:
        source = None
    _warn_of_unwritable(held_out["dev"].targets, target)
    examples = training_examples(train.pairs, train.fingerprint, source, target, context)
    if config.model.guided_alignment:
        examples = training_alignments(examples, fingerprint, context)
    for line in overlaps(train.pairs, train.fingerprint, held_out, context):
        say(line)
    warn_of_missing_spaces(config.metrics, held_out["dev"].targets)
    task = Task(
        name=config.task,
        train=train.pairs,
        dev=held_out["dev"],
        test=held_out.get("test"),
        source_tokenizer=source,
        target_tokenizer=target,
        metrics=config.metrics,
        mixture=mixture,
        examples=examples,
        **_limits(config),
    )
    return task, _fingerprint(fingerprint, task)


def prepare_for(recipe: Recipe, config: RecipeConfig, checkpoint: Checkpoint) -> tuple[Task, str]:
    """The data of a recipe with the tokenizers of a checkpoint, and a fingerprint of both."""
    task, fingerprint = prepare(recipe, config)
    source, target = checkpoint.tokenizers()
    if config.is_language_model or config.data.is_speech:
        source = None
    both = hashlib.sha256(f"{fingerprint} {checkpoint.fingerprint()}".encode()).hexdigest()
    return replace(task, source_tokenizer=source, target_tokenizer=target, examples=None), both


def read_training_pairs(recipe: Recipe, config: RecipeConfig) -> Pairs:
    """The training pairs after preprocessing, as `prepare` has them; a tag stands before its sources."""
    return _train(config, _surroundings(recipe, config), Context(folder_of(recipe), say, on_all_cores)).pairs


def read_held_out(recipe: Recipe, config: RecipeConfig) -> dict[Split, Pairs]:
    """The pairs of dev and test, as `prepare` has them."""
    return _held_out(config, _surroundings(recipe, config))


def _limits(config: RecipeConfig) -> dict[str, Any]:
    if config.decoding is None:
        return {}
    return {name: getattr(config.decoding, name) for name in ("max_length_factor", "max_length_extra")}


def _fingerprint(of_tokenizers: str, task: Task) -> str:
    rates = {}
    if task.mixture is not None:
        rates = {name: int(count) for name, count in zip(task.mixture.parts, task.mixture.counts, strict=True)}
    return hashlib.sha256(json.dumps([of_tokenizers, of_pairs(task.dev), rates]).encode()).hexdigest()


def _warn_of_unwritable(dev: Sequence[str], tokenizer: text.Tokenizer) -> None:
    if lost := unwritable(dev, tokenizer):
        say(
            f"tokenizer: {len(lost):,} of {len(dev):,} dev targets cannot be written as they stand, "
            f"so no model gets them right; the first is number {lost[0].number:,}: {lost[0]}"
        )


def _tokenizers(recipe: Recipe, config: RecipeConfig, train: Prepared, context: Context) -> tuple[Path, str]:
    """The folder with `source.model` and `target.model`, and a fingerprint of them and the training data."""
    folder = context.folder / "tokenizer"
    keys = keys_of(config, "tokenizer")
    inputs = {"the train data": train.fingerprint, "the tags of the data": " ".join(config.data.tags)}
    if config.tokenizer.same_as is None:
        made_from = MadeFrom(keys, inputs)
        return folder, _stage(folder, made_from, lambda folder: train_tokenizers(config, train.pairs, folder))
    if checkpoint := Checkpoint.at(recipe.path.parent / config.tokenizer.same_as):
        inputs["the tokenizer of tokenizer.same_as"] = checkpoint.fingerprint()
        return folder, _stage(folder, MadeFrom(keys, inputs), functools.partial(_take_tokenizers, checkpoint.folder))
    other, other_config = beside(recipe, "tokenizer.same_as", config.tokenizer.same_as)
    if other_config.tokenizer.same_as is not None:
        raise UserError(
            f"{recipe.path}: tokenizer.same_as: {config.tokenizer.same_as} takes those of "
            f"{other_config.tokenizer.same_as}; name that recipe"
        )
    context = context._replace(folder=folder_of(other))
    of_other = _train(other_config, _surroundings(other, other_config), context)
    taken, fingerprint = _tokenizers(other, other_config, of_other, context)
    inputs["the tokenizer of tokenizer.same_as"] = fingerprint
    return folder, _stage(folder, MadeFrom(keys, inputs), functools.partial(_take_tokenizers, taken))


def _take_tokenizers(taken: Path, folder: Path) -> None:
    for side in SIDES:
        if (taken / f"{side}.model").exists():
            shutil.copyfile(taken / f"{side}.model", folder / f"{side}.model")


def _train(config: RecipeConfig, around: Surroundings, context: Context) -> Prepared:
    """The training pairs."""
    data = config.data
    corpora = [Corpus(name, files.reader, files.tag) for name, files in _named(data, "train")]
    keys = keys_of(config, "data.preprocessing", *(["data.log_mel"] if data.is_speech else []))
    has_sources = not config.is_language_model
    found = training_pairs(corpora, around, has_sources, data.preprocessing, keys, context)
    if data.preprocessing:
        for line in summary(found.report):
            say(line)
    return found


def _held_out(config: RecipeConfig, around: Surroundings) -> dict[Split, Pairs]:
    """The data of dev and test, in memory."""
    data = config.data

    def read(files: Files) -> Pairs:
        return tagged(Pairs.of(files.reader.read(around)), files.tag)

    splits: tuple[Split, ...] = ("dev", "test")
    with status.doing("reading the dev and test data"):
        joined = {name: join([read(files) for files in data.split(name)]) for name in splits if data.split(name)}
    return {name: _without_sources(pairs) for name, pairs in joined.items()} if config.is_language_model else joined


def _surroundings(recipe: Recipe, config: RecipeConfig) -> Surroundings:
    folder = _generated(recipe, config) if config.data.generate else recipe.path.parent
    return Surroundings(lambda name: resolve(name, folder, recipe.path), config.data.log_mel)


def _named(data: DataConfig, split: Split) -> list[tuple[str, Files]]:
    """The corpora of a split and their names."""
    return [(files.name or f"{split} corpus {number}", files) for number, files in enumerate(data.split(split), 1)]


def _mixture(data: DataConfig, sizes: Mapping[str, int]) -> Mixture | None:
    """The mixture of the training corpora; None if each pair is seen once in every epoch."""
    weights = {name: files.weight for name, files in _named(data, "train") if files.weight is not None}
    if len(sizes) == 1 or not (weights or data.temperature):
        return None
    return mixture_of(sizes, weights or None, data.temperature)


def _generated(recipe: Recipe, config: RecipeConfig) -> Path:
    data = config.data
    script = recipe.path.parent / str(data.generate)
    if not script.is_file():
        raise UserError(f"{recipe.path}: data.generate: {script}: no such file; expected a Python script")

    def work(folder: Path) -> None:
        command = [sys.executable, str(script), str(folder), "--seed", str(data.seed)]
        done = subprocess.run(command, stdout=2, check=False)  # On the standard output may be what another one reads.
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
