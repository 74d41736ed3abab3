"""`keras-s2s serve`: bundles over HTTP."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_s2s.cli.files import open_to_read
from keras_s2s.cli.options import Debug, PrecisionOfProvider, Provider
from keras_s2s.cli.packages import needed_packages
from keras_s2s.errors import UserError

TOKEN = "KERAS_S2S_TOKEN"


def _speed(explained: str, **settings: Any) -> Any:
    return typer.Option(metavar="N", min=1, rich_help_panel="Speed", show_default=False, help=explained, **settings)


def _limit(explained: str, **settings: Any) -> Any:
    return typer.Option(rich_help_panel="Limits", show_default=False, help=explained, **settings)


def serve(
    bundles: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE...", show_default=False, help="Folders of exported models."),
    ],
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0 is reached from other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help=f"Refuse requests without the bearer token in this file; or set {TOKEN}.",
        ),
    ] = None,
    precision: PrecisionOfProvider = None,
    provider: Provider = "cpu",
    workers: Annotated[int | None, _speed("Processes, each with a batch of its own. By default all cores.")] = None,
    threads: Annotated[int | None, _speed("Threads of an operator. By default 1.")] = None,
    batch_size: Annotated[int | None, _speed("The most texts of a batch. By default 16.")] = None,
    queue: Annotated[
        int | None, _limit("The most texts that wait; then requests get 429. By default 8.", metavar="N", min=1)
    ] = None,
    timeout: Annotated[
        float | None,
        _limit("The longest a request may take; then it gets 504. By default 30.", metavar="SECONDS", min=0.001),
    ] = None,
    max_bytes: Annotated[int | None, _limit("Of a request. By default 1,000,000.", metavar="N", min=1)] = None,
    max_texts: Annotated[int | None, _limit("Of a request. By default 64.", metavar="N", min=1)] = None,
    max_beam: Annotated[int | None, _limit("Hypotheses of a text. By default 16.", metavar="N", min=1)] = None,
    max_tokens: Annotated[
        int | None, _limit("That may come out for a text. By default 1,000.", metavar="N", min=1)
    ] = None,
    log_text: Annotated[bool, typer.Option("--log-text", help="Write texts into the log.")] = False,
    debug: Debug = False,
) -> None:
    """Serve bundles over HTTP, with onnxruntime alone.

    Texts of all requests share batches: one joins at the next step and leaves when it is done, if its bundle has
    graphs for steps (`greedy.steps`, `beam.steps` among those of its export); else whole requests are batched by
    length. A bundle that is replaced on disk is taken up without losing a request. SIGTERM ends the server when all
    that it has taken is done.

    `/` is a page to try a model, `/docs` describes `/v1`, `/v2` is the Open Inference Protocol, `/metrics` is for
    Prometheus. The log is lines of JSON on the standard error.

    ```
    keras-s2s serve saved_models/dates
    curl localhost:8000/v1/generate -d '{"text": "5 mars 2013"}'
    ```
    """
    with needed_packages("serve", "serve"):
        from keras_s2s.serving.server import serve as run
        from keras_s2s.serving.settings import Settings
    given = {
        "workers": workers,
        "threads": threads,
        "batch_size": batch_size,
        "queue": queue,
        "timeout": timeout,
        "max_bytes": max_bytes,
        "max_texts": max_texts,
        "max_beam": max_beam,
        "max_tokens": max_tokens,
        "token": _token(token_file),
    }
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    settings = Settings(precision=precision, provider=provider, log_text=log_text, **chosen)
    run(bundles, settings, host, port, lambda line: typer.echo(line, err=True))


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN) or None
    with open_to_read(file) as opened:
        token = opened.read().decode("utf-8", "replace").strip()
    if not token:
        raise UserError(f"{file}: empty; write the token into it")
    return token
