"""`keras-s2s tune`: a search for better values of a recipe's keys."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from keras_s2s.cli.options import Debug, Json, Recipe, json_alone
from keras_s2s.cli.packages import import_tensorflow, training_packages
from keras_s2s.cli.tables import print_whole
from keras_s2s.errors import UserError

PICTURE, TABLE = "tuning.png", "tuning.json"


def tune(
    recipe: Recipe,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew; earlier trials stay until the end.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Search for better values of a recipe's keys.

    The recipe says which values to try:

    ```
    tuning:
      trials: 20
      space:
        training.optimizer.schedule.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
        model.dropout: {choices: [0.1, 0.2, 0.3]}
        model.width: {low: 64, high: 256, step: 64}
    ```

    Each trial trains the recipe with other values, chosen by what earlier ones gave (Optuna). A trial is stopped
    when its dev metric is below the median of the others at the same point. The search can be interrupted, and goes
    on when it is called again. Called in several terminals, or on machines that share the folder, it makes several
    trials at once.

    ```
    keras-s2s tune pipelines/dates
    ```
    """
    with training_packages("tune"), json_alone(as_json):
        _import_optuna()
        import_tensorflow()
        from keras_s2s import recipe as recipes

        loaded = recipes.load(recipe)
        found = recipes.tune(loaded, fresh=fresh)
        _draw(found, loaded)
    result = _result(found)
    (found.folder / TABLE).write_text(json.dumps(result, indent=1))
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show(found)


def _import_optuna() -> None:
    try:
        import filelock  # noqa: F401
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(f'tune needs {error.name}, which is missing; pip install "keras_s2s[train,tune]"') from None


def _draw(found: Any, recipe: Any) -> None:
    from keras_s2s.evaluation.tuning_picture import tuning_picture

    log = [key for key, parameter in recipe.config.tuning.space.items() if parameter.log]
    trials = [(t.number, t.value, t.state == "complete", t.values) for t in found.trials if t.value is not None]
    if trials:
        tuning_picture(found.folder / PICTURE, trials, found.metric, found.higher_is_better, log)


def _result(found: Any) -> dict[str, Any]:
    """A `keras_s2s.recipe.Tuned` as JSON has it, the best trial first."""
    return {
        "metric": found.metric,
        "higher_is_better": found.higher_is_better,
        "folder": str(found.folder),
        "trials": [
            {
                "number": trial.number,
                "state": trial.state,
                "value": trial.value,
                "values": trial.values,
                "folder": str(trial.folder),
                "reason": trial.reason,
            }
            for trial in found.ranked
        ],
    }


def _show(found: Any) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("trial", justify="right")
    table.add_column(f"dev {found.metric}", justify="right")
    table.add_column("state")
    keys = list(dict.fromkeys(key for trial in found.ranked for key in trial.values))
    for key in keys:
        table.add_column(key, justify="right")
    for trial in found.ranked:
        value = "" if trial.value is None else f"{trial.value:.2f}"
        table.add_row(str(trial.number), value, trial.state, *(_short(trial.values.get(key)) for key in keys))
    console.print()
    print_whole(console, table)
    for trial in found.ranked:
        if trial.reason is not None:
            console.print(f"trial {trial.number} failed: {trial.reason}", markup=False)
    drawn = f", {PICTURE}" if (found.folder / PICTURE).exists() else ""
    console.print(f"\n{found.folder}: {TABLE}{drawn} and the checkpoints of each trial")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
