"""A search that is told what it wrote thinks of it what it thought when it wrote it."""

import functools
from typing import Any

import keras
import numpy as np
import pytest

from keras_s2s.decoding import Ensemble, Fusion, make_program
from keras_s2s.decoding.forced import can_be_forced, make_forced
from keras_s2s.models import (
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)
from keras_s2s.search_options import OPTIONS

V = 12
SOURCE_IDS = np.array([[4, 5, 6, 7, 8, 2, 0, 0], [9, 4, 4, 2, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0]], "int32")
PARTS: dict[str, Any] = {
    "lstm": {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig(input_feeding=True)},
    "transformer": {
        "encoder": TransformerEncoderConfig(layers=1, heads=2, feed_forward=12),
        "decoder": TransformerDecoderConfig(layers=2, heads=2, feed_forward=12),
    },
    "language model": {"decoder": LSTMDecoderConfig()},
}
GIVEN: dict[str, Any] = {
    **{name: one.default if one.example is None else one.example for name, one in OPTIONS.items()},
    "source_ids": SOURCE_IDS,
    "with_scores": True,
    "max_length_factor": 1.0,
    "max_length_extra": 4,
    "length_penalty": 0.7,
    "length_penalty_base": 5.0,
    "word_reward": 0.1,
    "beam_size": 3,
    "n_best": 2,
    "uniforms": np.random.default_rng(1).uniform(size=(3, 2, 16)),
    "prefix": [[5, 6], [1, 0], [0, 0]],
    "suppressed": [[0, 7], [8, 9]],
    "begins_word": np.arange(V) > 5,
    "shortlist": np.array([0, 1, 2, 3, 5, 6, 8, 9, 11]),
}


@functools.cache
def made(kind: str) -> Any:
    """Weights are so large that results have several lengths."""
    if kind == "ensemble":
        return Ensemble([made("lstm"), made("transformer")])
    if kind == "fusion":
        return Fusion(made("transformer"), made("language model"), 0.3)
    source = {} if kind == "language model" else {"source_vocabulary": V}
    keras.utils.set_random_seed(1)
    model = build(ModelConfig(**source, target_vocabulary=V, width=8, **PARTS[kind]))
    rng = np.random.default_rng(7)
    model.set_weights([w + rng.normal(scale=0.8, size=w.shape) for w in model.get_weights()])
    return model


def run(program: Any, given: dict[str, Any]) -> dict[str, np.ndarray]:
    specs = program.input_signature
    inputs = [np.asarray(given[spec.name], spec.dtype.as_numpy_dtype) for spec in specs]
    return {name: value.numpy() for name, value in program(*inputs).items()}


@pytest.mark.parametrize(
    ("kind", "strategy", "features"),
    [
        ("transformer", "greedy", ("shortlist", "constrained")),
        ("transformer", "beam", ()),
        ("lstm", "beam", ("constrained", "coverage")),
        ("transformer", "diverse", ("constrained",)),
        ("transformer", "sample", ("constrained",)),
        ("ensemble", "greedy", ("constrained",)),
        ("fusion", "beam", ("coverage",)),
    ],
)
def test_what_a_search_wrote_is_what_it_would_write(kind: str, strategy: str, features: tuple[str, ...]) -> None:
    model, given = made(kind), dict(GIVEN)
    if "shortlist" in features:
        given["prefix"] = [[5, 6], [8, 0], [0, 0]]
    found = run(make_program(model, strategy, features, groups=2), given)
    forced, lengths = make_forced(model, strategy, features), set()
    for sentence in range(3):
        for n in np.flatnonzero(found["scores"][sentence] > -np.inf):
            length = found["lengths"][sentence, n]
            lengths.add(length)
            told = [[*found["tokens"][sentence, n, :length], 2]]
            own = {name: given[name][sentence : sentence + 1] for name in ("source_ids", "prefix", "uniforms")}
            said = run(forced, {**given, **own, "target_ids": told})
            np.testing.assert_allclose(
                said["token_scores"][0], found["token_scores"][sentence, n, : length + 1], rtol=1e-5, atol=1e-5
            )
            assert said["scores"][0] == pytest.approx(found["scores"][sentence, n], rel=1e-5)
            if strategy == "greedy":
                assert said["best"].tolist() == told
    assert len(lengths) > 1


def test_a_whole_batch_of_one_length(kind: str = "transformer") -> None:
    forced = make_forced(made(kind), "beam", ("constrained",))
    told = np.random.default_rng(3).integers(3, V, size=(3, 6), dtype="int32")
    told[:, -1] = 2
    given = {**GIVEN, "prefix": [[0]] * 3, "suppressed": [[0]]}
    together = run(forced, {**given, "target_ids": told})
    for sentence in range(3):
        own = {name: given[name][sentence : sentence + 1] for name in ("source_ids", "prefix")}
        alone = run(forced, {**given, **own, "target_ids": told[sentence : sentence + 1]})
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][sentence], values[0], rtol=1e-5, atol=1e-5)


def test_at_its_limit_a_hypothesis_can_only_end() -> None:
    given = {**GIVEN, "source_ids": SOURCE_IDS[:1], "max_length_factor": 0.0, "max_length_extra": 1}
    best = run(make_forced(made("lstm"), "greedy"), {**given, "target_ids": [[5, 2]]})["best"]
    free = run(make_forced(made("lstm"), "greedy"), {**given, "max_length_extra": 2, "target_ids": [[5, 2]]})["best"]
    assert best[0, 1] == 2
    assert free[0, 1] != 2
    assert best[0, 0] == free[0, 0]


def test_which_searches_can_be_told() -> None:
    assert can_be_forced("greedy") and can_be_forced("beam", ["constrained", "coverage", "shortlist"])
    assert not can_be_forced("beam", ["joint"])
    assert not can_be_forced("beam", ["somebody's"])
    assert not can_be_forced("ctc_beam")
