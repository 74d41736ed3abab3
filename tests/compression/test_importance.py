"""The importance of heads and units, against what a small change of each really does to the loss."""

from typing import Any

import numpy as np
import pytest

from keras_s2s.compression import Place, by_gradient, by_norm, mean_dev_loss
from keras_s2s.data import Pairs, Task
from keras_s2s.models import (
    CTCHeadConfig,
    GRUEncoderConfig,
    ModelConfig,
    SSRUDecoderConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)
from keras_s2s.text import train
from keras_s2s.text.padding import pad

# Smooth, so that a change need not be so small that rounding hides it.
BLOCKS: dict[str, Any] = {"layers": 1, "heads": 2, "feed_forward": 3, "activation": "gelu"}
MODELS: dict[str, dict[str, Any]] = {
    "transformer": {
        "encoder": TransformerEncoderConfig(**BLOCKS, positions="relative"),
        "decoder": TransformerDecoderConfig(**BLOCKS | {"activation": "swiglu"}, norm_place="post"),
    },
    "ssru": {"encoder": GRUEncoderConfig(), "decoder": SSRUDecoderConfig(**BLOCKS)},
    "language model": {"encoder": None, "source_vocabulary": None, "decoder": TransformerDecoderConfig(**BLOCKS)},
}
TOKENIZER = train(["abcdefg"], 12, kind="char", normalization="identity")
PAIRS = Pairs(["abc", "g", "fedcbaab"], ["cba", "ga", "b"])


def make(name: str) -> Any:
    model = build(ModelConfig(**{"source_vocabulary": 12, "target_vocabulary": 12, "width": 8, **MODELS[name]}))
    rng = np.random.default_rng(4)
    model.set_weights([w + rng.normal(scale=0.3, size=w.shape) for w in model.get_weights()])
    return model


def task_of(name: str) -> Task:
    source = None if name == "language model" else TOKENIZER
    pairs = Pairs([""] * len(PAIRS), PAIRS.targets) if source is None else PAIRS
    return Task("letters", pairs, pairs, None, source, TOKENIZER, ("exact_match",))


def losses(model: Any) -> np.ndarray:
    """The sum of cross entropies of each pair's tokens."""
    sources, targets = ([[*row, 2] for row in TOKENIZER.encode(texts)] for texts in (PAIRS.sources, PAIRS.targets))
    given = {"source_ids": pad(sources), "target_ids": pad([[1, *target[:-1]] for target in targets])}
    logits = np.asarray(model({name: given[name] for name in model.input}), "float64")
    logarithms = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.array([-sum(rows[np.arange(len(t)), t]) for rows, t in zip(logarithms, targets, strict=True)])


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_of_a_dev_pair(name: str) -> None:
    model = make(name)
    assert mean_dev_loss(model, task_of(name)) == pytest.approx(losses(model).mean(), rel=1e-5)


KERNELS = {
    "heads": lambda block: block.mixer.output_projection.kernel,
    "memory_heads": lambda block: block.cross_attention.output_projection.kernel,
    "units": lambda block: block.feed_forward.down.kernel,
}


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_is_what_a_small_change_does(name: str) -> None:
    model = make(name)
    found = by_gradient(model, task_of(name))
    for place, scores in found.items():
        kernel = KERNELS[place.part](getattr(model, place.stack).blocks[place.block])
        before, size = kernel.numpy(), kernel.shape[0] // len(scores)
        for number, score in enumerate(scores):
            changes = []
            for factor in (1.01, 0.99):
                changed = before.copy()
                changed[number * size : (number + 1) * size] *= factor
                kernel.assign(changed)
                changes.append(losses(model))
            kernel.assign(before)
            expected = np.abs(np.subtract(*changes) / 0.02).mean()
            np.testing.assert_allclose(score, expected, rtol=1e-2, atol=1e-3, err_msg=f"{place}, {number}")


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("ssru", {("decoder", 0, "memory_heads"): 2, ("decoder", 0, "units"): 3}),
        ("language model", {("decoder", 0, "heads"): 2, ("decoder", 0, "units"): 3}),
    ],
)
def test_each_part_has_a_score_for_each_of_its_heads_or_units(name: str, places: dict[Any, int]) -> None:
    expected = {Place(*place): size for place, size in places.items()}
    for scores in (by_gradient(make(name), task_of(name)), by_norm(make(name))):
        assert {place: len(values) for place, values in scores.items()} == expected


def test_a_labeller_has_the_loss_of_its_head() -> None:
    config = ModelConfig(
        source_vocabulary=12,
        target_vocabulary=12,
        width=8,
        encoder=TransformerEncoderConfig(**BLOCKS),
        ctc=CTCHeadConfig(upsampling=3),
    )
    found = by_gradient(build(config), task_of("labeller"))
    assert [*found] == [Place("encoder", 0, "heads"), Place("encoder", 0, "units")]
    assert min(scores.min() for scores in found.values()) > 0


def test_the_norm_is_that_of_all_weights_of_a_head_or_a_unit() -> None:
    model = make("transformer")
    found, block = by_norm(model), model.decoder.blocks[0]
    (w, _, out, _), (up, _, gate, _, down, _) = block.mixer.get_weights(), block.feed_forward.get_weights()
    query, key, value = np.split(w, 3, axis=1)
    of_second = [*(part[:, 4:] for part in (query, key, value)), out[4:]]
    np.testing.assert_allclose(found[Place("decoder", 0, "heads")][1], size(of_second), rtol=1e-5)
    of_third = [up[:, 2], gate[:, 2], down[2]]
    np.testing.assert_allclose(found[Place("decoder", 0, "units")][2], size(of_third), rtol=1e-5)
    query, keys_values, out = (
        layer.kernel.numpy()
        for layer in (
            block.cross_attention.query,
            model.bridge.keys_values[0].key_value,
            block.cross_attention.output_projection,
        )
    )
    of_first = [query[:, :4], keys_values[:, :4], keys_values[:, 8:12], out[:4]]
    np.testing.assert_allclose(found[Place("decoder", 0, "memory_heads")][0], size(of_first), rtol=1e-5)


def size(parts: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.square(part).sum() for part in parts)))


def test_nothing_of_the_model_changes() -> None:
    model = make("transformer")
    before = [w.copy() for w in model.get_weights()]
    by_gradient(model, task_of("transformer"))
    assert all(np.array_equal(*both) for both in zip(before, model.get_weights(), strict=True))
