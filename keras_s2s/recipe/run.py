"""From a recipe to a verified bundle, in stages: data, tokenizer, model, bundle."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from keras_s2s import bundle, text, training
from keras_s2s import export as exporting
from keras_s2s.config import parse
from keras_s2s.data import Pairs, Task, read_pairs, read_tsv
from keras_s2s.errors import UserError
from keras_s2s.models import ModelConfig
from keras_s2s.recipe.schema import Files, Recipe, resolve
from keras_s2s.recipe.stages import stage

BUNDLES = Path("saved_models")
_SPLITS = ("train", "dev", "test")


def run(recipe: Recipe, fresh: bool = False) -> Path:
    """Runs all stages of a recipe and shows the report. What was finished before is not done again.

    Args:
        recipe: as read by `load`.
        fresh: forget earlier runs of this recipe.

    Returns:
        The bundle's folder, `saved_models/NAME` below the current one.
    """
    start = time.monotonic()
    if fresh:
        shutil.rmtree(_folder(recipe), ignore_errors=True)
    path = export(recipe)
    console = Console()
    console.print(Markdown((path / "report.md").read_text(encoding="utf-8")))
    seconds = time.monotonic() - start
    console.print(f"{path}: verified bundle, {seconds:.0f} s; report.md and attention.png are in it", soft_wrap=True)
    return path


def train(recipe: Recipe) -> Path:
    """Runs the stages up to the trained model, and returns its `.keras` file."""
    return _train(recipe)[1]


def export(recipe: Recipe) -> Path:
    """Runs all stages, and returns the bundle's folder."""
    task, checkpoint, fingerprint = _train(recipe)
    config, path = recipe.config, BUNDLES / recipe.config.name
    console = Console()

    def work(folder: Path) -> None:
        with console.status("") as status:
            exporting.export_bundle(
                training.load(checkpoint),
                path,
                task.source_tokenizer,
                task.target_tokenizer,
                task.dev,
                test=task.test,
                metrics=config.metrics,
                decoding=config.decoding,
                task=config.task,
                max_source_tokens=config.max_source_tokens,
                progress=lambda what: status.update(f"bundle: {what}"),
            )

    folder = _folder(recipe) / "bundle"
    if not (path / bundle.MANIFEST).exists():
        shutil.rmtree(folder, ignore_errors=True)
    parts = config.model_dump(mode="json", include={"decoding", "metrics", "task", "max_source_tokens"})
    stage(folder, [parts, fingerprint], work, console.print)
    return path


def _train(recipe: Recipe) -> tuple[Task, Path, str]:
    task, fingerprint = _prepare(recipe)
    config = recipe.config
    vocabularies = {
        "source_vocabulary": task.source_tokenizer.vocabulary_size,
        "target_vocabulary": task.target_tokenizer.vocabulary_size,
    }
    model = parse(ModelConfig, {**config.model.model_dump(), **vocabularies}, str(recipe.path))
    made_from = [
        model.model_dump(mode="json"),
        config.training.model_dump(mode="json"),
        config.metrics,
        fingerprint,
    ]
    folder = _folder(recipe) / "model"
    fingerprint = stage(
        folder, made_from, lambda folder: training.train(model, task, config.training, folder), Console().print
    )
    return task, folder / training.CHECKPOINT, fingerprint


def _prepare(recipe: Recipe) -> tuple[Task, str]:
    """Data and tokenizers, and their fingerprint."""
    config, console, data = recipe.config, Console(), _data_folder(recipe)
    splits = {name: _read(getattr(config.data, name), data, recipe.path) for name in _SPLITS}
    train = splits["train"]

    def work(folder: Path) -> None:
        options = config.tokenizer.model_dump(exclude={"joint"})
        if config.tokenizer.joint:
            joint = text.train([*train.sources, *train.targets], **options)
            joint.save(folder / "source.model")
            joint.save(folder / "target.model")
        else:
            text.train(train.sources, **options).save(folder / "source.model")
            text.train(train.targets, **options).save(folder / "target.model")

    folder = _folder(recipe) / "tokenizer"
    made_from = [
        config.tokenizer.model_dump(mode="json"),
        [[*splits[name].sources, *splits[name].targets] for name in _SPLITS],
    ]
    fingerprint = stage(folder, made_from, work, console.print)
    source, target = (text.Tokenizer.load(folder / f"{side}.model") for side in ("source", "target"))
    task = Task(config.task, train, splits["dev"], splits["test"], source, target, config.metrics)
    return task, fingerprint


def _data_folder(recipe: Recipe) -> Path:
    """Where relative paths of data start; the data are generated first if a script does that."""
    data = recipe.config.data
    if data.generate is None:
        return recipe.path.parent
    script = recipe.path.parent / data.generate
    if not script.is_file():
        raise UserError(f"{recipe.path}: data.generate: {script}: no such file; expected a Python script")

    def work(folder: Path) -> None:
        done = subprocess.run([sys.executable, str(script), str(folder), "--seed", str(data.seed)], check=False)
        if done.returncode:
            raise UserError(f"{script}: ended with exit code {done.returncode}")

    folder = _folder(recipe) / "data"
    stage(folder, [script.read_text(encoding="utf-8"), data.seed], work, Console().print)
    return folder


def _read(files: Files, folder: Path, recipe: Path) -> Pairs:
    if files.tsv is not None:
        return read_tsv(resolve(files.tsv, folder, recipe))
    assert files.source is not None
    assert files.target is not None
    return read_pairs(resolve(files.source, folder, recipe), resolve(files.target, folder, recipe))


def _folder(recipe: Recipe) -> Path:
    return BUNDLES / ".runs" / recipe.config.name
