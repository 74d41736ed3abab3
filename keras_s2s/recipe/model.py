"""The stage of a recipe that trains its model."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_s2s import bundle, training
from keras_s2s.config import parse
from keras_s2s.data import Task
from keras_s2s.errors import UserError
from keras_s2s.models import ModelConfig
from keras_s2s.recipe.checkpoint import Checkpoint
from keras_s2s.recipe.made_from import Change, MadeFrom, keys_of
from keras_s2s.recipe.prepare import beside, folder_of, prepare, say
from keras_s2s.recipe.schema import Recipe, RecipeConfig
from keras_s2s.recipe.stages import Rules, stage
from keras_s2s.recipe.training_examples import training_teacher
from keras_s2s.recipe.training_map import Context
from keras_s2s.text import Tokenizer

_in_training: list[Path] = []  # Recipes whose models are being trained, or wait for those that they need.
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

    Raises:
        UserError: the model needs another one, such as a teacher, that needs this one.
    """
    with _no_circle(recipe):
        return _train_model(recipe, config, task, fingerprint, callbacks)


@contextlib.contextmanager
def _no_circle(recipe: Recipe) -> Iterator[None]:
    """Inside the block, no other recipe may need this one's model."""
    path = recipe.path.resolve()
    if path in _in_training:
        names = " needs ".join(str(other) for other in [*_in_training, path])
        raise UserError(f"{recipe.path}: recipes need each other's models in a circle: {names}")
    _in_training.append(path)
    try:
        yield
    finally:
        _in_training.pop()


def _train_model(
    recipe: Recipe, config: RecipeConfig, task: Task, fingerprint: str, callbacks: Sequence[Any]
) -> tuple[Path, str]:
    model = model_config(recipe, config, task)
    start, start_fingerprint = start_of(recipe, config)
    inputs = {"the model of training.start_from": start_fingerprint, "the data or the tokenizers": fingerprint}
    task = taught(recipe, config, task, fingerprint)
    if task.examples is not None and task.examples.teacher is not None:
        inputs["the teachers' labels"] = task.examples.teacher.fingerprint
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


class _Named(NamedTuple):
    """A model that a recipe names.

    Attributes:
        tokenizers: of its sources, None where they are features or there are none, and of its targets.
        trained: trains it, if that is not done yet; gives its `.keras` file and a fingerprint.
    """

    tokenizers: tuple[Tokenizer | None, Tokenizer]
    trained: Callable[[], tuple[Path, str]]

    @classmethod
    def of(cls, recipe: Recipe, key: str, name: str) -> "_Named":
        """The checkpoint in a folder, or the model of another recipe, that `key` of a recipe names.

        Raises:
            UserError: it is neither.
        """
        if checkpoint := Checkpoint.at(recipe.path.parent / name):
            return cls(checkpoint.tokenizers(), lambda: (checkpoint.model, checkpoint.fingerprint()))
        other, config = beside(recipe, key, name)
        if other.path.resolve() == recipe.path.resolve():
            raise UserError(f"{recipe.path}: {key}: {name} is this recipe itself; name another one")
        task, fingerprint = prepare(other, config)
        return cls(
            (task.source_tokenizer, task.target_tokenizer), lambda: train_model(other, config, task, fingerprint)
        )


def start_of(recipe: Recipe, config: RecipeConfig) -> tuple[training.WarmStart | None, str]:
    """The model that `training.start_from` names, a checkpoint or the trained one of a recipe, and its fingerprint."""
    if config.training.start_from is None:
        return None, ""
    named = _Named.of(recipe, "training.start_from", config.training.start_from)
    path, fingerprint = named.trained()
    return training.WarmStart(path, training.Vocabularies.of(*named.tokenizers)), fingerprint


def taught(recipe: Recipe, config: RecipeConfig, task: Task, fingerprint: str) -> Task:
    """A task with the labels of the teachers that a recipe's loss names; without such a loss the task as it is.

    Teachers are trained, and asked, if that is not done yet.

    Args:
        recipe: the recipe.
        config: its config.
        task: as `prepare` made it.
        fingerprint: of the task.

    Raises:
        UserError: a teacher has other tokenizers, or is none.
    """
    loss = training.distillation_of(config.training)
    if loss is None:
        return task
    # Before a teacher takes its time.
    training.check(config.training, training.heads_of(model_config(recipe, config, task)))
    named = _teachers(recipe, config, task, loss.teachers)
    paths, fingerprints = zip(*(each.trained() for each in named), strict=True)
    inputs = {
        "the training examples": fingerprint,
        "the teachers": "-".join(fingerprints),
        "teacher_weights or method": f"{loss.teacher_weights} {loss.method}" if len(named) > 1 else "",
        "k": str(loss.k),
        "training.maximum_length": str(config.training.maximum_length),
    }

    def teaching() -> training.Teaching:
        teacher = training.as_teacher([training.load(path) for path in paths], loss.teacher_weights, loss.method)
        return training.Teaching(teacher, loss.k, config.training.maximum_length)

    context = Context(folder_of(recipe), say, map)  # In this process, whose TensorFlow computes on all cores.
    return dataclasses.replace(task, examples=training_teacher(task.encoded(), inputs, teaching, context))


def _teachers(recipe: Recipe, config: RecipeConfig, task: Task, names: Sequence[str]) -> list[_Named]:
    """The models of all teachers, whose tokenizers are those of the task."""
    key = "training.losses: token_distillation: teachers"
    if not names:
        raise UserError(f"{recipe.path}: {key}: this key is required; name a recipe or the folder of a checkpoint")
    if len(names) > 1 and config.is_language_model:
        raise UserError(f"{recipe.path}: {key}: a language model learns from one teacher; name one")
    found = []
    for name in names:
        where = f"{recipe.path}: {key}: {name}"
        if (recipe.path.parent / name / bundle.MANIFEST).exists():
            raise UserError(f"{where}: is a bundle, which has no model of Keras; name its recipe or a checkpoint")
        found.append(_Named.of(recipe, key, name))
        sides = zip(
            ("source", "target"), (task.source_tokenizer, task.target_tokenizer), found[-1].tokenizers, strict=True
        )
        for side, own, other in sides:
            if (own and own.model) != (other and other.model) and not (side == "source" and config.is_language_model):
                raise UserError(
                    f"{where}: has another {side} vocabulary; say tokenizer: {{same_as: {name}}}, or learn from its "
                    "texts, which keras-s2s distill writes: distillation at sequence level"
                )
    return found
