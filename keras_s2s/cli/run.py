"""`keras-s2s run`: a recipe, from its data to a verified bundle."""

from typing import Annotated

import typer

from keras_s2s.cli.options import Debug, Recipe
from keras_s2s.cli.packages import import_tensorflow, training_packages


def run(
    recipe: Recipe,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make all anew; what is finished stays until then.")] = False,
    debug: Debug = False,
) -> None:
    """Run a whole recipe: prepare the data, train, export, verify, report.

    The bundle goes to saved_models below the current folder. A run can be stopped at any time: the next one
    continues, and does not repeat what was finished. When the recipe or its data have changed, what depends on that is
    made anew, and takes the place of the old model or bundle when it is finished. If there are only more epochs or
    minutes, and the learning rate does not depend on their number, training goes on from its end.

    ```
    keras-s2s run pipelines/dates
    ```
    """
    with training_packages("run"):
        import_tensorflow()
        from keras_s2s import recipe as recipes

        recipes.run(recipes.load(recipe), fresh=fresh)
