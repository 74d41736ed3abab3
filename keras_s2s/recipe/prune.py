"""Pruning of a recipe's model, or of another checkpoint, with the recipe's dev data and its training."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_s2s import compression, training
from keras_s2s.atomic import atomic_write
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
from keras_s2s.training.transfer import read_model

REPORT = "report.json"
IMPORTANCE: dict[str, Callable[[Seq2Seq, Task], compression.Scores]] = {
    "gradient": compression.by_gradient,
    "norm": lambda model, task: compression.by_norm(model),
}


@dataclass(frozen=True)
class Pruning:
    """How a model is pruned.

    Attributes:
        keep: the share of its heads, and of its feed-forward units, that stay; None for what `parameters` allows, or
            all of them.
        parameters: how many it may have in the end.
        blocks: how many whole blocks go first; see `compression.without_blocks`.
        importance: what decides which heads and units stay, "gradient" or "norm"; see `compression.by_gradient` and
            `by_norm`.
        steps: in how many steps heads and units go; each keeps the same share of what the one before left.
        epochs: of training after each step, and after the blocks went, as the recipe trains; None for no training.
    """

    keep: float | None = None
    parameters: int | None = None
    blocks: int = 0
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
            blocks, it is not said what goes, that cannot go, or something that is no checkpoint is in the folder.
    """
    config = recipe.config
    if isinstance(config, CombinedConfig):
        raise UserError(f"{recipe.path}: combines models of other recipes; prune those")
    _check(pruning)
    check_place(folder)
    with running(recipe):
        task, path, fingerprint = _start(recipe, config, pruning, checkpoint)
        model = read_model(path, "prune")
        _check_budget(model, pruning)
        before = _described(model, task)
        name = f"pruning of {folder.resolve().name}"
        if pruning.blocks:
            step = _Step(recipe, config, task, pruning, f"{name}, blocks")
            path, fingerprint = step.make(path, fingerprint, pruning.blocks)
            model = training.load(path)
        for number, budget in enumerate(_budgets(model, pruning), 1):
            step = _Step(recipe, config, task, pruning, f"{name}, step {number}")
            path, fingerprint = step.make(path, fingerprint, budget)
        small = training.load(path)
        result = Pruned(folder, _architecture(small), before, _described(small, task))
        content = {**dataclasses.asdict(pruning), **dataclasses.asdict(result), "folder": str(folder)}

        def write(new: Path) -> None:
            shutil.copyfile(path, new / MODEL)
            (new / REPORT).write_text(json.dumps(content, indent=2), encoding="utf-8")

        write_checkpoint(folder, task.source_tokenizer, task.target_tokenizer, write)
        return result


def prune_file(path: Path, to: Path, pruning: Pruning) -> Pruned:
    """Writes a smaller model of a bare `.keras` file, without data: heads and units go once, by norm.

    Args:
        path: the file.
        to: the smaller model's file; one that is there is replaced.
        pruning: how much stays.

    Raises:
        UserError: `path` is no model of this package, it is not said what goes, that cannot go, more is wanted than
            there is without data, or `to` is no name of a `.keras` file.
    """
    _check(pruning)
    if pruning != Pruning(pruning.keep, pruning.parameters, importance="norm"):
        raise UserError(
            f"{path}: is a bare model file, and has no data: heads and units go once, by norm; give a recipe for "
            "blocks, gradients, steps and training"
        )
    if to.suffix != ".keras":
        raise UserError(f"{to}: expected a name that ends in .keras, for of a bare model file comes another one")
    model = read_model(path, "prune")
    [budget] = _budgets(model, pruning)
    small = compression.prune(model, compression.most_important(model, compression.by_norm(model), budget))
    to.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(to, small.save)
    return Pruned(to, _architecture(small), _sizes(model), _sizes(small))


