"""The command line: one verb, one file."""

import contextlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from keras_s2s import __version__
from keras_s2s.cli import (
    align,
    bench,
    compare,
    data,
    distill,
    evaluate,
    export,
    generate,
    inspect,
    new,
    prune,
    quantize,
    run,
    score,
    serve,
    shortlist,
    text_graph,
    train,
    trim,
    triton,
    tune,
)
from keras_s2s.cli.machine import lacks
from keras_s2s.cli.options import Debug, Session
from keras_s2s.errors import ExportError, UserError

DONE, UNEXPECTED, MISTAKE, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    new,
    data,
    run,
    train,
    tune,
    export,
    trim,
    prune,
    quantize,
    shortlist,
    distill,
    evaluate,
    compare,
    bench,
    generate,
    serve,
    score,
    align,
    inspect,
    triton,
    text_graph,
)
for verb in VERBS:
    name = verb.__name__.rpartition(".")[2]
    app.command(name.replace("_", "-"))(getattr(verb, name))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"keras-s2s {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Debug = False,
) -> None:
    """Train a sequence-to-sequence model, ship it as one quantized ONNX graph, and use it.

    A *recipe* says what to train on what, and becomes a *bundle*: a folder with the finished model.

    ```
    keras-s2s run pipelines/dates
    echo "5 mars 2013" | keras-s2s generate saved_models/dates
    ```

    Exit codes: 0 done, 1 no bundle or something unexpected, 2 a mistake in what was given, 130 interrupted.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(MISTAKE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: the words after `keras-s2s`; None stands for those of this process.

    Returns:
        The exit code: 0 done, 1 no bundle or something unexpected, 2 a mistake of the user's, 130 interrupted, and
        141 when nobody reads the output any more.
    """
    session = Session()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # A sign that the terminal lacks is no reason to fail.
    try:
        with _warnings_shown():
            return _invoke(sys.argv[1:] if arguments is None else arguments, session)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # What is still buffered goes nowhere, or Python would complain when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except Exception as error:
        if session.debug:
            traceback.print_exc()
        return _fail(*_explained(error))


def _invoke(arguments: Sequence[str], session: Session) -> int:
    command, code = typer.main.get_command(app), DONE
    try:
        with command.make_context("keras-s2s", list(arguments), obj=session) as context:
            command.invoke(context)
    except typer.Exit as end:
        code = end.exit_code
    sys.stdout.flush()  # While a broken pipe can still be handled.
    return code


def _explained(error: Exception) -> tuple[str, int]:
    if isinstance(error, UserError):
        return str(error), MISTAKE
    if isinstance(error, ExportError):
        return f"no bundle: {error}", UNEXPECTED
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "keras-s2s"
        message = error.format_message().replace("Value error, ", "").rstrip(".")
        return f"{message}; see {command} --help", MISTAKE
    if isinstance(error, OSError) and (lack := lacks(error)):
        return lack, MISTAKE
    return f"unexpected {type(error).__name__}: {error}; --debug shows where it comes from", UNEXPECTED


def _fail(message: str, code: int) -> int:
    print("keras-s2s:", " ".join(message.splitlines()), file=sys.stderr)
    return code


@contextlib.contextmanager
def _warnings_shown() -> Iterator[None]:
    """Shows what the package logs as warnings."""
    logger, handler = logging.getLogger("keras_s2s"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("keras-s2s: %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
