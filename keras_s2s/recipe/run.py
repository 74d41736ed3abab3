"""From a recipe to a verified bundle, in stages: data, tokenizer, model, bundle."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_s2s import bundle, status, training
from keras_s2s import export as exporting
from keras_s2s.bundle import strategy_and_features, without_steps
from keras_s2s.data import Lexicon, Pairs, Task, learn_lexicon
from keras_s2s.decoding import problems
from keras_s2s.errors import UserError
from keras_s2s.models import build
from keras_s2s.recipe.checkpoint import Checkpoint
from keras_s2s.recipe.combine import combined, train_members
from keras_s2s.recipe.data_schema import Split
from keras_s2s.recipe.fingerprints import of_pairs
from keras_s2s.recipe.locks import keeping_locks, lock
from keras_s2s.recipe.made_from import MadeFrom, keys_of
from keras_s2s.recipe.model import model_config, train_model
from keras_s2s.recipe.prepare import BUNDLES, folder_of, prepare, prepare_for, read_held_out, read_training_pairs, say
from keras_s2s.recipe.schema import CombinedConfig, ExportConfig, Recipe, RecipeConfig
from keras_s2s.recipe.stages import forget, stage

_EXPORTED = "exported.json"
_OF_BUNDLE = ("combine", "decoding", "metrics", "task", "max_source_tokens", "export")


def run(recipe: Recipe, fresh: bool = False) -> Path:
    """Runs all stages of a recipe and shows the report. What was finished before is not done again.

    Args:
        recipe: as read by `load`.
        fresh: make all stages anew. What earlier runs finished stays until its replacement is finished, too.

    Returns:
        The bundle's folder, `saved_models/NAME` below the current one.
    """
    start = time.monotonic()
    with running(recipe):
        if fresh and folder_of(recipe).exists():
            forget(folder_of(recipe))
        path = export(recipe)
    console = Console()
    # As it is written: laid out for a terminal its tables would be cut.
    console.print((path / "report.md").read_text(encoding="utf-8"), markup=False, highlight=False, soft_wrap=True)
    seconds = time.monotonic() - start
    console.print(f"{path}: verified bundle, {seconds:.0f} s; report.md is in it", soft_wrap=True)
    return path


def train(recipe: Recipe) -> Path:
    """Runs the stages up to the trained model, and returns its `.keras` file.

    Raises:
        UserError: the recipe combines others.
    """
    if isinstance(recipe.config, CombinedConfig):
        raise UserError(f"{recipe.path}: combines models of other recipes; train those, or run this one")
    with running(recipe):
        return train_model(recipe, recipe.config, *prepare(recipe, recipe.config))[0]


def export(recipe: Recipe, checkpoint: Path | None = None) -> Path:
    """Runs all stages, and returns the bundle's folder.

    Args:
        recipe: as read by `load`.
        checkpoint: the folder of one that is exported in the place of the recipe's model, to a bundle of its name.

    Raises:
        UserError: the recipe is a language model's, or there is no checkpoint.
    """
    with running(recipe):
        return _train_and_export(recipe) if checkpoint is None else _export_checkpoint(recipe, checkpoint)


def train_pairs(recipe: Recipe) -> Pairs:
    """Runs the first stage of a recipe, and returns its training pairs after preprocessing.

    Raises:
        UserError: the recipe combines others, or its sources are no texts.
    """
    if isinstance(recipe.config, CombinedConfig):
        raise UserError(f"{recipe.path}: combines models of other recipes; name one that trains a model")
    if recipe.config.data.is_speech:
        raise UserError(f"{recipe.path}: its sources are features, which a bundle does not read; name a recipe of text")
    with running(recipe):
        return read_training_pairs(recipe, recipe.config)


def held_out_pairs(recipe: Recipe) -> dict[Split, Pairs]:
    """The dev and test pairs of a recipe, as far as it has them.

    Raises:
        UserError: the recipe combines others.
    """
    if isinstance(recipe.config, CombinedConfig):
        raise UserError(f"{recipe.path}: combines models of other recipes; name one that trains a model")
    with running(recipe):
        return read_held_out(recipe, recipe.config)


@contextlib.contextmanager
def running(recipe: Recipe) -> Iterator[None]:
    """Keeps other runs of a recipe away, and says once a minute what is being done.

    Raises:
        UserError: another one is going on.
    """
    with keeping_locks(), status.minutes_of(Console()):
        # A folder that is not there yet is locked when the first stage makes it.
        if folder_of(recipe).exists():
            lock(folder_of(recipe))
        yield


def _train_and_export(recipe: Recipe) -> Path:
    config = recipe.config
    if isinstance(config, CombinedConfig):
        combine = config.combine
        task, paths, fingerprint = train_members(recipe, combine)
        return _export(recipe, task, fingerprint, lambda: combined(paths, combine))
    if config.is_language_model:
        raise UserError(
            f"{recipe.path}: a language model has no bundle of its own; train it, and name it in the "
            "combine.language_model of another recipe"
        )
    if config.data.is_speech:
        raise UserError(
            f"{recipe.path}: a model that reads features has no bundle yet; train it, and load its .keras file"
        )
    task, fingerprint = prepare(recipe, config)
    _check_graphs(recipe, config, task)
    path, fingerprint = train_model(recipe, config, task, fingerprint)
    return _export(recipe, task, fingerprint, lambda: training.load(path))


def _export_checkpoint(recipe: Recipe, folder: Path) -> Path:
    config, checkpoint = recipe.config, Checkpoint.read(folder)
    if isinstance(config, CombinedConfig):
        raise UserError(f"{recipe.path}: combines models of other recipes; name the recipe of the checkpoint")
    name = checkpoint.folder.resolve().name
    if (BUNDLES / name).resolve() == checkpoint.folder.resolve():
        raise UserError(f"{folder}: is where its bundle would be; move the checkpoint out of {BUNDLES}")
    task, fingerprint = prepare_for(recipe, config, checkpoint)
    return _export(recipe, task, fingerprint, lambda: training.load(checkpoint.model), name)


def _check_graphs(recipe: Recipe, config: RecipeConfig, task: Task) -> None:
    """Looks, before training takes its time, whether the model can be decoded as it will be asked to.

    Raises:
        UserError: it cannot.
    """
    model = build(model_config(recipe, config, task))
    for name in dict.fromkeys([config.graph, *without_steps(config.export.graphs)[0]]):
        if found := problems(model, *strategy_and_features(name)):
            raise UserError(f"{recipe.path}: graph '{name}': {'; '.join(found)}")


def _export(
    recipe: Recipe, task: Task, fingerprint: str, model: Callable[[], Any], checkpoint: str | None = None
) -> Path:
    config, path = recipe.config, BUNDLES / (checkpoint or recipe.config.name)
    console = Console(highlight=False, soft_wrap=True)

    def work(folder: Path) -> None:
        assert task.source_tokenizer is not None
        with status.shown(console, "bundle") as tell:
            tell("loading the model")
            loaded = model()
            tell("what the recipe wants in it")
            exporting.export_bundle(
                loaded,
                path,
                task.source_tokenizer,
                task.target_tokenizer,
                task.dev,
                test=task.test,
                metrics=config.metrics,
                decoding=config.decoding,
                task=config.task,
                max_source_tokens=config.max_source_tokens,
                progress=tell,
                **_contents(config.export, task),
            )
        (folder / _EXPORTED).write_text(json.dumps({"created": _created(path)}))

    test = "" if task.test is None else of_pairs(task.test)
    made_from = MadeFrom(keys_of(config, *_OF_BUNDLE), {"the model or its data": fingerprint, "the test data": test})
    folder = folder_of(recipe) / ("bundle" if checkpoint is None else f"bundle of {checkpoint}")
    stage(folder, made_from, work, say, is_there=lambda folder: _is_there(folder, path))
    return path


def _is_there(folder: Path, path: Path) -> bool:
    """Whether the bundle is the one that the stage in `folder` made."""
    if not (path / bundle.MANIFEST).exists():
        return False
    exported = folder / _EXPORTED  # Earlier versions had none.
    return not exported.exists() or json.loads(exported.read_text())["created"] == _created(path)


def _created(path: Path) -> str | None:
    """When a bundle was exported; quantized graphs that were added later do not change that."""
    return json.loads((path / bundle.MANIFEST).read_text(encoding="utf-8")).get("created")


def _contents(export: ExportConfig, task: Task) -> dict[str, Any]:
    """The arguments of `export_bundle` that the recipe sets."""
    contents: dict[str, Any] = {"operators": export.operators, "examples": export.examples}
    if export.graphs:
        contents["graphs"] = export.graphs
    if export.shortlist:
        contents["shortlist"] = _lexicon(task)
    return contents


def _lexicon(task: Task) -> Lexicon:
    examples = task.encoded()
    assert task.source_tokenizer is not None and examples.sources is not None
    return learn_lexicon(examples.sources, examples.labels, task.source_tokenizer.vocabulary_size)
