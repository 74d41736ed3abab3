"""A model made of the models of other recipes."""

from pathlib import Path
from typing import Any

from rich.console import Console

from keras_s2s import training
from keras_s2s.data import Task
from keras_s2s.decoding import Ensemble, Fusion
from keras_s2s.errors import UserError
from keras_s2s.recipe.model import train_model
from keras_s2s.recipe.prepare import beside, prepare
from keras_s2s.recipe.schema import CombineConfig, Recipe, RecipeConfig

Member = tuple[Recipe, RecipeConfig]


def train_members(recipe: Recipe, combine: CombineConfig) -> tuple[Task, list[Path], str]:
    """Trains the models that are not trained yet.

    Returns:
        The first one's task, the models' `.keras` files, that of the language model last, and a fingerprint.

    Raises:
        UserError: a recipe is of the wrong kind, or they have not all the same tokenizers.
    """
    members = _members(recipe, combine)
    prepared = []
    # All tokenizers are compared before the first model is trained.
    for member, config in members:
        _say(config)
        prepared.append(prepare(member, config))
    _check_tokenizers(recipe, members, [task for task, _ in prepared])
    paths, fingerprints = [], []
    for (member, config), (task, of_task) in zip(members, prepared, strict=True):
        _say(config)
        path, fingerprint = train_model(member, config, task, of_task)
        paths.append(path)
        fingerprints.append(fingerprint)
    return prepared[0][0], paths, "-".join(fingerprints)


def _say(config: RecipeConfig) -> None:
    """Whose stages are reported next."""
    Console().print(f"{config.name}:", highlight=False)


def combined(paths: list[Path], combine: CombineConfig) -> Any:
    """Loads the models that `train_members` trained, and makes one step of them."""
    models = [training.load(path) for path in paths]
    language_model = models.pop() if combine.language_model is not None else None
    model = models[0] if len(models) == 1 else Ensemble(models, combine.weights, combine.method)
    return model if language_model is None else Fusion(model, language_model, combine.language_model_weight)


def _members(recipe: Recipe, combine: CombineConfig) -> list[Member]:
    members = [beside(recipe, "combine.models", name) for name in combine.models]
    for member, config in members:
        if config.is_language_model or config.model.decoder is None:
            raise UserError(f"{recipe.path}: combine.models: {member.path} has not both an encoder and a decoder")
    if combine.language_model is not None:
        members.append(beside(recipe, "combine.language_model", combine.language_model))
        member, config = members[-1]
        if not config.is_language_model:
            raise UserError(
                f"{recipe.path}: combine.language_model: {member.path} has an encoder; name a language model"
            )
    return members


def _check_tokenizers(recipe: Recipe, members: list[Member], tasks: list[Task]) -> None:
    for (member, _), task in zip(members[1:], tasks[1:], strict=True):
        for side in ("source", "target"):
            first, other = (getattr(each, f"{side}_tokenizer") for each in (tasks[0], task))
            if other is not None and first.model != other.model:
                raise UserError(
                    f"{recipe.path}: combine: {members[0][0].path} and {member.path} have different {side} tokenizers; "
                    f"let one say tokenizer: {{same_as: ...}} of the other"
                )
