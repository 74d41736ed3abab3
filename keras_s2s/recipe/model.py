"""The stage of a recipe that trains its model."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_s2s import training
from keras_s2s.config import parse
from keras_s2s.data import Task
from keras_s2s.models import ModelConfig
from keras_s2s.recipe.checkpoint import Checkpoint
from keras_s2s.recipe.made_from import Change, MadeFrom, keys_of
from keras_s2s.recipe.prepare import beside, folder_of, prepare, say
from keras_s2s.recipe.schema import Recipe, RecipeConfig
from keras_s2s.recipe.stages import Rules, stage

_LENGTH = {"training.epochs", "training.minutes"}
# What is kept besides the model, when training ends, and a name whose content is an input of its own.
_WITHOUT_EFFECT = {"training.patience", "training.tensorboard", "training.start_from"}


def train_model(
    recipe: Recipe, config: RecipeConfig, task: Task, fingerprint: str, callbacks: Sequence[Any] = ()
) -> tuple[Path, str]:
    """Trains the model of a recipe, unless that was done before.

    Args:
        recipe: the recipe.
        config: its config.
        task: as `prepare` made it.
        fingerprint: of the task.
        callbacks: of Keras, added to those of training.

    Returns:
        The model's `.keras` file, and the fingerprint of the stage.
    """
    model = model_config(recipe, config, task)
    start, start_fingerprint = start_of(recipe, config)
    inputs = {"the model of training.start_from": start_fingerprint, "the data or the tokenizers": fingerprint}
    made_from = MadeFrom(keys_of(config, "model", "training", "metrics"), inputs)
    rules = Rules(functools.partial(counts, config), functools.partial(_goes_on, config, model, task, made_from))
    folder = folder_of(recipe) / "model"

    def work(folder: Path) -> None:
        training.train(model, task, config.training, folder, callbacks=callbacks, start=start)

    fingerprint = stage(folder, made_from, work, say, rules)
    return folder / training.CHECKPOINT, fingerprint


def counts(config: RecipeConfig, change: Change) -> bool:
    """Whether a change of a key makes another model of a training that has come to its end."""
    how_many = {f"training.keep_{kept}" for kept in ("best", "last") if kept != config.training.average}
    return change.name not in _WITHOUT_EFFECT | how_many


def _goes_on(
    config: RecipeConfig,
    model: ModelConfig,
    task: Task,
    made_from: MadeFrom,
    folder: Path,
    before: MadeFrom,
    changes: Sequence[Change],
) -> bool:
    """Whether all that changed is that there are more epochs, and those before them were the same."""
    if not {change.name for change in changes} <= _LENGTH:
        return False
    # Here a default of another version of this package matters, too.
    others = [name for name in made_from.keys if name not in _LENGTH and counts(config, Change(name))]
    if any(name not in before.keys or before.keys[name].value != made_from.keys[name].value for name in others):
        return False
    # A version that knew no minutes has no such key.
    length = {name: before.keys[name].value if name in before.keys else None for name in _LENGTH}
    said = {name.rpartition(".")[2]: value for name, value in length.items()}
    return training.goes_on(model, task, config.training.replace(**said), config.training, folder)


def model_config(recipe: Recipe, config: RecipeConfig, task: Task) -> ModelConfig:
    """The architecture of a recipe, with what its data decide."""
    return parse(ModelConfig, {**config.model.model_dump(), **_sizes(task)}, str(recipe.path))


def _sizes(task: Task) -> dict[str, int]:
    """The parts of a model's config that follow from the data."""
    sizes = {"target_vocabulary": task.target_tokenizer.vocabulary_size}
    if task.source_tokenizer is not None:
        sizes["source_vocabulary"] = task.source_tokenizer.vocabulary_size
    elif task.train.has_features:
        sizes["source_features"] = task.train.sources[0].shape[1]
    return sizes


def start_of(recipe: Recipe, config: RecipeConfig) -> tuple[training.WarmStart | None, str]:
    """The model that `training.start_from` names, a checkpoint or the trained one of a recipe, and its fingerprint."""
    if config.training.start_from is None:
        return None, ""
    if checkpoint := Checkpoint.at(recipe.path.parent / config.training.start_from):
        vocabularies = training.Vocabularies.of(*checkpoint.tokenizers())
        return training.WarmStart(checkpoint.model, vocabularies), checkpoint.fingerprint()
    other, other_config = beside(recipe, "training.start_from", config.training.start_from)
    task, fingerprint = prepare(other, other_config)
    path, fingerprint = train_model(other, other_config, task, fingerprint)
    return training.WarmStart(path, training.Vocabularies.of(task.source_tokenizer, task.target_tokenizer)), fingerprint
