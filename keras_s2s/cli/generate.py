"""`keras-s2s generate`: a line in, a line out."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from keras_s2s.cli.files import open_file, utf8_lines
from keras_s2s.cli.options import BundleFolder, Debug, Precision, Threads
from keras_s2s.cli.search import SearchOptions
from keras_s2s.cli.spread import spread
from keras_s2s.errors import UserError

if TYPE_CHECKING:
    from keras_s2s.runtime import Hypothesis

STANDARD = Path("-")


@spread("search", SearchOptions)
def generate(
    bundle: BundleFolder,
    search: SearchOptions,
    input: Annotated[Path, typer.Option(help="Read from this file; - is the standard input.")] = STANDARD,
    output: Annotated[Path, typer.Option(help="Write to this file; - is the standard output.")] = STANDARD,
    prefix: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel="Constraints",
            help="What the output of each line begins with: a line for each line, an empty one for nothing.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse a line that is too long, which is otherwise cut with a warning."),
    ] = False,
    scores: Annotated[
        bool, typer.Option("--scores", rich_help_panel="Output", help="Write the score of each hypothesis.")
    ] = False,
    token_scores: Annotated[
        bool,
        typer.Option(
            "--token-scores",
            rich_help_panel="Output",
            help="Write the log-probability of each token and of the end.",
        ),
    ] = False,
    precision: Precision = "int8",
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Generate text with a bundle: a line in, a line out, in order.

    Text is UTF-8. An empty line gives an empty line. A line is answered when it comes, so this works in a pipe that
    waits for answers. What is not given of the search is as the bundle has it.

    By default there is nothing but text. `--scores` and `--token-scores` put fields before it, with a tab after
    each; the scores of tokens have spaces between them. With `--n-best` above 1 each hypothesis has a line of its
    own, which begins with the number of its input line, counted from 1, and a tab, unless `--mbr` chooses one.

    ```
    keras-s2s generate saved_models/dates < in.txt > out.txt
    keras-s2s generate saved_models/dates --n-best 3 --scores < in.txt
    keras-s2s generate saved_models/dates --n-best 8 --mbr chrf < in.txt
    ```
    """
    search.check("generate")
    from keras_s2s.runtime import Generator

    _check_is_no_input(output, (input, prefix))
    lines = utf8_lines(_input(input), "standard input" if input == STANDARD else str(input))
    begins = None if prefix is None else _prefixes(prefix)
    generator = Generator.load(bundle, precision, threads)
    found = generator.stream(lines, prefix=begins, strict=strict, **search.of_generator())
    form = _Form(numbers=search.mbr is None and (search.n_best or 1) > 1, scores=scores, token_scores=token_scores)
    with _output(output) as sink:
        for number, hypotheses in enumerate(found, start=1):
            shown = hypotheses if search.mbr is None else [search.chosen(hypotheses)]
            sink.write("".join(form.line(number, hypothesis) for hypothesis in shown).encode())
            sink.flush()
    if begins is not None and next(begins, None) is not None:
        raise UserError(f"{prefix}: has more lines than the input; give one for each, an empty one for nothing")


@dataclass(frozen=True)
class _Form:
    """Which fields a line of the output has."""

    numbers: bool
    scores: bool
    token_scores: bool

    def line(self, number: int, hypothesis: "Hypothesis") -> str:
        fields = [str(number)] if self.numbers else []
        fields += [f"{hypothesis.score:.6f}"] if self.scores else []
        fields += [" ".join(f"{score:.6f}" for score in hypothesis.token_scores)] if self.token_scores else []
        return "\t".join([*fields, hypothesis.text]) + "\n"


def _check_is_no_input(output: Path, inputs: Iterable[Path | None]) -> None:
    for path in inputs:
        if path is None or STANDARD in (path, output):
            continue
        if path.exists() and output.exists() and output.samefile(path):
            raise UserError(f"{output}: is an input, too; write to another file")


def _prefixes(path: Path) -> Iterator[str]:
    lines = utf8_lines(open_file(path, "rb"), str(path))
    return (line.rstrip("\r\n") for line in lines)


def _input(path: Path) -> BinaryIO:
    # Not sys.stdin.buffer: Python aborts if it ends while a thread reads from that.
    return open(0, "rb", closefd=False) if path == STANDARD else open_file(path, "rb")


@contextlib.contextmanager
def _output(path: Path) -> Iterator[BinaryIO]:
    if path == STANDARD:
        yield sys.stdout.buffer
        return
    with open_file(path, "wb") as file:
        yield file
