"""`keras-s2s align`: a picture of where a bundle looks."""

from pathlib import Path
from typing import Annotated

import typer

from keras_s2s.cli.options import BundleFolder, Debug, Precision, Threads
from keras_s2s.cli.packages import training_packages
from keras_s2s.errors import UserError


def align(
    bundle: BundleFolder,
    text: Annotated[str, typer.Argument(metavar="TEXT", show_default=False, help="A source.")],
    output: Annotated[Path, typer.Option(show_default=False, metavar="FILE", help="The picture, a .png file.")],
    target: Annotated[
        str | None,
        typer.Option(show_default=False, metavar="TEXT", help="An output; by default the one of the bundle."),
    ] = None,
    precision: Precision = "int8",
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Draw where a bundle looks in a text as it writes its output, and print that output.

    A row of the picture is a token of the output, a column a token of the text; the darker, the more it looks there.

    ```
    keras-s2s align saved_models/dates "5 mars 2013" --output picture.png
    ```
    """
    with training_packages("align"):
        from keras_s2s.evaluation import attention_picture
    from keras_s2s.runtime import Generator

    if not text.strip():
        raise UserError("TEXT: is blank; give a text to look at")
    if output.suffix.lower() != ".png":
        raise UserError(f"{output}: the picture is a PNG; give a name that ends in .png")
    generator = Generator.load(bundle, precision, threads)
    written = generator([text], n_best=1, scores=False)[0][0].text if target is None else target
    [weights] = generator.align([text], [written])
    # A source that is too long is cut before its end.
    *pieces, end = generator.source_pieces(text)
    source = [*pieces[: weights.shape[1] - 1], end]
    try:
        attention_picture(output, weights, source, generator.target_pieces(written), generator.bundle.manifest.name)
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror}; check the name") from None
    typer.echo(written)
