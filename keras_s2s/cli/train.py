"""`keras-s2s train`: a recipe, up to its trained model."""

import typer

from keras_s2s.cli.options import Debug, Recipe
from keras_s2s.cli.packages import import_tensorflow, training_packages


def train(config: Recipe, debug: Debug = False) -> None:
    """Run a recipe up to the trained model, and print its path.

    Stages that were finished before are not repeated. A model that a changed recipe makes anew takes the place of the
    old one when it is finished.

    ```
    keras-s2s train pipelines/dates
    ```
    """
    with training_packages("train"):
        import_tensorflow()
        from keras_s2s import recipe as recipes

        typer.echo(recipes.train(recipes.load(config)))
