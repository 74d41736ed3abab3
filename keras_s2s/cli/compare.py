"""`keras-s2s compare`: whether one system is better than another."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from keras_s2s.cli.options import Debug, Json, Precision, Threads
from keras_s2s.cli.packages import training_packages
from keras_s2s.cli.tables import print_whole
from keras_s2s.errors import UserError
from keras_s2s.text.files import as_line

if TYPE_CHECKING:
    from keras_s2s.evaluation import Compared

DEFAULT_METRICS = ("bleu", "chrf")


def compare(
    systems: Annotated[
        list[Path],
        typer.Argument(
            metavar="SYSTEM...",
            show_default=False,
            help="Bundles, which decode the source by their defaults, or files of outputs, one a line.",
        ),
    ],
    reference: Annotated[Path, typer.Option(show_default=False, help="What they should give, one a line.")],
    source: Annotated[
        Path | None, typer.Option(show_default=False, help="Texts for the bundles, one a line; may be compressed.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="Any that evaluate knows but perplexity; may be repeated. By default "
            f"{' and '.join(DEFAULT_METRICS)}.",
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(min=1, metavar="N", help="How many corpora are drawn.")] = 1000,
    seed: Annotated[int, typer.Option(min=1, metavar="N", help="The same seed draws the same.")] = 1,
    as_json: Json = False,
    precision: Precision = "int8",
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Tell whether systems are better than the first one, or differ by chance.

    Paired bootstrap resampling: as many lines as there are are drawn again and again, with replacement and for all
    systems the same. The table has the score, the 95 % interval of the drawn corpora, and p, how likely as large a
    difference to the first system is by chance.

    ```
    keras-s2s compare saved_models/dates other.txt --source in.txt --reference out.txt
    keras-s2s compare before.txt after.txt --reference out.txt --metric exact_match
    ```
    """
    with training_packages("compare"):
        from keras_s2s import evaluation
    from keras_s2s.data.readers.text import read_lines

    names = metric or DEFAULT_METRICS
    _check(systems, names, source)
    # Outputs stand in files as `generate` writes them, so all is compared like that.
    references = [as_line(line) for line in read_lines(reference)]
    sources = None if source is None else read_lines(source)
    if sources is not None and len(sources) != len(references):
        raise UserError(f"{source} has {len(sources)} lines and {reference} has {len(references)}; they must be pairs")
    evaluation.warn_of_missing_spaces(names, references)
    # What is quickly found wrong is found before a bundle decodes.
    outputs = {path: [as_line(line) for line in read_lines(path)] for path in systems if not path.is_dir()}
    for path, lines in outputs.items():
        if len(lines) != len(references):
            raise UserError(
                f"{path} has {len(lines)} lines and {reference} has {len(references)}; give one line for each"
            )
    for path in systems:
        if path.is_dir():
            outputs[path] = _decoded(path, sources or (), precision, threads)
    by_name = {str(path): outputs[path] for path in systems}
    found = {name: evaluation.compare(name, by_name, references, resamples, seed) for name in names}
    if as_json:
        typer.echo(json.dumps(_result(found, len(references), resamples, seed, evaluation.signatures(names))))
    else:
        _show(found, len(references), resamples)


def _check(systems: Sequence[Path], names: Sequence[str], source: Path | None) -> None:
    from keras_s2s.evaluation import find_metric

    for name in names:
        find_metric(name)
    if len(systems) < 2:
        raise UserError(f"compare: one system only, {systems[0]}; give at least two")
    for place, path in enumerate(systems):
        if path in systems[:place]:
            raise UserError(f"compare: {path} is given twice; give each system once")
        if not path.exists():
            raise UserError(f"{path}: no such file; expected a bundle, or a file of outputs, one a line")
        if path.is_dir() and source is None:
            raise UserError(f"{path}: a bundle needs texts to decode; say which with --source")


def _decoded(bundle: Path, sources: Sequence[str], precision: str, threads: int | None) -> list[str]:
    from keras_s2s.runtime import Generator

    generator = Generator.load(bundle, precision, threads)
    with Console(stderr=True).status(f"decoding with {bundle}"):
        return [as_line(hypotheses[0].text) for hypotheses in generator(sources, scores=False)]


def _result(
    found: "dict[str, dict[str, Compared]]", sentences: int, resamples: int, seed: int, signatures: dict[str, str]
) -> dict[str, object]:
    metrics = {
        name: [
            {
                "system": system,
                "score": one.score,
                "interval": [one.mean - one.interval, one.mean + one.interval],
                "p_value": one.p_value,
            }
            for system, one in compared.items()
        ]
        for name, compared in found.items()
    }
    return {
        "sentences": sentences,
        "resamples": resamples,
        "seed": seed,
        "metrics": metrics,
        "signatures": signatures,
    }


def _show(found: "dict[str, dict[str, Compared]]", sentences: int, resamples: int) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{sentences:,} sentences, drawn {resamples:,} times; p is against the first system\n")
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("system")
    for column in ("score", "95 % interval", "p"):
        table.add_column(column, justify="right")
    for name, compared in found.items():
        for place, (system, one) in enumerate(compared.items()):
            interval = f"{one.mean - one.interval:.2f} to {one.mean + one.interval:.2f}"
            p_value = "" if one.p_value is None else f"{one.p_value:.4f}"
            table.add_row("" if place else name, system, f"{one.score:.2f}", interval, p_value)
    print_whole(console, table)
