"""`keras-s2s triton`: a bundle's graph in a model repository of Triton."""

from pathlib import Path
from typing import Annotated

import typer

from keras_s2s.cli.options import BundleFolder, Debug, Precision


def triton(
    bundle: BundleFolder,
    repository: Annotated[
        Path, typer.Argument(metavar="REPOSITORY", show_default=False, help="The folder of Triton's models.")
    ],
    graph: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default=False, help="Which graph; by default the bundle's own search."),
    ] = None,
    precision: Precision = "int8",
    threads: Annotated[
        int, typer.Option(min=1, metavar="N", rich_help_panel="Speed", help="Threads of an operator.")
    ] = 1,
    debug: Debug = False,
) -> None:
    """Write a graph of a bundle into a model repository of NVIDIA's Triton, and print the model's folder.

    Triton takes ids and gives ids: whoever asks encodes and decodes with the bundle's tokenizers. An option, which is a
    scalar of the graph, is a vector of one number for Triton; its defaults stand in config.pbtxt. A request is a batch.

    ```
    keras-s2s triton saved_models/dates models --graph greedy
    ```
    """
    from keras_s2s.runtime.triton import write_triton_model

    typer.echo(write_triton_model(bundle, repository, graph, precision, threads))
