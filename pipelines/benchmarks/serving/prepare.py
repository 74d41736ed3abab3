"""Writes the bundles that `serving.py` serves, with steps, and in each a folder of CTranslate2's model.

python pipelines/benchmarks/serving/prepare.py pipelines/multi30k/transformer.yaml saved_models/serving
"""

import sys
from pathlib import Path
from typing import Any

import keras_s2s as s2s  # isort: skip  before Keras: it chooses how TensorFlow computes
import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))
import ctranslate2_model

from keras_s2s import training
from keras_s2s.bundle import Decoding
from keras_s2s.models import ModelConfig, TransformerDecoderConfig, TransformerEncoderConfig, build
from keras_s2s.recipe import load
from keras_s2s.recipe import prepare as stages

# Random weights have ties everywhere, so that its metric would say nothing of more.
VERIFIED = {"multi30k": 1000, "student": 20}
GRAPHS = ("greedy", "beam", "greedy.steps", "beam.steps")
# What comes out of the model with random weights is as long as what goes in, and four tokens more.
DECODING = Decoding(strategy="greedy", beam_size=1, max_length_factor=1.0, max_length_extra=4)


def student(vocabulary: int) -> Any:
    """A deep encoder and a shallow decoder of the size of a product's, with random weights; it never ends of itself."""
    keras.utils.set_random_seed(1)
    options: dict[str, Any] = {"heads": 8, "feed_forward": 1536}
    model = build(
        ModelConfig(
            width=256,
            encoder=TransformerEncoderConfig(layers=6, **options),
            decoder=TransformerDecoderConfig(layers=2, **options),
            source_vocabulary=vocabulary,
            target_vocabulary=vocabulary,
        )
    )
    bias = np.zeros(vocabulary, "float32")
    bias[:4] = -1e4
    model.head.bias.assign(bias)
    return model


def main(recipe: str, folder: str) -> None:
    """Writes both."""
    loaded = load(Path(recipe))
    task, _ = stages.prepare(loaded, loaded.config)
    tokenizer = task.source_tokenizer
    models = {
        "multi30k": (training.load(stages.folder_of(loaded) / "model" / "best.keras"), loaded.config.decoding),
        "student": (student(tokenizer.vocabulary_size), DECODING),
    }
    for name, (model, decoding) in models.items():
        path = Path(folder) / name
        if path.exists():
            continue
        dev = task.dev.take(range(VERIFIED[name]))
        print(f"{name}: verified on {len(dev)} sentences")
        s2s.export_bundle(
            model, path, tokenizer, tokenizer, dev, decoding=decoding, graphs=GRAPHS, max_source_tokens=128
        )
        ctranslate2_model.write(model, path / "ctranslate2", "int8")


if __name__ == "__main__":
    main(*sys.argv[1:])
