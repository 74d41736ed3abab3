"""The stage of a recipe that trains its model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_s2s import training
from keras_s2s.config import parse
from keras_s2s.data import Task
from keras_s2s.models import ModelConfig
from keras_s2s.recipe.prepare import beside, folder_of, prepare
from keras_s2s.recipe.schema import Recipe, RecipeConfig
from keras_s2s.recipe.stages import stage


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
    start, start_fingerprint = _start(recipe, config)
    made_from = [
        model.model_dump(mode="json"),
        config.training.model_dump(mode="json"),
        start_fingerprint,
        config.metrics,
        fingerprint,
    ]
    folder = folder_of(recipe) / "model"

    def work(folder: Path) -> None:
        training.train(model, task, config.training, folder, callbacks=callbacks, start=start)

    fingerprint = stage(folder, made_from, work, Console().print)
    return folder / training.CHECKPOINT, fingerprint


def model_config(recipe: Recipe, config: RecipeConfig, task: Task) -> ModelConfig:
    """The architecture of a recipe, with what its data decide."""
    return parse(ModelConfig, {**config.model.model_dump(), **_sizes(task)}, str(recipe.path))


def _sizes(task: Task) -> dict[str, int]:
    """What the data decide of a model."""
    sizes = {"target_vocabulary": task.target_tokenizer.vocabulary_size}
    if task.source_tokenizer is not None:
        sizes["source_vocabulary"] = task.source_tokenizer.vocabulary_size
    elif task.train.has_features:
        sizes["source_features"] = task.train.sources[0].shape[1]
    return sizes


def _start(recipe: Recipe, config: RecipeConfig) -> tuple[training.Start | None, str]:
    """The trained model of the recipe that `training.start_from` names, and the fingerprint of its stage."""
    if config.training.start_from is None:
        return None, ""
    other, other_config = beside(recipe, "training.start_from", config.training.start_from)
    task, fingerprint = prepare(other, other_config)
    path, fingerprint = train_model(other, other_config, task, fingerprint)
    return training.Start(path, training.Vocabularies.of(task.source_tokenizer, task.target_tokenizer)), fingerprint
