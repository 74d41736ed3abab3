"""`keras-s2s text-graph`: a bundle's search and its tokenizers in one ONNX graph."""

from pathlib import Path
from typing import Annotated

import typer

from keras_s2s.cli.options import BundleFolder, Debug, Precision
from keras_s2s.errors import UserError


def text_graph(
    bundle: BundleFolder,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="Where to; it is made.")],
    precision: Precision = "int8",
    debug: Debug = False,
) -> None:
    """Write the search that a bundle does by default as a graph from text to text, and print its path.

    For programs that have onnxruntime and no tokenizer: the graph has operators of onnxruntime-extensions, a library
    that they must register. Its input is `source`, its outputs are `text` and `score`; it is compared with the bundle.

    ```
    keras-s2s text-graph saved_models/dates dates-text
    ```
    """
    try:
        from keras_s2s.runtime.text_graph import write_text_graph
    except ModuleNotFoundError as error:
        raise UserError(
            f'text-graph needs {error.name}, which is missing; pip install "keras_s2s[text-graph]"'
        ) from None

    typer.echo(write_text_graph(bundle, folder, precision))
