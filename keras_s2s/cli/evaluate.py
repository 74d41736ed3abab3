"""`keras-s2s evaluate`: how good and how fast a bundle is on texts with references."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_s2s.bundle import Manifest
from keras_s2s.cli.files import open_file
from keras_s2s.cli.options import BundleFolder, Debug, Json, Precision, Threads
from keras_s2s.cli.packages import training_packages
from keras_s2s.cli.search import SearchOptions, search_in_words
from keras_s2s.cli.spread import spread

if TYPE_CHECKING:
    from keras_s2s.runtime import Generator

DEFAULT_METRICS = ("bleu", "exact_match")


@spread("search", SearchOptions)
def evaluate(
    bundle: BundleFolder,
    search: SearchOptions,
    source: Annotated[Path, typer.Option(show_default=False, help="Texts, one a line; may end in .gz.")],
    reference: Annotated[Path, typer.Option(show_default=False, help="What they should give, as many lines.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="bleu, bleu_tokenized, chrf, ter or exact_match; may be repeated. By default those that the bundle "
            "was exported with.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the hypotheses to this file.")] = None,
    as_json: Json = False,
    precision: Precision = "int8",
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Measure how good and how fast a bundle is on texts with references.

    Line N of the reference is what line N of the source should give. Of several hypotheses the best is measured.
    Loading the bundle is no part of the time.

    ```
    keras-s2s evaluate saved_models/dates --source in.txt --reference out.txt
    keras-s2s evaluate saved_models/dates --source in.txt --reference out.txt --beam-size 8
    ```
    """
    with training_packages("evaluate"):
        from keras_s2s.evaluation import metrics
    from keras_s2s.data.sources import read_pairs
    from keras_s2s.runtime import Generator
    from keras_s2s.runtime.options import options_of

    search.check("evaluate")
    pairs = read_pairs(source, reference)
    generator = Generator.load(bundle, precision, threads)
    manifest = generator.bundle.manifest
    names = metric or _recorded(manifest)
    signed = metrics.signatures(names)  # Names a wrong metric before the work.

    options = options_of(manifest.decoding, search.of_generator())
    if output is not None:
        open_file(output, "ab").close()  # Before the work it is known that it can be written.
    hypotheses, seconds = _timed(generator, pairs.sources, search)
    if output is not None:
        with open_file(output, "wb") as file:
            file.writelines(f"{text}\n".encode() for text in hypotheses)
    result = {
        "bundle": str(bundle),
        "name": manifest.name,
        "precision": precision,
        "strategy": options.strategy,
        "beam_size": options.beam_size,
        "n_best": options.n_best,
        "mbr": search.mbr,
        "sentences": len(hypotheses),
        "seconds": round(seconds, 6),
        "sentences_per_second": round(len(hypotheses) / seconds, 1),
        "metrics": metrics.evaluate(names, hypotheses, pairs.targets),
        "signatures": signed,
    }
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show(result)


def _recorded(manifest: Manifest) -> Sequence[str]:
    """The metrics measured at export, which are the same for each form of the model."""
    forms = [values for values in manifest.metrics.values() if isinstance(values, dict)]
    return list(forms[0]) if forms else DEFAULT_METRICS


def _timed(generator: "Generator", sources: Sequence[str], search: SearchOptions) -> tuple[list[str], float]:
    """The best hypotheses, and how many seconds they took."""
    options = search.of_generator()
    generator(["."], **options)  # Loads the graph.
    console = Console(stderr=True)
    start = time.perf_counter()
    found = generator.stream(sources, **options)
    hypotheses = [
        search.chosen(hypotheses).text
        for hypotheses in track(
            found,
            "generating",
            total=len(sources),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
    ]
    return hypotheses, time.perf_counter() - start


def _show(result: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{result['name']}, {result['precision']}, {_search(result)}: {result['sentences']:,} sentences in "
        f"{result['seconds']:.2f} s, {result['sentences_per_second']:,.1f} a second\n",
        markup=False,
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("signature", no_wrap=True)
    for name, value in result["metrics"].items():
        table.add_row(name, f"{value:.2f}", result["signatures"].get(name, ""))
    console.print(table)


def _search(result: Mapping[str, Any]) -> str:
    search = search_in_words(result["strategy"], result["beam_size"])
    return f"{search}, {result['mbr']} among {result['n_best']}" if result["mbr"] else search
