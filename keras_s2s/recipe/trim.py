"""A recipe's trained model without the pieces that its training pairs do not use."""

import dataclasses
import json
from pathlib import Path

from rich.console import Console

from keras_s2s import compression, status
from keras_s2s.compression import Trimmed, TrimReport
from keras_s2s.errors import UserError
from keras_s2s.recipe.checkpoint import MODEL, Checkpoint, check_place, write_checkpoint
from keras_s2s.recipe.model import train_model
from keras_s2s.recipe.prepare import prepare, prepare_for
from keras_s2s.recipe.run import running
from keras_s2s.recipe.schema import CombinedConfig, Recipe

REPORT = "report.json"


def trim(recipe: Recipe, folder: Path, checkpoint: Path | None = None, minimum: int = 1) -> TrimReport:
    """Writes a checkpoint without the pieces that a recipe's training pairs do not use, and `report.json` beside it.

    Args:
        recipe: as read by `load`. Its model is trained first, if it is not.
        folder: of the checkpoint; one that is there is replaced.
        checkpoint: the folder of one that is trimmed in the place of the recipe's model.
        minimum: pieces that are used less often go.

    Raises:
        UserError: the recipe combines others; or there is no checkpoint; or as `compression.trim` and
            `write_checkpoint`.
    """
    config = recipe.config
    if isinstance(config, CombinedConfig):
        raise UserError(f"{recipe.path}: combines models of other recipes; trim one of those")
    check_place(folder)
    with running(recipe):
        if checkpoint is None:
            task, fingerprint = prepare(recipe, config)
            model, _ = train_model(recipe, config, task, fingerprint)
        else:
            found = Checkpoint.read(checkpoint)
            task, _ = prepare_for(recipe, config, found)
            model = found.model
        with status.shown(Console(), "trim") as tell:
            tell("looking which pieces are used")
            trimmed = compression.trim(model, task, minimum)
            write_checkpoint(folder, trimmed.source, trimmed.target, lambda new: _write(trimmed, new))
    return trimmed.report


def _write(trimmed: Trimmed, folder: Path) -> None:
    trimmed.model.save(folder / MODEL)
    report = dataclasses.asdict(trimmed.report)
    (folder / REPORT).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
