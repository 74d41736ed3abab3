"""`keras-s2s bench`: latency, speed and memory of a bundle."""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_s2s.cli.files import text_lines
from keras_s2s.cli.options import BundleFolder, Debug, Json
from keras_s2s.cli.tables import print_whole
from keras_s2s.errors import UserError

if TYPE_CHECKING:
    from keras_s2s.runtime.bench import Timing


def bench(
    bundle: BundleFolder,
    source: Annotated[Path, typer.Option(show_default=False, help="Texts as they will come, one a line.")],
    precision: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", show_default=False, help="int8, fp32; may be repeated. By default both."),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=1, show_default=False, help="May be repeated. By default 1 and all cores."),
    ] = None,
    batch_size: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=1, show_default=False, help="May be repeated. By default 1 and 32."),
    ] = None,
    beam_size: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=1,
            show_default=False,
            help="1 is greedy; may be repeated. By default greedy and the bundle's own, of what it has graphs for.",
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            show_default=False,
            help="The hardware that computes: cpu, or cuda for an NVIDIA GPU; may be repeated. By default cpu.",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long each combination is measured.")] = 2.0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how long a bundle takes, how much it does and how much memory it needs.

    Every combination has a process of its own. Latency is that of a call with one batch, from text to text; memory is
    the most that the process took.

    ```
    keras-s2s bench saved_models/dates --source in.txt
    keras-s2s bench saved_models/dates --source in.txt --batch-size 1 --threads 1 --threads 2
    ```
    """
    from keras_s2s.bundle import read
    from keras_s2s.cores import available_cores
    from keras_s2s.runtime.bench import Setting
    from keras_s2s.runtime.bench import bench as measured

    exported = read(bundle)
    manifest = exported.manifest
    texts = [line.rstrip("\r\n") for line in text_lines(source)]
    if not any(text.strip() for text in texts):
        raise UserError(f"{source}: no texts; give some as they will come")
    own = manifest.decoding.beam_size
    precisions = precision or list(manifest.graphs)
    graphs, *_ = [exported.graphs(name) for name in precisions]
    beams = beam_size or [size for size in dict.fromkeys((1, own)) if ("beam" if size > 1 else "greedy") in graphs]
    settings = [
        Setting(*values)
        for values in itertools.product(
            precisions,
            threads or dict.fromkeys((1, available_cores())),
            batch_size or (1, 32),
            beams,
            provider or ("cpu",),
        )
    ]
    console = Console(stderr=True)
    found = list(
        track(
            measured(bundle, texts, settings, seconds),
            "measuring",
            total=len(settings),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
    )
    if as_json:
        result = {"bundle": str(bundle), "name": manifest.name, "timings": [_flat(timing) for timing in found]}
        typer.echo(json.dumps(result))
    else:
        _show(manifest.name, found)


def _flat(timing: "Timing") -> dict[str, str | int | float]:
    fields = dataclasses.asdict(timing)
    return {**fields.pop("setting"), **fields}


def _show(name: str, found: "Sequence[Timing]") -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 1, 0, 0))
    for column in ("precision", "threads", "batch", "beam", "provider"):
        table.add_column(column, justify="left" if column in ("precision", "provider") else "right")
    for column in ("p50 ms", "p95 ms", "p99 ms", "tokens/s", "texts/s", "load s", "MB"):
        table.add_column(column, justify="right")
    for timing in found:
        setting = timing.setting
        latencies = (f"{value:.1f}" for value in (timing.p50, timing.p95, timing.p99))
        speeds = (f"{value:,.0f}" for value in (timing.tokens_per_second, timing.texts_per_second))
        cells = [
            setting.precision,
            str(setting.threads),
            str(setting.batch_size),
            str(setting.beam_size),
            setting.provider,
        ]
        megabytes = "-" if timing.megabytes is None else f"{timing.megabytes:.0f}"
        table.add_row(*cells, *latencies, *speeds, f"{timing.load_seconds:.2f}", megabytes)
    console.print(f"{name}\n", markup=False)
    print_whole(console, table)
