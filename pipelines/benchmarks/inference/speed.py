"""Our int8 graphs beside CTranslate2's int8 models of the same weights: speed, memory, start, size, conversion.

`tiny` (6+2 layers, D 256, feed-forward 1,536) and `base` (6+6, 512, 2,048) have random weights, a vocabulary of 32,000,
sources of 20 tokens and outputs of 24. `multi30k` is the recipe's Transformer on its test set, with outputs as long as
they come.

Usage: python speed.py [--models tiny base multi30k] [--threads 1 2] [--rounds 7] [--folder FOLDER]

`multi30k` must have been trained (`keras-s2s train pipelines/multi30k/transformer.yaml`). In FOLDER the models are kept
for the next time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Protocol

from keras_s2s.bundle import Decoding
from keras_s2s.memory import most_held

RECIPE = Path(__file__).parents[2] / "multi30k" / "transformer.yaml"
MODELS = ("tiny", "base", "multi30k")
ENGINES = ("ours", "theirs")  # modules
TARGET = 24
BATCHES, BATCHINGS = (1, 32), (16, 32, 64, 128)
BEAMS = (1, 4)
SEARCHES = {"greedy": (1, True), "greedy, no scores": (1, False), "beam 4": (4, True)}  # size of the beam, scores
SECONDS = 0.5  # a measurement takes at least that long


Rows = Sequence[Sequence[int]]


class Engine(Protocol):
    """A model in one engine."""

    def decode(self, rows: Rows, decoding: Decoding, batch_size: int) -> list[list[int]]:
        """The best output of each row, without EOS. Rows of like length share batches."""


def load(engine: str, folder: Path, precision: str, threads: int) -> Engine:
    """Loads a model; what an engine imports is imported only here, for it counts as memory."""
    made: Engine = import_module(engine).Engine(folder, precision, threads)
    return made


def decoding(model: str, beam: int, scores: bool = True) -> Decoding:
    """How both engines decode."""
    natural = model == "multi30k"
    return Decoding(
        strategy="beam" if beam > 1 else "greedy",
        beam_size=beam,
        length_penalty=1.0,
        length_penalty_base=0.0,
        n_best=1,
        max_length_factor=1.5 if natural else 0.0,
        max_length_extra=10 if natural else TARGET,
        scores=scores,
    )


def prepare(model: str, folder: Path) -> None:
    """Writes a model for both engines, and the ids that they decode. This needs TensorFlow."""
    import prepare as preparation

    if model == "multi30k":
        trained, dev, rows = preparation.trained(RECIPE)
        preparation.write(trained, dev[:200], decoding(model, 1), folder)
    else:
        rows = preparation.random_rows(64)
        preparation.write(preparation.random_model(model), rows, decoding(model, 1), folder)
    (folder / "rows.json").write_text(json.dumps(rows))


def rows_of(folder: Path) -> Rows:
    """The ids that are decoded."""
    rows: Rows = json.loads((folder / "rows.json").read_text())
    return rows


def agreement(model: str, folder: Path) -> str:
    """How many outputs are the same in both engines, in float32 and greedy."""
    outputs = [load(engine, folder, "float32", 2).decode(rows_of(folder), decoding(model, 1), 32) for engine in ENGINES]
    return f"{sum(a == b for a, b in zip(*outputs, strict=True))} of {len(outputs[0])}"


def speed(engine: Engine, rows: Rows, how: Decoding, batch_size: int) -> float:
    """Tokens a second, EOS counted where it was written."""
    tokens, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS:
        tokens += sum(len(ids) + (how.max_length_factor > 0) for ids in engine.decode(rows, how, batch_size))
    return tokens / passed


def compared(engines: list[Engine], rows: Rows, how: Decoding, sizes: list[int], rounds: int) -> list[str]:
    """Cells: each engine's median, the ratio of the medians, and the least and the largest ratio of a round."""
    found = []
    for _ in range(rounds):
        pairs = zip(engines, sizes, strict=True)
        found.append([speed(engine, rows, how, batch_size) for engine, batch_size in pairs])
    ours, theirs = (median(speeds) for speeds in zip(*found, strict=True))
    ratios = [a / b for a, b in found]
    return [f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]


