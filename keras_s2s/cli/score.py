"""`keras-s2s score`: how likely a bundle finds given outputs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_s2s.cli.options import BundleFolder, Debug, Json, Precision, Threads

if TYPE_CHECKING:
    from keras_s2s.runtime import Scored


def score(
    bundle: BundleFolder,
    source: Annotated[Path, typer.Option(show_default=False, help="Texts, one a line; may be compressed.")],
    reference: Annotated[Path, typer.Option(show_default=False, help="Outputs to score, as many lines.")],
    as_json: Json = False,
    precision: Precision = "int8",
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Tell how likely given outputs are: a line in, `LOG-PROBABILITY TAB PERPLEXITY` out.

    The log-probability, a natural logarithm, is that of the whole line of the reference and its end, given the line
    of the source; the perplexity that of one of its tokens, the end counted. The perplexity of all lines together
    goes to the standard error. With `--json` there are the scores of each token, too.

    ```
    keras-s2s score saved_models/dates --source in.txt --reference out.txt
    ```
    """
    from keras_s2s.data.readers.text import read_pairs
    from keras_s2s.runtime import Generator, perplexity

    pairs = read_pairs(source, reference)
    scored = Generator.load(bundle, precision, threads).score(pairs.sources, pairs.targets)
    tokens = sum(len(one.token_scores) for one in scored)
    if as_json:
        result = {
            "bundle": str(bundle),
            "precision": precision,
            "sentences": len(scored),
            "tokens": tokens,
            "log_probability": sum(one.log_probability for one in scored),
            "perplexity": perplexity(scored),
            "lines": [_line(one) for one in scored],
        }
        typer.echo(json.dumps(result))
        return
    _write(scored)
    typer.echo(f"{len(scored):,} sentences, {tokens:,} tokens, perplexity {perplexity(scored):.4f}", err=True)


def _line(scored: "Scored") -> dict[str, object]:
    return {
        "log_probability": scored.log_probability,
        "perplexity": scored.perplexity,
        "token_scores": scored.token_scores,
    }


def _write(scored: "Sequence[Scored]") -> None:
    for one in scored:
        typer.echo(f"{one.log_probability:.6f}\t{one.perplexity:.6f}")
