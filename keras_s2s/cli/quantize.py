"""`keras-s2s quantize`: smaller and quicker graphs of a bundle, with what they lose."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from keras_s2s.bundle import Manifest, read
from keras_s2s.cli.options import BundleFolder, Debug, Json
from keras_s2s.cli.packages import import_tensorflow, training_packages
from keras_s2s.cli.tables import named_rows, print_whole
from keras_s2s.errors import UserError
from keras_s2s.status import shown


def quantize(
    bundle: BundleFolder,
    source: Annotated[Path, typer.Option(show_default=False, help="Texts as they will come, one a line.")],
    reference: Annotated[Path, typer.Option(show_default=False, help="What they should give, as many lines.")],
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="int8 (constant scales of activations, of your texts), int8-dynamic (a scale for each row), weight8, "
            "weight4 (weights alone), fp16 (for GPUs), int8-lstm (LSTM layers too; results depend on the batch); may "
            "be repeated. By default the first four.",
        ),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=NAME",
            show_default=False,
            help="Another format for the encoder, decoder, embedding or output; fp32 leaves it as it is. A table that "
            "is the output's matrix, too, is of the output. May be repeated.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default=False, help="By default the first that the bundle was exported with."
        ),
    ] = None,
    max_loss: Annotated[
        str | None,
        typer.Option(
            metavar='"METRIC VALUE"',
            show_default=False,
            help='Leave in fp32 the layers that change most outputs until no more is lost, such as "bleu 0.3".',
        ),
    ] = None,
    calibration: Annotated[
        str, typer.Option(metavar="NAME", help="How the scales of int8 are chosen: mse, or percentile (99.99).")
    ] = "mse",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Add quantized graphs to a bundle, and measure what each loses and gains.

    They are made of the bundle's graphs in fp32 and lie beside them; `--precision NAME` of the other commands takes
    one. Line N of the reference is what line N of the source should give; use dev data, not what you report on. The
    table has the metric with its 95 % interval, the size on disk, the peak memory and the tokens a second; a star marks
    what no other format beats in quality, size and speed together. It goes into report.md, with a picture.

    ```
    keras-s2s quantize saved_models/dates --source dev.in --reference dev.out
    keras-s2s quantize saved_models/dates --source dev.in --reference dev.out --to int8 --part output=fp32
    keras-s2s quantize saved_models/dates --source dev.in --reference dev.out --to weight4 --max-loss "exact_match 0.1"
    ```
    """
    manifest = read(bundle).manifest
    asked, loss = _limit(max_loss)
    if asked and metric and asked != metric:
        raise UserError(f"quantize: --metric {metric} and --max-loss in {asked}; name the same metric")
    with training_packages("quantize"):
        import_tensorflow()
        from keras_s2s import compression
    from keras_s2s.data.readers.text import read_pairs

    if calibration not in compression.CALIBRATIONS:
        raise UserError(f"quantize: no calibration '{calibration}'; there are {', '.join(compression.CALIBRATIONS)}")
    wanted = compression.Wanted(
        tuple(dict.fromkeys(to or compression.DEFAULTS)),
        _parts(part or []),
        asked or metric or recorded_metric(manifest, "quantize"),
        loss,
        calibration,
    )
    text = read_pairs(source, reference)
    with shown(Console(stderr=True, highlight=False, soft_wrap=True), "quantize") as tell:
        found = compression.quantize_bundle(bundle, text, wanted, tell)
    if as_json:
        result = {"bundle": str(bundle), "name": manifest.name, "metric": wanted.metric, "sentences": len(text.sources)}
        typer.echo(json.dumps({**result, "variants": [dataclasses.asdict(variant) for variant in found]}))
    else:
        _show(manifest.name, found, wanted.metric)


def _limit(max_loss: str | None) -> tuple[str | None, float | None]:
    if max_loss is None:
        return None, None
    metric, _, value = max_loss.strip().rpartition(" ")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not metric or not 0 <= number < float("inf"):
        raise UserError(f'quantize: --max-loss "{max_loss}": expected a metric and a number, such as "bleu 0.3"')
    return metric.strip(), number


def _parts(given: Sequence[str]) -> dict[str, str]:
    parts = {}
    for one in given:
        part, sign, form = one.partition("=")
        if not sign:
            raise UserError(f"quantize: --part {one}: expected PART=NAME, such as output=fp32")
        parts[part] = form
    return parts


def recorded_metric(manifest: Manifest, verb: str) -> str:
    """The first metric of the export; `verb` asks.

    Raises:
        UserError: there is none.
    """
    forms = [values for values in manifest.metrics.values() if isinstance(values, dict) and values]
    if not forms:
        raise UserError(f"{verb}: the bundle was exported without a metric; give one, such as --metric bleu")
    return next(iter(forms[0]))


def _show(name: str, found: Sequence[Any], metric: str) -> None:
    from keras_s2s.compression.report import remarks, table

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{name}\n", markup=False)
    print_whole(console, named_rows(*table(found, metric)))
    for line in remarks(found):
        console.print(f"\n{line}", markup=False)
