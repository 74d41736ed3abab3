"""Writes the models that `speed.py` compares: our graphs, and CTranslate2's models of the same weights."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_s2s  # noqa: F401  # isort: skip  before Keras: it chooses how TensorFlow computes
import ctranslate2_model
import keras
import numpy as np

from keras_s2s import training
from keras_s2s.bundle import Decoding
from keras_s2s.export.calibrate import calibration_batches
from keras_s2s.export.forms import programs_of
from keras_s2s.export.graphs import write_graphs
from keras_s2s.models import ModelConfig, TransformerDecoderConfig, TransformerEncoderConfig, build
from keras_s2s.recipe import load
from keras_s2s.recipe import prepare as stages
from keras_s2s.runtime.feeds import source_rows

VOCABULARY, SOURCE = 32000, 20
# Layers of the encoder and of the decoder, D, size of the feed-forward part.
SHAPES = {"tiny": (6, 2, 256, 1536), "base": (6, 6, 512, 2048)}
GRAPHS = ("greedy", "beam")


def random_model(shape: str) -> Any:
    """A model with random weights that never ends of itself."""
    encoder, decoder, width, feed_forward = SHAPES[shape]
    keras.utils.set_random_seed(1)
    options: dict[str, Any] = {"heads": 8, "feed_forward": feed_forward}
    model = build(
        ModelConfig(
            width=width,
            encoder=TransformerEncoderConfig(layers=encoder, **options),
            decoder=TransformerDecoderConfig(layers=decoder, **options),
            source_vocabulary=VOCABULARY,
            target_vocabulary=VOCABULARY,
        )
    )
    bias = np.zeros(VOCABULARY, "float32")
    bias[:4] = -1e4
    model.head.bias.assign(bias)
    return model


def random_rows(count: int) -> list[list[int]]:
    """Source ids, without EOS."""
    return np.random.default_rng(2).integers(4, VOCABULARY, (count, SOURCE)).tolist()


def write(model: Any, rows: list[list[int]], decoding: Decoding, folder: Path) -> None:
    """Writes both engines' models, and how long each took.

    Args:
        model: ours.
        rows: source ids, to calibrate on.
        decoding: with greedy search.
        folder: made.
    """
    work = {"ours": lambda: _write_ours(model, rows, decoding, folder)}
    for name, precision in (("theirs, float32", "float32"), ("theirs", "int8")):
        path = folder / "ctranslate2" / precision
        work[name] = lambda path=path, precision=precision: ctranslate2_model.write(model, path, precision)
    (folder / "conversion.json").write_text(json.dumps({name: _timed(write) for name, write in work.items()}))


def _write_ours(model: Any, rows: list[list[int]], decoding: Decoding, folder: Path) -> None:
    programs = programs_of(model, GRAPHS, groups=1)
    batches = calibration_batches(rows, rows, decoding, model.config.target_vocabulary)
    write_graphs(programs, decoding.strategy, batches, folder, lambda what: None, "onnxruntime")


def _timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def trained(recipe: Path) -> tuple[Any, list[list[int]], list[list[int]]]:
    """A recipe's trained model, dev and test sources as ids, each with EOS."""
    loaded = load(recipe)
    task, _ = stages.prepare(loaded, loaded.config)
    dev, test = (
        source_rows(task.source_tokenizer, split.sources, loaded.config.max_source_tokens)
        for split in (task.dev, task.test)
    )
    return training.load(stages.folder_of(loaded) / "model" / "best.keras"), dev, test
