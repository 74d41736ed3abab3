"""Each kind of model learns a toy task by `compile` and `fit`: to write a string backwards."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.decoding import make_program
from keras_s2s.losses import CrossEntropy
from keras_s2s.models import (
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)

SYMBOLS = 6
VOCABULARY = 4 + SYMBOLS
BOS, EOS = 1, 2


def texts(count: int, seed: int) -> list[tuple[int, ...]]:
    """Different strings of 4 to 6 symbols, in random order."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < count:
        found[tuple((4 + rng.integers(0, SYMBOLS, size=rng.integers(4, 7))).tolist())] = None
    return list(found)


def padded(rows: list[list[int]]) -> np.ndarray:
    return keras.utils.pad_sequences(rows, maxlen=8, padding="post", dtype="int32")


def dataset(sources: list[tuple[int, ...]], targets: list[tuple[int, ...]], batch: int) -> tf.data.Dataset:
    """Batches by the contract: ids, labels, and weights that are 0 at padding."""
    inputs = {
        "source_ids": padded([[*text, EOS] for text in sources]),
        "target_ids": padded([[BOS, *text] for text in targets]),
    }
    labels = padded([[*text, EOS] for text in targets])
    weights = (labels > 0).astype("float32")
    everything = tf.data.Dataset.from_tensor_slices((inputs, labels, weights))
    return everything.shuffle(len(sources), seed=1).batch(batch, drop_remainder=True)


def exact_match(decode: Any, sources: list[tuple[int, ...]], targets: list[tuple[int, ...]]) -> float:
    """Share of sources whose greedy result is the target."""
    ids = padded([[*text, EOS] for text in sources])
    # The length factor and what is allowed besides; the penalty, its base, the word reward; and no scores.
    found = decode(ids, np.float32(1.0), np.int32(4), np.float32(1.0), np.float32(0.0), np.float32(0.0), False)
    tokens, lengths = found["tokens"].numpy()[:, 0], found["lengths"].numpy()[:, 0]
    right = [tuple(row[:n].tolist()) == text for row, n, text in zip(tokens, lengths, targets, strict=True)]
    return sum(right) / len(right)


PARTS: dict[str, tuple[Any, Any]] = {
    "lstm": (LSTMEncoderConfig(), LSTMDecoderConfig()),
    "transformer": (
        TransformerEncoderConfig(layers=1, heads=4, feed_forward=96),
        TransformerDecoderConfig(layers=1, heads=4, feed_forward=96),
    ),
}


@pytest.mark.parametrize("kind", PARTS)
def test_strings_never_seen_are_reversed(kind: str) -> None:
    sources = texts(6500, seed=1)
    targets = [text[::-1] for text in sources]
    encoder, decoder = PARTS[kind]
    model = build(
        ModelConfig(
            source_vocabulary=VOCABULARY,
            target_vocabulary=VOCABULARY,
            width=48,
            encoder=encoder,
            decoder=decoder,
            dropout=0.0,
        )
    )
    decode = make_program(model, "greedy")
    untrained = exact_match(decode, sources[:500], targets[:500])
    rate = keras.optimizers.schedules.CosineDecay(0.0, 350, warmup_target=0.01, warmup_steps=50)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=CrossEntropy())
    model.fit(dataset(sources[500:], targets[500:], batch=60), epochs=4, shuffle=False, verbose=0)
    assert untrained < 0.1
    assert exact_match(decode, sources[:500], targets[:500]) >= 0.99
