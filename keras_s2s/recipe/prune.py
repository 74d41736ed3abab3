"""Pruning of a recipe's model, or of another checkpoint, with the recipe's dev data and its training."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_s2s import compression, training
from keras_s2s.compression.ranking import Budget, sizes_of
from keras_s2s.data import Task
from keras_s2s.errors import UserError
from keras_s2s.models import Architecture, Seq2Seq, build
from keras_s2s.recipe.checkpoint import MODEL, Checkpoint, check_place, write_checkpoint
from keras_s2s.recipe.made_from import MadeFrom, keys_of
from keras_s2s.recipe.model import model_config, train_model
from keras_s2s.recipe.prepare import folder_of, prepare, prepare_for, say
from keras_s2s.recipe.run import running
from keras_s2s.recipe.schema import CombinedConfig, Recipe, RecipeConfig
from keras_s2s.recipe.stages import stage

REPORT = "report.json"
IMPORTANCE: dict[str, Callable[[Seq2Seq, Task], compression.Scores]] = {
    "gradient": compression.by_gradient,
    "norm": lambda model, task: compression.by_norm(model),
}


@dataclass(frozen=True)
class Pruning:
    """How a model is pruned.

    Attributes:
        keep: the share of its heads, and of its feed-forward units, that stay.
        importance: what decides which, "gradient" or "norm"; see `compression.by_gradient` and `by_norm`.
        steps: in how many steps, each of which keeps the same share of what the one before left.
        epochs: of training after each step, as the recipe trains; None for no training.
    """

    keep: float
    importance: str = "gradient"
    steps: int = 1
    epochs: float | None = None


@dataclass(frozen=True)
class Pruned:
    """A pruned model beside what it was made of.

    Attributes:
        folder: the checkpoint.
        model: the smaller architecture, as a recipe's `model` takes it.
        before: the sizes of the model that was pruned: blocks, heads, units, parameters; and its metrics of the dev
            data, in percent.
        after: the same of the smaller model.
    """

    folder: Path
    model: dict[str, Any]
    before: dict[str, float]
    after: dict[str, float]


def prune(recipe: Recipe, folder: Path, pruning: Pruning, checkpoint: Path | None = None) -> Pruned:
    """Writes a smaller model, with its tokenizers and `report.json`, to a folder.

    A step that was finished before is not done again, and one that was interrupted goes on.

    Args:
        recipe: as read by `load`; its model is trained first, if it is not.
        folder: where the checkpoint is written.
        pruning: how.
        checkpoint: the folder of one that is pruned in the place of the recipe's model.

    Raises:
        UserError: the recipe combines others, there is no such checkpoint or importance, the model has no Transformer
            blocks, the share cannot be kept, or something that is no checkpoint is in the folder.
    """
    config = recipe.config
    if isinstance(config, CombinedConfig):
        raise UserError(f"{recipe.path}: combines models of other recipes; prune those")
    if pruning.importance not in IMPORTANCE:
        raise UserError(f"prune: no importance '{pruning.importance}'; there are {', '.join(IMPORTANCE)}")
    check_place(folder)
    with running(recipe):
        task, path, fingerprint = _start(recipe, config, pruning, checkpoint)
        model = training.load(path)
        budgets = _budgets(model, pruning)
        before = _described(model, task)
        for number, budget in enumerate(budgets, 1):
            steps = _Step(recipe, config, task, pruning, f"pruning of {folder.resolve().name}, step {number}")
            path, fingerprint = steps.make(path, fingerprint, budget)
        small = training.load(path)
        result = Pruned(folder, _architecture(small), before, _described(small, task))
        content = {**dataclasses.asdict(pruning), **dataclasses.asdict(result), "folder": str(folder)}

        def write(new: Path) -> None:
            shutil.copyfile(path, new / MODEL)
            (new / REPORT).write_text(json.dumps(content, indent=2), encoding="utf-8")

        write_checkpoint(folder, task.source_tokenizer, task.target_tokenizer, write)
        return result


def _start(recipe: Recipe, config: RecipeConfig, pruning: Pruning, folder: Path | None) -> tuple[Task, Path, str]:
    """The data, the `.keras` file that is pruned, and a fingerprint of both."""
    if folder is None:
        task, fingerprint = prepare(recipe, config)
        _budgets(build(model_config(recipe, config, task)), pruning)  # Before training takes its time.
        return task, *train_model(recipe, config, task, fingerprint)
    checkpoint = Checkpoint.read(folder)
    task, fingerprint = prepare_for(recipe, config, checkpoint)
    return task, checkpoint.model, fingerprint


def _budgets(model: Seq2Seq, pruning: Pruning) -> list[Budget]:
    """What stays after each step."""
    compression.budget_of(model, pruning.keep)
    shares = [pruning.keep ** (number / pruning.steps) for number in range(1, pruning.steps + 1)]
    return [compression.budget_of(model, share) for share in shares]


@dataclass(frozen=True)
class _Step:
    """A step of pruning, and the training after it.

    Attributes:
        recipe: the recipe.
        config: its config.
        task: its data.
        pruning: how the model is pruned.
        name: of the stage.
    """

    recipe: Recipe
    config: RecipeConfig
    task: Task
    pruning: Pruning
    name: str

    def make(self, path: Path, fingerprint: str, budget: Budget) -> tuple[Path, str]:
        """Of a `.keras` file the smaller one, each with the fingerprint of what it was made from."""
        asked = json.dumps([dataclasses.asdict(self.pruning), budget], sort_keys=True)
        inputs = {"the model or its data": fingerprint, "what is pruned": asked}
        made_from = MadeFrom(keys_of(self.config, "training", "metrics") if self.pruning.epochs else {}, inputs)
        folder = folder_of(self.recipe) / self.name
        fingerprint = stage(folder, made_from, lambda new: self._work(new, path, budget), say)
        return folder / (training.CHECKPOINT if self.pruning.epochs else MODEL), fingerprint

    def _work(self, folder: Path, path: Path, budget: Budget) -> None:
        smaller = folder / MODEL
        if not smaller.exists():
            model = training.load(path)
            scores = IMPORTANCE[self.pruning.importance](model, self.task)
            compression.prune(model, compression.most_important(model, scores, budget)).save(smaller)
        if self.pruning.epochs is not None:
            config = self.config.training.replace(epochs=self.pruning.epochs, minutes=None, start_from=None)
            ids = training.Vocabularies.of(self.task.source_tokenizer, self.task.target_tokenizer)
            start = training.WarmStart(smaller, ids)
            training.train(training.load(smaller).config, self.task, config, folder, start=start)


def _described(model: Seq2Seq, task: Task) -> dict[str, float]:
    """The sizes of a model, and its metrics of the dev data."""
    judge: Any = training.DevPerplexity(task) if model.encoder is None else training.DecodedMetrics(task)
    judge.set_model(model)
    blocks = len([*compression.Kept.all_of(model)])
    return {"blocks": blocks, **sizes_of(model), "parameters": model.count_params(), **judge.judge()}


def _architecture(model: Seq2Seq) -> dict[str, Any]:
    """The config of a model without what its data decide."""
    return model.config.model_dump(mode="json", include=set(Architecture.model_fields), exclude_none=True)
