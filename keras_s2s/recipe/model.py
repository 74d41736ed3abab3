"""The stage of a recipe that trains its model."""

from pathlib import Path

from rich.console import Console

from keras_s2s import training
from keras_s2s.config import parse
from keras_s2s.data import Task
from keras_s2s.models import ModelConfig
from keras_s2s.recipe.prepare import folder_of, prepare
from keras_s2s.recipe.schema import Recipe, RecipeConfig
from keras_s2s.recipe.stages import stage


def train_model(recipe: Recipe, config: RecipeConfig) -> tuple[Task, Path, str]:
    """Runs the stages up to the trained model.

    Returns:
        The task, the model's `.keras` file, and the fingerprint of the stage.
    """
    task, fingerprint = prepare(recipe, config)
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
    fingerprint = stage(
        folder, made_from, lambda folder: training.train(model, task, config.training, folder), Console().print
    )
    return task, folder / training.CHECKPOINT, fingerprint
