"""`keras-s2s generate`: a line in, a line out."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from keras_s2s.cli.decode import decode
from keras_s2s.cli.files import check_plain, open_to_read, open_to_write
from keras_s2s.cli.options import BundleFolder, Debug, PrecisionOfProvider, Provider, Threads
from keras_s2s.cli.output_form import Form, Tally
from keras_s2s.cli.search import SearchOptions
from keras_s2s.cli.spread import spread
from keras_s2s.cli.unfinished import Unfinished, check_finished, unfinished
from keras_s2s.cli.work import STANDARD, Work
from keras_s2s.errors import UserError

WINDOW = 1024
"""Lines of a file that are decoded together. With more, batches would be little fuller, and a kill would cost more."""


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
            help="What the output of each line begins with, exactly: a line for each line, an empty one for nothing. "
            "A new word follows a space at its end.",
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
    fresh: Annotated[
        bool,
        typer.Option("--fresh", rich_help_panel="Output", help="Forget an unfinished output, and begin anew."),
    ] = False,
    precision: PrecisionOfProvider = None,
    threads: Threads = None,
    provider: Provider = "cpu",
    ray: Annotated[
        bool,
        typer.Option(
            "--ray",
            rich_help_panel="Speed",
            help="Use the cores of a Ray cluster, on whose nodes the bundle has the same path.",
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    r"""Generate text with a bundle: a line in, a line out, in order.

    Text is UTF-8; what is read may be compressed by gzip, xz or zstd. An empty line gives an empty line. A line is
    answered when it comes, so this works in a pipe that waits for answers. What is not given of the search is as the
    bundle has it.

    From `--input FILE` to `--output FILE`, the same command goes on where a killed one was. Each core decodes a batch
    of its own. `--ray` takes the cluster of RAY_ADDRESS or one that runs on this machine, or else starts one here.

    By default there is nothing but text. A line end in an output is written as Python writes it, `\n` or `\u2028`;
    all else stays as it is. `--scores` and `--token-scores` put fields before the text, with a tab after each; the
    scores of tokens have spaces between them, and the text may have tabs of its own. With `--n-best` above 1 each
    hypothesis has a line of its own, which begins with the number of its input line, counted from 1, and a tab, unless
    `--mbr` chooses one.

    ```
    keras-s2s generate saved_models/dates < in.txt > out.txt
    keras-s2s generate saved_models/dates --input in.txt --output out.txt
    keras-s2s generate saved_models/dates --n-best 3 --scores < in.txt
    keras-s2s generate saved_models/dates --n-best 8 --mbr chrf < in.txt
    ```
    """
    search.check("generate")
    from keras_s2s.runtime import Generator

    _check_files((input, prefix), output)
    options = search.of_generator() | {"strict": strict, "scores": scores or token_scores}
    window = max(WINDOW, 4 * (search.batch_size or 0))
    if ray and provider != "cpu":
        raise UserError(f"generate: --ray computes on the cores of a cluster; leave out --provider {provider} or --ray")
    generator = Generator.load(bundle, precision, threads, [provider])
    form = Form(search, scores, token_scores)
    work = Work(bundle, generator.precision, provider, options, form, input, prefix, window)
    generator.plan(options, prefix is not None)  # A wrong option leaves the output alone.
    if ray:
        from keras_s2s.cli import on_ray

        on_ray.connect(work)
    shown = output != STANDARD or not sys.stdout.isatty()
    with _output(output, work, fresh) as sink:
        decode(work, generator, sink, threads, ray, shown)
    sink.tally.warn_of_limits()
    sink.tally.warn_of_line_ends()


class _Stream:
    """An output that goes out at once, so that nobody can go on with it."""

    lines = 0

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.tally = file, Tally()

    def write(self, text: bytes, lines: int, tally: Tally) -> None:
        self._file.write(text)
        self._file.flush()
        self.tally += tally


def _check_files(paths: Iterable[Path | None], output: Path) -> None:
    check_plain(output)
    for path in paths:
        if path is None or path == STANDARD:
            continue
        if path.is_file() or not path.exists():  # Who opens a pipe has to read it.
            open_to_read(path).close()
        if output != STANDARD and output.exists() and output.samefile(path):
            raise UserError(f"{output}: is an input, too; write to another file")


@contextlib.contextmanager
def _output(path: Path, work: Work, fresh: bool) -> Iterator[_Stream | Unfinished]:
    if path == STANDARD:
        yield _Stream(sys.stdout.buffer)
        return
    is_kept = path.is_file() or not path.exists()
    if is_kept and work.can_be_repeated:
        with unfinished(path, work.made_of(), work.window, fresh) as file:
            yield file
        return
    if is_kept:
        check_finished(path, fresh)
    with open_to_write(path, "wb") as stream:
        yield _Stream(stream)
