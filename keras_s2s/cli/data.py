"""`keras-s2s data`: a recipe's data, prepared and looked at."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from keras_s2s.cli import ray_cluster
from keras_s2s.cli.options import Debug, Json, Recipe, json_alone
from keras_s2s.cli.packages import import_tensorflow, training_packages
from keras_s2s.cli.tables import print_whole

_BARS, _WIDTH = 12, 30


def data(
    recipe: Recipe,
    as_json: Json = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Use the cores of a Ray cluster. Its nodes need not have the data.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Prepare the data of a recipe, and report what they are.

    The training pairs are read, preprocessed, encoded, and written to files that training maps into memory, so a corpus
    may be larger than memory. It uses all cores, and shows how many pairs are done and how many a second. It can be
    stopped at any time: the next run continues. `run` and `train` do the same first, and do not repeat it.

    `--ray` takes the cluster of RAY_ADDRESS or one that runs on this machine, or else starts one here. The files are
    written on this machine, and are those that are written without it.

    The report says how many pairs there are, what preprocessing left out and why, and how long sources and targets are.

    ```
    keras-s2s data pipelines/dates
    ```
    """
    with training_packages("data"), json_alone(as_json):
        import_tensorflow()
        from keras_s2s import recipe as recipes
        from keras_s2s.data.on_ray import on_ray
        from keras_s2s.data.workers import on_all_cores

        loaded = recipes.load(recipe)
        if ray:
            ray_cluster.connect("data")
        report = recipes.prepare_data(loaded, on_ray if ray else on_all_cores)
    if as_json:
        typer.echo(json.dumps(_result(report)))
    else:
        _show(report)


def _result(report: Any) -> dict[str, Any]:
    """A `keras_s2s.recipe.DataReport` as JSON has it."""
    return {
        "folder": str(report.folder),
        "bytes": report.bytes,
        "pairs": report.pairs,
        "corpora": report.corpora,
        "too_long": report.too_long,
        "lengths": {
            side: {
                "unit": lengths.unit,
                "total": lengths.total,
                **{f"p{percent}": lengths.quantile(percent / 100) for percent in (50, 95, 99, 100)},
                "counts": lengths.counts.tolist(),
            }
            for side, lengths in report.sides.items()
        },
    }


def _show(report: Any) -> None:
    from keras_s2s.recipe.data_report import PICTURE
    from keras_s2s.recipe.preprocessing_report import report_table

    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(report_table(report.corpora), markup=False)
    held_out = "".join(f", {count:,} {name}" for name, count in report.pairs.items() if name != "train")
    console.print(f"pairs: {report.pairs['train']:,} train{held_out}")
    if report.too_long:
        console.print(f"{report.too_long:,} are longer than training.maximum_length, and training leaves them out")
    for side, lengths in report.sides.items():
        half, most, nearly, longest = (lengths.quantile(share) for share in (0.5, 0.95, 0.99, 1))
        console.print(
            f"\n{side} {lengths.unit}: {lengths.total:,}; "
            f"50 % of the pairs have at most {half}, 95 % {most}, 99 % {nearly}, the longest {longest}"
        )
        print_whole(console, _bars(lengths), spare=_WIDTH)
    console.print(f"\n{report.folder}: {PICTURE}, and {decimal(report.bytes)} of pairs and ids", markup=False)


def _bars(lengths: Any) -> Table:
    """How many pairs are in each of some ranges of length, as bars. The last one goes to the longest."""
    shortest, end = lengths.quantile(0), lengths.quantile(0.99) + 1
    width = max(-(-(end - shortest) // _BARS), 1)
    begins = range(shortest, end, width)
    ends = [*begins[1:], lengths.quantile(1) + 1]
    counts = [int(lengths.counts[begin:end].sum()) for begin, end in zip(begins, ends, strict=True)]
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, width=_WIDTH)
    table.add_column(justify="right", no_wrap=True)
    for begin, end, count in zip(begins, ends, counts, strict=True):
        bar = "█" * round(_WIDTH * count / max(counts))
        table.add_row(f"{begin}-{end - 1}" if end > begin + 1 else f"{begin}", bar, f"{count:,}")
    return table
