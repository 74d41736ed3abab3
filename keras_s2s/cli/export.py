"""`keras-s2s export`: a recipe's trained model as a bundle."""

from pathlib import Path
from typing import Annotated

import typer

from keras_s2s.cli.options import Debug, Recipe
from keras_s2s.cli.packages import import_tensorflow, training_packages


def export(
    config: Recipe,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            show_default=False,
            help="Export this checkpoint of the recipe, which another command wrote. The bundle has the folder's name.",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Export the trained model of a recipe as a verified bundle, and print its path.

    What is not trained yet is trained first. A bundle that is there already is replaced when the new one is whole.

    ```
    keras-s2s export pipelines/dates
    keras-s2s export pipelines/dates --checkpoint checkpoints/dates-small
    ```
    """
    with training_packages("export"):
        import_tensorflow()
        from keras_s2s import recipe as recipes

        typer.echo(recipes.export(recipes.load(config), checkpoint=checkpoint))
