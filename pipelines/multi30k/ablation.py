"""What each technique gives on the dev data of Multi30k, in runs of about the same time.

Usage: python ablation.py [--seeds 1 2 3] [--only NAME ...]

Each run is a training of `ablation.yaml` with other values. One that was interrupted goes on, and one that was finished
is not repeated. BLEU is that of greedy search: of the best checkpoint, and of the mean of the last ones.
"""

import argparse
import statistics
import time
from pathlib import Path

import keras_s2s  # noqa: F401  # isort: skip  before Keras: it chooses how TensorFlow computes
import keras

from keras_s2s import training
from keras_s2s.recipe import Recipe, load, train
from keras_s2s.recipe.prepare import folder_of, prepare
from keras_s2s.recipe.space import replaced

RECIPE = Path(__file__).with_name("ablation.yaml")
# With R-Drop a pair is read twice, so half as many epochs take as long.
HALF = load(RECIPE).config.training.epochs / 2
TECHNIQUES = {
    "nothing": {},
    "target-distribution-matching": {"training.bag_of_tokens": 0.1},
    "r-drop": {"training.r_drop": 1.0, "training.epochs": HALF},
    "sub-word-sampling": {"training.subword_sampling": 0.1},
    "moving-average": {"training.optimizer.average": 0.99},
}


def variant(technique: str, seed: int) -> Recipe:
    """The recipe of one run."""
    base = load(RECIPE)
    values = {"name": f"{base.config.name}-{technique}-{seed}", "training.seed": seed, **TECHNIQUES[technique]}
    return base.replace(config=replaced(base, base.config, values))


def judged(recipe: Recipe) -> tuple[float, float]:
    """Dev BLEU of the best checkpoint and of the mean of the last ones."""
    best = train(recipe)
    task, _ = prepare(recipe, recipe.config)
    mean = best.with_name("mean.keras")
    training.average(sorted(best.parent.glob("epoch-*.keras"))[-recipe.config.training.keep_last :], mean)
    values = []
    for path in (best, mean):
        judge = training.DecodedMetrics(task)
        judge.set_model(training.load(path))
        values.append(judge.judge()[judge.metric])
    return values[0], values[1]


def row(technique: str, found: list[tuple[float, float]]) -> str:
    """A line of the table: the mean over seeds, the least and the most."""
    cells = [f"{statistics.mean(of):.2f} ({min(of):.2f} to {max(of):.2f})" for of in zip(*found, strict=True)]
    return f"| {technique} | {len(found)} | {' | '.join(cells)} |"


def main() -> None:
    """Runs all, and prints the table after each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=TECHNIQUES, default=list(TECHNIQUES))
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in options.seeds:
        for technique in options.only:
            keras.utils.clear_session()
            recipe = variant(technique, seed)
            start = time.monotonic()
            found.setdefault(technique, []).append(judged(recipe))
            print(f"{recipe.config.name}: {(time.monotonic() - start) / 60:.1f} min, {folder_of(recipe)}", flush=True)
            print("| | runs | best | last averaged |\n|---|---:|---:|---:|")
            print("\n".join(row(*each) for each in found.items()), flush=True)


if __name__ == "__main__":
    main()
