"""`keras-s2s export`: a recipe's trained model as a bundle."""

import typer

from keras_s2s.cli.options import Debug, Recipe
from keras_s2s.cli.packages import import_tensorflow, training_packages


def export(config: Recipe, debug: Debug = False) -> None:
    """Export the trained model of a recipe as a verified bundle, and print its path.

    What is not trained yet is trained first. A bundle that is there already is replaced when the new one is whole.

    ```
    keras-s2s export pipelines/dates
    ```
    """
    with training_packages("export"):
        import_tensorflow()
        from keras_s2s import recipe as recipes

        typer.echo(recipes.export(recipes.load(config)))
