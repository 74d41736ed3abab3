"""`keras-s2s trim`: a recipe's model without the pieces that its training pairs do not use."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from keras_s2s.cli.options import Debug, Json, Recipe, json_alone
from keras_s2s.cli.packages import import_tensorflow, training_packages
from keras_s2s.cli.tables import print_whole


def trim(
    recipe: Recipe,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", show_default=False, help="Where the smaller model goes, a checkpoint.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER",
            show_default=False,
            help="Trim this checkpoint, which another command wrote, in the place of the recipe's model.",
        ),
    ] = None,
    minimum: Annotated[
        int, typer.Option(min=1, metavar="N", help="Pieces that are used less often than N times go.")
    ] = 1,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Take the pieces that a recipe's training pairs do not use out of its trained model and its tokenizers.

    The model is trained first, if it is not. FOLDER gets the smaller model, its tokenizers and a report.json: a
    checkpoint that `export --checkpoint` exports, and that a recipe may name in training.start_from and
    tokenizer.same_as. Texts that need none of the pieces that went are cut as before. The report says how many of the
    dev and test texts are not, with examples.

    ```
    keras-s2s trim pipelines/dates checkpoints/dates-trimmed
    keras-s2s export pipelines/dates --checkpoint checkpoints/dates-trimmed
    ```
    """
    with training_packages("trim"), json_alone(as_json):
        import_tensorflow()
        from keras_s2s import recipe as recipes

        report = recipes.trim(recipes.load(recipe), folder, checkpoint, minimum)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), **dataclasses.asdict(report)}))
    else:
        _show(report, folder)


def _show(report: Any, folder: Path) -> None:
    """A `keras_s2s.compression.TrimReport` as tables."""
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    print_whole(console, _sizes(report))
    console.print()
    print_whole(console, _texts(report))
    if all(side.before == side.after for side in report.pieces.values()):
        console.print("\nnothing to trim: the training pairs need every piece")
    console.print(f"\n{folder}: the model, its tokenizers, and report.json with examples", markup=False)


def _sizes(report: Any) -> Table:
    table = _table("", "before", "after")
    for side, pieces in report.pieces.items():
        table.add_row(f"{side} pieces", f"{pieces.before:,}", f"{pieces.after:,}")
    table.add_row("parameters", f"{report.parameters.before:,}", f"{report.parameters.after:,}")
    table.add_row("weights", decimal(report.bytes.before), decimal(report.bytes.after))
    return table


def _texts(report: Any) -> Table:
    table = _table("", "texts", "cut otherwise", "share")
    for split, sides in report.held_out.items():
        for side, found in sides.items():
            table.add_row(f"{split} {side}", f"{found.texts:,}", f"{found.recut:,}", f"{found.share:.1%}")
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place else "left", no_wrap=True)
    return table