def speeds(model: str, folder: Path, threads: int, rounds: int) -> list[list[str]]:
    """A row for each batch size and search; of natural outputs, for the whole set in each engine's best batches."""
    engines: list[Engine] = [load(engine, folder, "int8", threads) for engine in ENGINES]
    rows, table = rows_of(folder), []
    for batch_size in BATCHES if model != "multi30k" else [None]:
        for search, (beam, scores) in SEARCHES.items():
            how, some = decoding(model, beam, scores), rows[:batch_size]
            sizes = [_best_batches(engine, some, how, batch_size) for engine in engines]
            cells = compared(engines, some, how, sizes, rounds)
            what = f"batch {batch_size}" if batch_size else f"test set, batches of {sizes[0]} and {sizes[1]}"
            table.append([model, str(threads), what, search, *cells])
            print("  ".join(table[-1]), file=sys.stderr, flush=True)
    return table


def _best_batches(engine: Engine, rows: Rows, how: Decoding, batch_size: int | None) -> int:
    """The batch size that is asked for, or the quickest; the engine is warm afterwards."""
    found = {size: speed(engine, rows, how, size) for size in ([batch_size] if batch_size else BATCHINGS)}
    return max(found, key=found.__getitem__)


def memory(engine: str, model: str, folder: Path, beam: int) -> None:
    """Prints what a fresh process needs to its first answer, and the most memory that it takes for 32 sentences."""
    rows, how = rows_of(folder), decoding(model, beam)
    start = time.perf_counter()
    loaded = load(engine, folder, "int8", 1)
    loaded.decode(rows[:1], how, 1)
    seconds, alone = time.perf_counter() - start, most_held() / 1e6
    loaded.decode(rows[:32], how, 32)
    print(json.dumps([seconds, alone, most_held() / 1e6]))


def footprint(model: str, folder: Path) -> list[list[str]]:
    """A row for each engine: bytes on disk, conversion, start, memory."""
    took = json.loads((folder / "conversion.json").read_text())
    paths = {"ours": folder / "onnx" / "int8", "theirs": folder / "ctranslate2" / "int8"}
    table = []
    for engine, path in paths.items():
        size = sum(file.stat().st_size for file in path.iterdir()) / 1e6
        (start, alone, greedy), (*_, beam) = (_run("--memory", engine, model, str(folder), str(b)) for b in BEAMS)
        cells = [f"{size:.1f}", f"{took[engine]:.1f}", f"{start:.2f}", *(f"{x:.0f}" for x in (alone, greedy, beam))]
        table.append([model, engine, *cells])
    return table


def _run(*arguments: str) -> list[float]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    numbers: list[float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def main() -> None:
    """Prepares what is not there, measures, prints two tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        return prepare(options.prepare[0], Path(options.prepare[1]))
    if options.memory:
        engine, model, folder, beam = options.memory
        return memory(engine, model, Path(folder), int(beam))
    from keras_s2s.evaluation.tables import markdown_table  # not in processes whose memory is measured

    with tempfile.TemporaryDirectory() as temporary:
        base = options.folder or Path(temporary)
        times, sizes = [], []
        for model in options.models:
            folder = base / model
            if not (folder / "rows.json").exists():
                subprocess.run([sys.executable, __file__, "--prepare", model, str(folder)], check=True)
            print(f"{model}: {agreement(model, folder)} outputs are the same in float32", flush=True)
            sizes += footprint(model, folder)
            for threads in options.threads:
                times += speeds(model, folder, threads, options.rounds)
    header = ["model", "threads", "what", "search", "ours, tokens/s", "CTranslate2", "ratio", "least to largest"]
    print(markdown_table(header, times))
    header = [
        "model",
        "engine",
        "MB on disk",
        "conversion, s",
        "load and first answer, s",
        "peak MB, one",
        "32",
        "32, beam 4",
    ]
    print(markdown_table(header, sizes))


if __name__ == "__main__":
    main()
