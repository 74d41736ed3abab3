"""A small model that has learnt a little, with its tokenizer and its sentences."""

import random
from pathlib import Path
from typing import Any, NamedTuple

import keras
import pytest

from keras_s2s.data import Pairs, batches
from keras_s2s.export import export_bundle
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import LSTMDecoderConfig, LSTMEncoderConfig, ModelConfig, build
from keras_s2s.text import Tokenizer, train


class Toy(NamedTuple):
    """Writes words backwards, not always rightly."""

    model: Any
    tokenizer: Tokenizer
    dev: Pairs
    test: Pairs


@pytest.fixture(scope="session")
def toy() -> Toy:
    draw = random.Random(1)
    words = sorted({"".join(draw.choices("abcde", k=draw.randint(1, 5))) for _ in range(3000)})
    draw.shuffle(words)
    pairs = [(word, word[::-1]) for word in words]
    dev, test, rest = (Pairs(*zip(*some, strict=True)) for some in (pairs[:40], pairs[40:60], pairs[60:]))
    tokenizer = train([*rest.sources, *rest.targets], 40, kind="char", normalization="identity")
    keras.utils.set_random_seed(1)
    model = build(
        ModelConfig(
            source_vocabulary=tokenizer.vocabulary_size,
            target_vocabulary=tokenizer.vocabulary_size,
            width=32,
            encoder=LSTMEncoderConfig(),
            decoder=LSTMDecoderConfig(),
            dropout=0.0,
            share_embeddings=True,
        )
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=CrossEntropy())
    model.fit(batches(rest, tokenizer, tokenizer, tokens=256), epochs=4, shuffle=False, verbose=0)
    return Toy(model, tokenizer, dev, test)


@pytest.fixture(scope="session")
def standard(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the model with greedy graphs of standard operators; it is only read."""
    path = tmp_path_factory.mktemp("bundles") / "standard"
    tokenizers = toy.tokenizer, toy.tokenizer
    export_bundle(toy.model, path, *tokenizers, toy.dev, graphs=["greedy"], operators="standard")
    return path
