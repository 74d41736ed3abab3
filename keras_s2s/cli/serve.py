"""`keras-s2s serve`: bundles over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from keras_s2s.cli.options import Debug, Precision


def serve(
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE …", show_default=False, help="Folders of models.")],
    host: Annotated[str, typer.Option(help="Where to listen; others than this machine reach 0.0.0.0.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    precision: Precision = "int8",
    debug: Debug = False,
) -> None:
    """Serve bundles over HTTP."""
    from keras_s2s.serving.server import serve as run
    from keras_s2s.serving.settings import Settings

    run(bundles, Settings(precision=precision), host, port, lambda line: typer.echo(line, err=True))
