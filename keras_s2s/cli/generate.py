"""`keras-s2s generate`: a line in, a line out."""

import codecs
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NamedTuple

import typer

from keras_s2s.cli.options import BeamSize, BundleFolder, Debug, Precision
from keras_s2s.errors import UserError

if TYPE_CHECKING:
    from keras_s2s.runtime import Hypothesis

STANDARD = Path("-")


class LengthPenalty(NamedTuple):
    """Options of the search; a base of None is the bundle's."""

    exponent: float
    base: float | None


def parse_length_penalty(word: str) -> LengthPenalty:
    """Reads `0.6`, `gnmt:0.6`, `average` or `none`.

    Raises:
        typer.BadParameter: it is something else.
    """
    if word == "average":
        return LengthPenalty(1.0, 0.0)
    if word == "none":
        return LengthPenalty(0.0, None)
    with contextlib.suppress(ValueError):
        return LengthPenalty(float(word.removeprefix("gnmt:")), 5.0 if word.startswith("gnmt:") else None)
    raise typer.BadParameter(f"expected a number such as 0.6, gnmt:0.6, average or none, got {word!r}")


def generate(
    bundle: BundleFolder,
    input: Annotated[Path, typer.Option(help="Read from this file; - is the standard input.")] = STANDARD,
    output: Annotated[Path, typer.Option(help="Write to this file; - is the standard output.")] = STANDARD,
    beam_size: BeamSize = None,
    length_penalty: Annotated[
        LengthPenalty | None,
        typer.Option(
            parser=parse_length_penalty,
            metavar="PENALTY",
            help="How scores make up for length: 0.6 is an exponent for the bundle's penalty, gnmt:0.6 one for that "
            "of GNMT, average is the mean of a token, none the plain sum. By default the bundle's.",
        ),
    ] = None,
    n_best: Annotated[int, typer.Option(min=1, help="Hypotheses a line, best first.")] = 1,
    scores: Annotated[bool, typer.Option("--scores", help="Write the score of each hypothesis.")] = False,
    precision: Precision = "int8",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of an operator. By default all cores.")] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse a line that is too long, which is otherwise cut with a warning."),
    ] = False,
    debug: Debug = False,
) -> None:
    """Generate text with a bundle: a line in, a line out, in order.

    Text is UTF-8. An empty line gives an empty line. A line is answered when it comes, so this works in a pipe that
    waits for answers.

    By default there is nothing but text. With `--scores` a line is `SCORE TAB TEXT`. With `--n-best` above 1 each
    hypothesis has a line of its own, which begins with the number of its input line, counted from 1:
    `NUMBER TAB TEXT`, or `NUMBER TAB SCORE TAB TEXT`.

    ```
    keras-s2s generate saved_models/dates < in.txt > out.txt
    keras-s2s generate saved_models/dates --n-best 3 --scores < in.txt
    ```
    """
    from keras_s2s.runtime import Generator

    if STANDARD not in (input, output) and input.exists() and output.exists() and output.samefile(input):
        raise UserError(f"{output}: is the input, too; write to another file")
    lines = _utf8_lines(_open(input), "standard input" if input == STANDARD else str(input))
    found = Generator.load(bundle, precision, threads).stream(
        lines,
        beam_size=beam_size,
        length_penalty=length_penalty and length_penalty.exponent,
        length_penalty_base=length_penalty and length_penalty.base,
        n_best=n_best,
        strict=strict,
    )
    with _writing(output) as sink:
        for number, hypotheses in enumerate(found, start=1):
            sink.write(_formatted(hypotheses, number if n_best > 1 else None, scores).encode())
            sink.flush()


def _formatted(hypotheses: "Sequence[Hypothesis]", number: int | None, scores: bool) -> str:
    lines = []
    for hypothesis in hypotheses:
        fields = [] if number is None else [str(number)]
        fields += [f"{hypothesis.score:.6f}"] if scores else []
        lines.append("\t".join([*fields, hypothesis.text]) + "\n")
    return "".join(lines)


def _open(path: Path) -> BinaryIO:
    if path == STANDARD:
        # Not sys.stdin.buffer: Python aborts if it ends while a thread reads from that.
        return open(0, "rb", closefd=False)
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; check the name") from None


def _utf8_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """The lines of `file`, read in the thread that asks for them, as soon as they are there."""
    with file:
        for number, line in enumerate(file, start=1):
            try:
                yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
            except UnicodeDecodeError:
                raise UserError(f"{name}: line {number}: not UTF-8; convert it to UTF-8") from None


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    if path == STANDARD:
        yield sys.stdout.buffer
        return
    try:
        file = path.open("wb")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; check the name") from None
    with file:
        yield file
