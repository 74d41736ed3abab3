"""`keras-s2s prune`: a smaller model, without the heads, units and blocks that matter least."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from keras_s2s.cli.options import Debug, Json, Recipe, json_alone
from keras_s2s.cli.packages import import_tensorflow, training_packages
from keras_s2s.cli.tables import named_rows, print_whole


def prune(
    recipe: Recipe,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", show_default=False, help="Where the smaller model is written.")
    ],
    keep: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            show_default=False,
            help="The share of heads, and of feed-forward units, that stays; each part of a block keeps one at least.",
        ),
    ] = None,
    parameters: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default=False,
            help="In the place of a share: how many parameters the smaller model may have at most.",
        ),
    ] = None,
    blocks: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="So many whole blocks go first, one by one: each time the one without which the loss on dev data is "
            "lowest.",
        ),
    ] = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER",
            show_default=False,
            help="Prune this checkpoint, which another command wrote, in the place of the recipe's trained model.",
        ),
    ] = None,
    importance: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="What decides which heads and units stay: gradient (what the loss on dev data loses with each, to "
            "first order), or norm (of their weights). By default gradient, and norm of a bare model file.",
        ),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="In how many steps heads and units go; each measures anew what matters.",
        ),
    ] = 1,
    epochs: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            show_default=False,
            help="Train so many epochs after each step, and after blocks went, otherwise as the recipe says. By "
            "default there is no training.",
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Prune a recipe's trained Transformer: the heads, feed-forward units and blocks that matter least go.

    What comes out is a checkpoint: a smaller model, its tokenizers, and report.json, which has its sizes and its
    metrics of the dev data beside those of the model that it was made of. A model that is not trained yet is trained
    first. `keras-s2s export RECIPE --checkpoint FOLDER` makes a bundle of the smaller one.

    In the place of a recipe there may be a bare model file, and its smaller one in the place of the folder.

    ```
    keras-s2s prune pipelines/multi30k/transformer.yaml checkpoints/half --keep 0.5
    keras-s2s prune pipelines/multi30k/transformer.yaml checkpoints/half --keep 0.5 --steps 3 --epochs 2
    keras-s2s prune pipelines/multi30k/transformer.yaml checkpoints/small --blocks 2 --parameters 1500000
    keras-s2s prune model.keras small.keras --keep 0.5
    keras-s2s prune pipelines/multi30k/transformer.yaml checkpoints/half --keep 0.5 --checkpoint checkpoints/student
    ```
    """
    with training_packages("prune"), json_alone(as_json):
        import_tensorflow()
        from keras_s2s import recipe as recipes

        bare = recipe.suffix == ".keras" and checkpoint is None
        importance = importance or ("norm" if bare else "gradient")
        pruning = recipes.Pruning(keep, parameters, blocks, importance, steps, epochs)
        if bare:
            found = recipes.prune_file(recipe, folder, pruning)
        else:
            found = recipes.prune(recipes.load(recipe), folder, pruning, checkpoint)
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(pruning), **dataclasses.asdict(found), "folder": str(folder)}))
    else:
        _show(found)


def _show(found: Any) -> None:
    rows = [
        (name.replace("_", " "), *(n if isinstance(n, float) else f"{n:,}" for n in (before, found.after[name])))
        for name, before in found.before.items()
    ]
    console = Console(highlight=False, soft_wrap=True)
    print_whole(console, named_rows(("", "before", "after"), rows))
    said = "the smaller model" if found.folder.suffix == ".keras" else "report.json says which sizes each layer has"
    console.print(f"\n{found.folder}: {said}", markup=False)
