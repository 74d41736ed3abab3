"""The stage of a recipe that trains its model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_s2s import training
from keras_s2s.config import parse
from keras_s2s.data import Task
from keras_s2s.models import ModelConfig
from keras_s2s.recipe.prepare import folder_of
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
    vocabularies = {"target_vocabulary": task.target_tokenizer.vocabulary_size}
    if task.source_tokenizer is not None:
        vocabularies["source_vocabulary"] = task.source_tokenizer.vocabulary_size
    model = parse(ModelConfig, {**config.model.model_dump(), **vocabularies}, str(recipe.path))
    made_from = [
        model.model_dump(mode="json"),
        config.training.model_dump(mode="json"),
        config.metrics,
        fingerprint,
    ]
    folder = folder_of(recipe) / "model"

    def work(folder: Path) -> None:
        training.train(model, task, config.training, folder, callbacks=callbacks)

    fingerprint = stage(folder, made_from, work, Console().print)
    return folder / training.CHECKPOINT, fingerprint
