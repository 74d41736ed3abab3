"""`keras-s2s distill`: the outputs of a teacher as a corpus."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from keras_s2s import status
from keras_s2s.atomic import atomic_write
from keras_s2s.cli.distilled_corpus import DistilledCorpus
from keras_s2s.cli.options import BundleFolder, Debug, Json, Precision, Threads, json_alone
from keras_s2s.cli.packages import import_tensorflow, training_packages
from keras_s2s.cli.search import SearchOptions
from keras_s2s.cli.spread import spread
from keras_s2s.errors import UserError

if TYPE_CHECKING:
    from keras_s2s.compression import Chosen

REPORT = "report.json"


@spread("search", SearchOptions)
def distill(
    bundle: BundleFolder,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="Where the corpus goes.")],
    search: SearchOptions,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="RECIPE", show_default=False, help="Read the training pairs of this recipe."),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            "--text",
            metavar="FILE",
            show_default=False,
            help="Read this text, which has no references; may be repeated.",
        ),
    ] = None,
    back: Annotated[
        bool,
        typer.Option("--back", help="Back-translation: what is read are targets, and outputs become their sources."),
    ] = False,
    tag: Annotated[
        str | None,
        typer.Option(metavar="WORD", show_default=False, help="Write this word before each source, such as <back>."),
    ] = None,
    choose: Annotated[
        Literal["best", "closest", "all"],
        typer.Option(
            rich_help_panel="Choice",
            help="best: the likeliest output of each text. closest: of the n best the one that is closest to the "
            "reference. all: each of the n best, or each sample.",
        ),
    ] = "best",
    metric: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel="Choice", help="Which says what is close.")
    ] = "chrf",
    minimum_probability: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="P",
            rich_help_panel="Choice",
            help="Leave out outputs whose tokens have less, as a mean.",
        ),
    ] = 0.0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what is in FOLDER, and begin anew.")] = False,
    precision: Precision = "int8",
    threads: Threads = None,
    ray: Annotated[
        bool,
        typer.Option(
            "--ray",
            rich_help_panel="Speed",
            help="Use the cores of a Ray cluster, on whose nodes the bundle has the same path.",
        ),
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a corpus of what a teacher, a bundle, makes of texts: sequence-level distillation.

    The texts are the training sources of a recipe, after preprocessing, or those of files. `source.txt` and
    `target.txt` in FOLDER are the corpus; a recipe reads them as `source: …` and `target: …`. With `--back` the texts
    are targets, and what the teacher writes become their sources.

    Left out are empty outputs, copies of the text, outputs that repeat themselves, and those that are much longer or
    shorter than the reference, or without one, than usual; `report.json` says how many, with examples. Everything that
    the teacher wrote is kept in FOLDER/teacher: a killed command goes on, and another choice decodes nothing again.

    ```
    keras-s2s distill saved_models/teacher distilled --recipe pipelines/multi30k/transformer.yaml
    keras-s2s distill saved_models/teacher distilled --recipe student.yaml --choose closest --n-best 5
    keras-s2s distill saved_models/de-en back --text more.de.gz --back --tag "<back>"
    ```
    """
    search.check("distill")
    _check(search, recipe, text or [], choose)
    with training_packages("distill"), json_alone(as_json):
        import_tensorflow()
        from keras_s2s.compression import Selection
        from keras_s2s.evaluation import find_metric
        from keras_s2s.runtime import Generator

        find_metric(metric)
        generator = Generator.load(bundle, precision, threads)
        corpus = DistilledCorpus(folder, back)
        with status.minutes_of(Console(stderr=True)), status.doing("distill: reading the texts") as tell:
            corpus.read(recipe, text or [])
            work = corpus.work(bundle, generator.precision, search)
            corpus.decode(work, generator, threads, ray, fresh)
            tell("distill: choosing")
            chosen = corpus.choose(work.form, tag, Selection(choose, metric, minimum_probability))
    report = dataclasses.asdict(chosen)
    content = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    atomic_write(folder / REPORT, lambda path: path.write_text(content, encoding="utf-8"))
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), **report}))
    else:
        _show(folder, chosen)


def _check(search: SearchOptions, recipe: Path | None, text: Sequence[Path], choose: str) -> None:
    if (recipe is None) == (not text):
        raise UserError("distill: needs --recipe, whose training pairs it reads, or --text; give one of the two")
    if choose == "closest" and recipe is None:
        raise UserError("distill: --choose closest compares with references, and --text has none; leave it out")
    if choose != "best" and (search.n_best or 1) < 2:
        raise UserError(f"distill: --choose {choose}: there is but one output of a text; give more with --n-best")
    if choose != "best" and search.mbr is not None:
        raise UserError(f"distill: --mbr chooses an output, and so does --choose {choose}; leave out one of them")


def _show(folder: Path, chosen: "Chosen") -> None:
    from keras_s2s.recipe.preprocessing_report import report_table

    console = Console(highlight=False, soft_wrap=True)
    findings = [dataclasses.asdict(finding) for finding in chosen.findings]
    report = {"corpus": str(folder), "pairs": chosen.outputs, "left": chosen.pairs, "findings": findings}
    console.print(report_table([report]), markup=False)
    console.print(f"{chosen.pairs:,} pairs of {chosen.texts:,} texts; mean probability {chosen.probability:.3f}")
    if chosen.equal:
        console.print(f"{chosen.equal:,} outputs are the reference")
    for example in chosen.examples:
        console.print(f"  {' → '.join(example)}", markup=False)
    console.print(f"source: {folder / 'source.txt'}\ntarget: {folder / 'target.txt'}", markup=False)
