"""`keras-s2s evaluate`: how good and how fast a bundle is on texts with references."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_s2s.bundle import Manifest
from keras_s2s.cli.files import check_plain, open_to_write
from keras_s2s.cli.options import BundleFolder, Debug, Json, Precision, Threads
from keras_s2s.cli.output_form import Tally
from keras_s2s.cli.packages import training_packages
from keras_s2s.cli.search import SearchOptions, search_in_words
from keras_s2s.cli.spread import spread
from keras_s2s.cli.tables import print_whole
from keras_s2s.text.files import as_line

if TYPE_CHECKING:
    from keras_s2s.runtime import Generator, Hypothesis, Scored

DEFAULT_METRICS = ("bleu", "exact_match")
PERPLEXITY = "perplexity"


@spread("search", SearchOptions)
def evaluate(
    bundle: BundleFolder,
    search: SearchOptions,
    source: Annotated[Path, typer.Option(show_default=False, help="Texts, one a line; may be compressed.")],
    reference: Annotated[Path, typer.Option(show_default=False, help="What they should give, as many lines.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="bleu, bleu_tokenized (words between spaces), bleu_zh, bleu_char, bleu_intl, bleu_ja_mecab, "
            "bleu_ko_mecab, bleu_spm, bleu_flores200, chrf, ter, ter_asian, exact_match, wer, cer, per (of phones), "
            "rouge1, rouge2, rougeL, or perplexity of the reference, if the bundle can score; may be repeated. By "
            "default those that the bundle was exported with.",
        ),
    ] = None,
    by_length: Annotated[
        bool, typer.Option("--by-length", help="Measure sources of similar length together, too.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write the hypotheses to this file, as generate writes them.")
    ] = None,
    as_json: Json = False,
    precision: Precision = "int8",
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Measure how good and how fast a bundle is on texts with references.

    Line N of the reference is what line N of the source should give. Of several hypotheses the best is measured.
    Loading the bundle is no part of the time. With `--json`, `cut` is how many outputs were cut at their length limit,
    or null if the bundle, an older one, does not tell.

    ```
    keras-s2s evaluate saved_models/dates --source in.txt --reference out.txt
    keras-s2s evaluate saved_models/dates --source in.txt --reference out.txt --beam-size 8
    keras-s2s evaluate saved_models/dates --source in.txt --reference out.txt --metric chrf --metric cer --by-length
    ```
    """
    with training_packages("evaluate"):
        from keras_s2s.evaluation import signatures, warn_of_missing_spaces
    from keras_s2s.data.readers.text import read_pairs
    from keras_s2s.runtime import Generator
    from keras_s2s.runtime.options import options_of

    search.check("evaluate")
    if output is not None:
        check_plain(output)
    pairs = read_pairs(source, reference)
    generator = Generator.load(bundle, precision, threads)
    manifest = generator.bundle.manifest
    names = metric or _recorded(manifest)
    of_text = [name for name in names if name != PERPLEXITY]
    signed = signatures(of_text)  # Names a wrong one before the work.
    warn_of_missing_spaces(of_text, pairs.targets)
    options = options_of(manifest, search.of_generator(), "evaluate")
    scored = generator.score(pairs.sources, pairs.targets) if PERPLEXITY in names else None
    if output is not None:
        open_to_write(output, "ab").close()  # Before the work it is known that it can be written.
    found, seconds = _timed(generator, pairs.sources, search)
    hypotheses, tally = [one.text for one in found], Tally.of(found)
    tally.warn_of_limits()
    if output is not None:
        with open_to_write(output, "wb") as file:
            file.writelines(f"{as_line(text)}\n".encode() for text in hypotheses)
        tally.warn_of_line_ends()
    corpus = _Corpus(names, hypotheses, pairs.targets, scored)
    result: dict[str, Any] = {
        "bundle": str(bundle),
        "name": manifest.name,
        "precision": precision,
        "strategy": options.strategy,
        "beam_size": options.beam_size,
        "n_best": options.n_best,
        "mbr": search.mbr,
        "sentences": len(hypotheses),
        "cut": None if tally.full else tally.cut,
        "seconds": round(seconds, 6),
        "sentences_per_second": round(len(hypotheses) / seconds, 1),
        "metrics": corpus.values(range(len(hypotheses))),
        "signatures": signed,
    }
    if by_length:
        result["by_length"] = _by_length(corpus, generator, pairs.sources)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show(result)


@dataclass(frozen=True)
class _Corpus:
    """The outputs to measure: as many hypotheses as references, and the references' scores for the perplexity."""

    names: Sequence[str]
    hypotheses: Sequence[str]
    references: Sequence[str]
    scored: "Sequence[Scored] | None"

    def values(self, lines: Sequence[int]) -> dict[str, float]:
        """The metrics of some lines, in the order of `names`."""
        from keras_s2s.evaluation import evaluate
        from keras_s2s.runtime import perplexity

        hypotheses, references = ([texts[line] for line in lines] for texts in (self.hypotheses, self.references))
        found = evaluate([name for name in self.names if name != PERPLEXITY], hypotheses, references)
        if self.scored is not None:
            found[PERPLEXITY] = perplexity([self.scored[line] for line in lines])
        return {name: found[name] for name in self.names}


def _by_length(corpus: _Corpus, generator: "Generator", sources: Sequence[str]) -> list[dict[str, Any]]:
    """The metrics of sources whose numbers of tokens, the end counted, are similar."""
    from keras_s2s.evaluation import length_buckets

    return [
        {
            "source_tokens": [bucket.shortest, bucket.longest],
            "sentences": len(bucket.lines),
            "metrics": corpus.values(bucket.lines),
        }
        for bucket in length_buckets([len(generator.source_pieces(source)) for source in sources])
    ]


def _recorded(manifest: Manifest) -> Sequence[str]:
    """The metrics measured at export, which are the same for each form of the model."""
    forms = [values for values in manifest.metrics.values() if isinstance(values, dict)]
    return list(forms[0]) if forms else DEFAULT_METRICS


def _timed(generator: "Generator", sources: Sequence[str], search: SearchOptions) -> tuple["list[Hypothesis]", float]:
    """The best hypotheses, and how many seconds they took."""
    options = search.of_generator() | {"scores": False}
    generator(["."], **options)  # Loads the graph.
    console = Console(stderr=True)
    start = time.perf_counter()
    found = generator.stream(sources, **options)
    hypotheses = [
        search.chosen(hypotheses)
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
    for name, signature in result["signatures"].items():
        console.print(f"{name}: {signature}", markup=False)
    if result["signatures"]:
        console.print()
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in result["metrics"].items():
        table.add_row(name, f"{value:.2f}")
    print_whole(console, table)
    if "by_length" in result:
        console.print()
        print_whole(console, _table_of_lengths(result["by_length"]))


def _table_of_lengths(buckets: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("source tokens", "sentences", *buckets[0]["metrics"]):
        table.add_column(column, justify="right")
    for bucket in buckets:
        shortest, longest = bucket["source_tokens"]
        tokens = f"{shortest}-{longest}" if shortest < longest else str(shortest)
        table.add_row(tokens, f"{bucket['sentences']:,}", *(f"{value:.2f}" for value in bucket["metrics"].values()))
    return table


def _search(result: Mapping[str, Any]) -> str:
    search = search_in_words(result["strategy"], result["beam_size"])
    return f"{search}, {result['mbr']} among {result['n_best']}" if result["mbr"] else search