def _check(pruning: Pruning) -> None:
    if pruning.importance not in IMPORTANCE:
        raise UserError(f"prune: no importance '{pruning.importance}'; there are {', '.join(IMPORTANCE)}")
    if pruning.keep is not None and pruning.parameters is not None:
        raise UserError("prune: a share to keep and a number of parameters are two budgets; give one")
    if pruning.keep is None and pruning.parameters is None and not pruning.blocks:
        raise UserError("prune: nothing is to go; give a share to keep, a number of parameters, or blocks")


def _start(recipe: Recipe, config: RecipeConfig, pruning: Pruning, folder: Path | None) -> tuple[Task, Path, str]:
    """The data, the `.keras` file that is pruned, and a fingerprint of both."""
    if folder is None:
        task, fingerprint = prepare(recipe, config)
        # Before training takes its time.
        _check_budget(build(model_config(recipe, config, task)), pruning)
        return task, *train_model(recipe, config, task, fingerprint)
    checkpoint = Checkpoint.read(folder)
    task, fingerprint = prepare_for(recipe, config, checkpoint)
    return task, checkpoint.model, fingerprint


def _check_budget(model: Seq2Seq, pruning: Pruning) -> None:
    compression.check_blocks(model, pruning.blocks)
    if not pruning.blocks:  # With fewer blocks there are other budgets.
        _budgets(model, pruning)


def _budgets(model: Seq2Seq, pruning: Pruning) -> list[Budget]:
    """What stays after each step."""
    keep = pruning.keep
    if pruning.parameters is not None:
        keep = compression.share_for(model, pruning.parameters)
    if keep is None:
        return []
    compression.budget_of(model, keep)
    shares = [keep ** (number / pruning.steps) for number in range(1, pruning.steps + 1)]
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

    def make(self, path: Path, fingerprint: str, budget: Budget | int) -> tuple[Path, str]:
        """Of a `.keras` file the smaller one, each with the fingerprint of what it was made from.

        Args:
            path: the file.
            fingerprint: of what it was made from.
            budget: which heads and units stay, or how many blocks go.
        """
        asked = json.dumps([dataclasses.asdict(self.pruning), budget], sort_keys=True)
        inputs = {"the model or its data": fingerprint, "what is pruned": asked}
        made_from = MadeFrom(keys_of(self.config, "training", "metrics") if self.pruning.epochs else {}, inputs)
        folder = folder_of(self.recipe) / self.name
        fingerprint = stage(folder, made_from, lambda new: self._work(new, path, budget), say)
        return folder / (training.CHECKPOINT if self.pruning.epochs else MODEL), fingerprint

    def _work(self, folder: Path, path: Path, budget: Budget | int) -> None:
        smaller = folder / MODEL
        if not smaller.exists():
            self._smaller(training.load(path), budget).save(smaller)
        if self.pruning.epochs is not None:
            config = self.config.training.replace(epochs=self.pruning.epochs, minutes=None, start_from=None)
            ids = training.Vocabularies.of(self.task.source_tokenizer, self.task.target_tokenizer)
            start = training.WarmStart(smaller, ids)
            training.train(training.load(smaller).config, self.task, config, folder, start=start)

    def _smaller(self, model: Seq2Seq, budget: Budget | int) -> Seq2Seq:
        if isinstance(budget, int):
            return compression.without_blocks(model, self.task, budget)
        scores = IMPORTANCE[self.pruning.importance](model, self.task)
        return compression.prune(model, compression.most_important(model, scores, budget))


def _described(model: Seq2Seq, task: Task) -> dict[str, float]:
    """The sizes of a model, and its metrics of the dev data."""
    judge: Any = training.DevPerplexity(task) if model.encoder is None else training.DecodedMetrics(task)
    judge.set_model(model)
    return {**_sizes(model), **judge.judge()}


def _sizes(model: Seq2Seq) -> dict[str, float]:
    blocks = len([*compression.Kept.all_of(model)])
    sizes = sizes_of(model)
    return {"blocks": blocks, "heads": sizes["heads"], "units": sizes["units"], "parameters": model.count_params()}


def _architecture(model: Seq2Seq) -> dict[str, Any]:
    """The config of a model without what its data decide."""
    return model.config.model_dump(mode="json", include=set(Architecture.model_fields), exclude_none=True)
