"""`keras-s2s shortlist`: a bundle's shortlist, as small as a limit on the loss allows."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from keras_s2s.bundle import read
from keras_s2s.cli.options import BundleFolder, Debug, Json
from keras_s2s.cli.packages import import_tensorflow, training_packages
from keras_s2s.cli.quantize import recorded_metric
from keras_s2s.cli.tables import named_rows, print_whole
from keras_s2s.status import shown


def shortlist(
    bundle: BundleFolder,
    source: Annotated[Path, typer.Option(show_default=False, help="Texts as they will come, one a line.")],
    reference: Annotated[Path, typer.Option(show_default=False, help="What they should give, as many lines.")],
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False, help="By default the first that the bundle was exported with."
        ),
    ] = None,
    max_loss: Annotated[
        float, typer.Option(min=0.0, metavar="X", help="How much worse outputs may be, by the metric.")
    ] = 0.1,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make the shortlist of a bundle as small as it can be, and measure what it gains.

    A shortlist is the target tokens that a source may need, from a lexicon in the bundle (`export.shortlist` of a
    recipe). With fewer candidates of each source token it is quicker and covers less. Each size is measured, and the
    smallest is taken that loses no more than `--max-loss`, nor does any larger one. Use dev data, not what you report
    on. The table goes into report.md.

    ```
    keras-s2s shortlist saved_models/student --source dev.in --reference dev.out
    ```
    """
    chosen = metric or recorded_metric(read(bundle).manifest, "shortlist")
    with training_packages("shortlist"):
        import_tensorflow()
        from keras_s2s import compression
    from keras_s2s.data.readers.text import read_pairs

    text = read_pairs(source, reference)
    with shown(Console(stderr=True, highlight=False, soft_wrap=True), "shortlist") as tell:
        found = compression.fit_shortlist(bundle, text, chosen, max_loss, tell)
    if as_json:
        sizes = [dataclasses.asdict(one) for one in found]
        result = {"bundle": str(bundle), "metric": chosen, "sentences": len(text.sources)}
        typer.echo(json.dumps({**result, "sizes": sizes}))
    else:
        _show(found, chosen)


def _show(found: list[Any], metric: str) -> None:
    from keras_s2s.compression.shortlists import table

    print_whole(Console(highlight=False, soft_wrap=True), named_rows(*table(found, metric)))
