"""What the benchmark measures, each in a process of its own: `python forms.py NAME ARGUMENTS` prints one JSON line.

Those of "before" run with an older version of the package, so they use nothing that is newer.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import keras_s2s  # noqa: F401  before Keras: it chooses how TensorFlow computes

TOKENS = 4096


def seconds(began: float) -> float:
    """Since then."""
    return time.monotonic() - began


def tokenizers(pairs: str, folder: str) -> dict[str, Any]:
    """Trains tokenizers of both sides on the first 100,000 pairs of a file, for all that compare speeds."""
    import itertools

    from keras_s2s import text

    with Path(pairs).open(encoding="utf-8") as file:
        sides = zip(*(line.rstrip("\n").split("\t") for line in itertools.islice(file, 100_000)), strict=True)
        both = text.train_joint(*sides, 8000)
    for side, tokenizer in zip(("source", "target"), both, strict=True):
        tokenizer.save(Path(folder) / f"{side}.model")
    return {}


def shards(pairs: str, models: str, folder: str) -> dict[str, Any]:
    """From text to maps of texts and of ids, on all cores."""
    from keras_s2s.data import READERS, Surroundings
    from keras_s2s.data.workers import on_all_cores
    from keras_s2s.recipe.training_examples import training_examples
    from keras_s2s.recipe.training_map import Context
    from keras_s2s.recipe.training_pairs import Corpus, training_pairs

    source, target = _models(models)
    reader = READERS["tsv"].model_validate({"tsv": pairs})
    began, before = time.monotonic(), sum(os.times()[:4])
    around = Surroundings(Path, lambda samples, rate: samples)
    context = Context(Path(folder), lambda line: None, on_all_cores)
    made = training_pairs([Corpus("train", reader, None)], around, True, (), {}, context)
    examples = training_examples(made.pairs, made.fingerprint, source, target, context)
    return {"seconds": seconds(began), "pairs": len(examples.labels), "processor": sum(os.times()[:4]) - before}


def encode_before(pairs: str, models: str) -> dict[str, Any]:
    """`encode` of lists, on one core. Reading the file is not counted."""
    from keras_s2s import data

    corpus = data.read_tsv(pairs)
    began = time.monotonic()
    data.encode(corpus, *_models(models))
    return {"seconds": seconds(began), "pairs": len(corpus)}


def batches(maps: str, models: str) -> dict[str, Any]:
    """Batches of the first epoch, read from maps."""
    from keras_s2s.data import Batches
    from keras_s2s.data.columns import mapped_examples, mapped_pairs
    from keras_s2s.data.corpus_map import open_map
    from keras_s2s.data.examples import Texts

    pairs = mapped_pairs(open_map(Path(maps) / "pairs" / "train"))
    texts = Texts(pairs.sources, pairs.targets, *_models(models))
    return _batches(Batches(mapped_examples(open_map(Path(maps) / "examples" / "train"), texts), tokens=TOKENS))


def batches_before(pairs: str, models: str) -> dict[str, Any]:
    """Batches of the first epoch, from lists."""
    from keras_s2s import data
    from keras_s2s.data.batching import Batches

    return _batches(Batches(data.encode(data.read_tsv(pairs), *_models(models)), tokens=TOKENS))


def first_step(recipe: str) -> dict[str, Any]:
    """All of a run up to the end of its first training step."""
    import keras

    from keras_s2s import recipe as recipes
    from keras_s2s.recipe.model import train_model
    from keras_s2s.recipe.prepare import prepare
    from keras_s2s.recipe.run import running

    class First(keras.callbacks.Callback):
        """Ends the process after a step."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            """Prints, and ends it."""
            print(json.dumps({"seconds": seconds(began), "prepared": prepared}), flush=True)
            sys.stdout.close()
            keras.backend.clear_session()
            raise SystemExit

    loaded = recipes.load(Path(recipe))
    began = time.monotonic()
    with running(loaded):
        config: Any = loaded.config
        task, fingerprint = prepare(loaded, config)
        prepared = seconds(began)
        train_model(loaded, config, task, fingerprint, callbacks=[First()])
    return {}


def plan(maps: str, models: str) -> dict[str, Any]:
    """Plans of two epochs."""
    from keras_s2s.data import Batches
    from keras_s2s.data.columns import mapped_examples, mapped_pairs
    from keras_s2s.data.corpus_map import open_map
    from keras_s2s.data.examples import Texts

    pairs = mapped_pairs(open_map(Path(maps) / "pairs" / "train"))
    texts = Texts(pairs.sources, pairs.targets, *_models(models))
    made = Batches(mapped_examples(open_map(Path(maps) / "examples" / "train"), texts), tokens=TOKENS)
    began = time.process_time()
    for step in (0, len(made)):
        made.tokens_at(step)
    return {"seconds": (time.process_time() - began) / 2, "pairs": len(pairs)}


def _models(folder: str) -> tuple[Any, Any]:
    from keras_s2s.text import Tokenizer

    return Tokenizer.load(Path(folder) / "source.model"), Tokenizer.load(Path(folder) / "target.model")


def _batches(made: Any) -> dict[str, Any]:
    count = len(made)
    began = time.monotonic()
    for step in range(count):
        made.at(step)
    return {"seconds": seconds(began), "batches": count}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
