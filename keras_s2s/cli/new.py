"""`keras-s2s new`: a recipe for one's own pairs."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_s2s.cli.options import Debug, Json
from keras_s2s.cli.packages import import_tensorflow, training_packages


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The folder to make, and the model.")],
    train: Annotated[
        Path,
        typer.Option(metavar="FILE", show_default=False, help="The pairs: .tsv, .csv or .jsonl, maybe compressed."),
    ],
    dev: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default=False, help="Pairs to choose the model by. By default some of train."
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="Pairs to report on. By default some of train."),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.1, metavar="N", help="How long training may take on this machine.")
    ] = 30.0,
    source: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", show_default=False, help="Column of the sources: its name, or number from 1."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", show_default=False, help="Column of the targets.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the split into train, dev and test.")] = 1,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a recipe for your own pairs.

    Looks at the pairs, splits off dev and test data, measures how fast models train on this machine, and makes a folder
    with a recipe that fits the time. The recipe says why each value was chosen, so that you can change it.

    ```
    keras-s2s new mine --train pairs.tsv --minutes 10
    keras-s2s run mine
    ```
    """
    with training_packages("new"):
        import_tensorflow()
        from keras_s2s import status
        from keras_s2s.recipe.new import make

        files: Any = {"train": train, "dev": dev, "test": test}
        with status.shown(Console(stderr=True), "new") as say:
            made = make(
                name,
                {split: path for split, path in files.items() if path is not None},
                minutes=minutes,
                source=source,
                target=target,
                seed=seed,
                say=say,
            )
    if as_json:
        typer.echo(json.dumps(_result(made)))
    else:
        _show(made)


def _result(made: Any) -> dict[str, Any]:
    """A `keras_s2s.recipe.new.New` as JSON has it."""
    seen = made.seen._asdict()
    for side in ("source", "target"):
        lengths = {unit: getattr(seen[side], unit)._asdict() for unit in ("characters", "words")}
        seen[side] = seen[side]._asdict() | lengths
    return {
        "recipe": str(made.recipe),
        "seen": seen,
        "chosen": made.content,
        "why": {name: why for name, (_, why) in made.chose.items()},
        "warnings": list(made.warnings),
    }


def _show(made: Any) -> None:
    console = Console(highlight=False)
    for title, rows in (
        ("Seen in the pairs", [(name, said) for name, said in made.saw.items()]),
        ("Chosen", [(name, f"{what}: {why}") for name, (what, why) in made.chose.items()]),
    ):
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, said in rows:
            table.add_row(f"  {name}", Text(said))
        console.print(title, style="bold")
        console.print(table)
        console.print()
    for line in made.warnings:
        console.print(f"note: {line}", markup=False, soft_wrap=True)
    if made.warnings:
        console.print()
    console.print(f"{made.recipe}: written; next:\n  keras-s2s run {made.recipe}", markup=False, soft_wrap=True)
