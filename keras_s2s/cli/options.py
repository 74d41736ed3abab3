"""Arguments and options that several verbs share."""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass
class Session:
    """Options of the running command that `main` reads.

    Attributes:
        debug: show the traceback of an error.
    """

    debug: bool = False


def _set_debug(context: typer.Context, debug: bool) -> None:
    if debug:
        context.ensure_object(Session).debug = True


Debug = Annotated[
    bool, typer.Option("--debug", callback=_set_debug, is_eager=True, help="Show the traceback of an error.")
]
BundleFolder = Annotated[
    Path,
    typer.Argument(metavar="BUNDLE", show_default=False, help="The folder of an exported model."),
]
Recipe = Annotated[
    Path,
    typer.Argument(metavar="RECIPE", show_default=False, help="A YAML file, or a folder with a recipe.yaml."),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        rich_help_panel="Speed",
        show_default=False,
        help="Which of the bundle's graphs: int8, fp32, or what `quantize` added. By default int8.",
    ),
]
PrecisionOfProvider = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        rich_help_panel="Speed",
        show_default=False,
        help="Which of the bundle's graphs: int8, fp32, or what `quantize` added. By default int8; with cuda fp16 if "
        "there is that, or else fp32.",
    ),
]
Provider = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        rich_help_panel="Speed",
        help="The hardware that computes: cpu, or cuda for an NVIDIA GPU.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", rich_help_panel="Speed", help="Cores to use. By default all."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def json_alone(as_json: bool) -> contextlib.AbstractContextManager[object]:
    """Inside the block, what stages and trainings print goes to standard error where `--json` is given.

    It is of no interest to who reads the JSON.
    """
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
