"""Programs of real models: which there are, and that features change what they should and nothing else."""

import functools
import itertools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_s2s import UserError
from keras_s2s.decoding import FEATURES, INPUTS, Ensemble, Fusion, available, make_program, problems
from keras_s2s.models import (
    CRFHeadConfig,
    CTCHeadConfig,
    LSTMDecoderConfig,
    LSTMEncoderConfig,
    ModelConfig,
    TransformerDecoderConfig,
    TransformerEncoderConfig,
    build,
)

V = 12
SOURCE_IDS = np.array([[4, 5, 6, 7, 8, 2, 0, 0], [9, 4, 4, 2, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0]], "int32")
TARGET_IDS = np.array([[4, 5, 6, 2], [8, 2, 0, 0], [10, 11, 2, 0]], "int32")
PARTS: dict[str, Any] = {
    "lstm": {"encoder": LSTMEncoderConfig(), "decoder": LSTMDecoderConfig()},
    "transformer": {
        "encoder": TransformerEncoderConfig(layers=1, heads=2, feed_forward=12),
        "decoder": TransformerDecoderConfig(layers=2, heads=2, feed_forward=12),
    },
    "joint": {
        "encoder": LSTMEncoderConfig(),
        "decoder": TransformerDecoderConfig(layers=1, heads=2, feed_forward=12),
        "ctc": CTCHeadConfig(upsampling=2),
    },
    "ctc": {"encoder": LSTMEncoderConfig(), "ctc": CTCHeadConfig()},
    "crf": {"encoder": LSTMEncoderConfig(), "crf": CRFHeadConfig()},
    "language model": {"decoder": LSTMDecoderConfig()},
}
OPTIONS: dict[str, Any] = {
    "source_ids": SOURCE_IDS,
    "target_ids": TARGET_IDS,
    "max_length_factor": 1.0,
    "max_length_extra": 4,
    "length_penalty": 1.0,
    "length_penalty_base": 0.0,
    "word_reward": 0.0,
    "with_scores": True,
    "beam_size": 3,
    "n_best": 3,
    "patience": 1.0,
    "exhaustive": False,
    "diversity": 0.5,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "uniforms": np.random.default_rng(1).uniform(size=(3, 3, 12)),
    "prefix": [[0]] * 3,
    "suppressed": [[0]],
    "begins_word": np.arange(V) > 3,
    "min_length": 0,
    "no_repeat_ngram": 0,
    "repetition_penalty": 1.0,
    "allow_unknown": True,
    "coverage_penalty": 0.0,
    "ctc_weight": 0.0,
    "shortlist": np.arange(V),
}


def made(kind: str, seed: int = 3) -> Any:
    """Weights are large enough that results have several lengths."""
    source = {} if kind == "language model" else {"source_vocabulary": V}
    keras.utils.set_random_seed(1)
    model = build(ModelConfig(**source, target_vocabulary=V, width=8, **PARTS[kind]))
    rng = np.random.default_rng(seed)
    model.set_weights([w + rng.normal(scale=0.8, size=w.shape) for w in model.get_weights()])
    if model.head is not None:  # No training teaches a model to write padding or BOS.
        model.head.bias.assign(np.where(np.arange(V) < 2, -30, model.head.bias))
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    found = {kind: made(kind) for kind in PARTS}
    found["ensemble"] = Ensemble([found["lstm"], found["transformer"]], [1, 2])
    found["linear ensemble"] = Ensemble([found["lstm"], found["transformer"]], [1, 2], "linear")
    found["fusion"] = Fusion(found["ensemble"], found["language model"], 0.3)
    return found


@functools.cache
def program_of(model: Any, name: str) -> Any:
    """Traced once for all tests."""
    strategy, *features = name.split("-")
    return make_program(model, strategy, features, groups=2)


def run(model: Any, name: str, **changes: Any) -> dict[str, np.ndarray]:
    program = program_of(model, name)
    options = {**OPTIONS, **changes}
    found = program(*(tf.constant(options[spec.name], spec.dtype) for spec in program.input_signature))
    return {key: value.numpy() for key, value in found.items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        if value.dtype == "int32":
            assert np.array_equal(value, other[key]), key
        else:
            np.testing.assert_allclose(value, other[key], rtol=1e-5, atol=1e-5, err_msg=key)


def texts(found: dict[str, np.ndarray], sentence: int) -> list[list[int]]:
    rows = zip(found["tokens"][sentence], found["lengths"][sentence], found["scores"][sentence], strict=True)
    return [tokens[:n].tolist() for tokens, n, score in rows if score > -np.inf]


@pytest.mark.parametrize(
    ("kind", "strategy", "features"),
    [
        ("lstm", "diverse", "constrained-coverage"),
        ("transformer", "greedy", "constrained"),
        ("transformer", "sample", "constrained-shortlist"),
        ("transformer", "beam", "constrained-coverage"),
        ("transformer", "beam", "constrained-shortlist"),
        ("joint", "beam", "joint"),
    ],
)
def test_features_at_rest_change_nothing(models: dict, kind: str, strategy: str, features: str) -> None:
    same(run(models[kind], f"{strategy}-{features}"), run(models[kind], strategy))


@pytest.mark.parametrize(("kind", "strategy"), [("lstm", "diverse"), ("transformer", "beam")])
def test_the_coverage_penalty_is_that_of_the_alignment(models: dict, kind: str, strategy: str) -> None:
    model = models[kind]
    plain, found = run(model, strategy), run(model, f"{strategy}-constrained-coverage", coverage_penalty=0.7)
    for sentence in range(3):
        for n, text in enumerate(texts(found, sentence)):
            target = np.array([[*text, 2]], "int32")
            source = SOURCE_IDS[sentence : sentence + 1]
            attention = run(model, "align", source_ids=source, target_ids=target)["attention"][0]
            covered = attention.sum(axis=0)[: (source > 0).sum()]
            log_p = run(model, "score", source_ids=source, target_ids=target)["token_scores"].sum()
            expected = log_p / (len(text) + 1) + 0.7 * np.log(np.clip(covered, 1e-9, 1)).sum()
            assert found["scores"][sentence, n] == pytest.approx(expected, rel=1e-4)
    assert not np.allclose(plain["scores"], found["scores"])


def test_a_shortlist_equals_a_ban_on_all_other_ids(models: dict) -> None:
    """A ban leaves probabilities as they are, a shortlist shares them out among fewer ids: all the same to greedy."""
    kept = np.array([0, 1, 2, 3, 5, 6, 9])
    narrowed = run(models["transformer"], "greedy-shortlist", shortlist=kept)
    others = [[v] for v in range(V) if v not in kept]
    banned = run(models["transformer"], "greedy-constrained", suppressed=others)
    assert np.array_equal(narrowed["tokens"], banned["tokens"])


def test_a_shortlist_maps_constraints(models: dict) -> None:
    kept = np.array([0, 1, 2, 3, 5, 6, 9, 11])
    changes = {"prefix": [[9, 5], [6, 0], [0, 0]], "suppressed": [[0, 11], [9, 6], [0, 8]], "min_length": 2}
    found = run(models["transformer"], "beam-constrained-shortlist", shortlist=kept, **changes)
    assert set(found["tokens"].ravel()) <= set(kept)
    assert all(text[:2] == [9, 5] for text in texts(found, 0))
    assert all(text[:1] == [6] for text in texts(found, 1))
    for text in (text for sentence in range(3) for text in texts(found, sentence)):
        assert 11 not in text and (9, 6) not in itertools.pairwise(text) and len(text) >= 2


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [("lstm", "diverse"), ("transformer", "greedy"), ("transformer", "beam"), ("transformer", "sample")],
)
def test_token_scores_are_those_of_the_model(models: dict, kind: str, strategy: str) -> None:
    found = run(models[kind], strategy, **({"n_best": 1} if strategy == "greedy" else {}))
    for sentence in range(3):
        for n, text in enumerate(texts(found, sentence)):
            target = np.array([[*text, 2]], "int32")
            source = SOURCE_IDS[sentence : sentence + 1]
            expected = run(models[kind], "score", source_ids=source, target_ids=target)["token_scores"][0]
            np.testing.assert_allclose(
                found["token_scores"][sentence, n, : len(target[0])], expected, rtol=1e-5, atol=1e-4
            )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("lstm", "greedy"),
        ("transformer", "greedy"),
        ("transformer", "greedy-shortlist"),
        ("transformer", "greedy-constrained"),
        ("joint", "greedy-joint"),
        ("ensemble", "greedy"),
        ("linear ensemble", "greedy"),
        ("fusion", "greedy"),
    ],
)
def test_without_scores_the_tokens_are_the_same(models: dict, kind: str, name: str) -> None:
    given = {"ctc_weight": 0.4, "repetition_penalty": 1.3}
    plain, found = (run(models[kind], name, with_scores=wanted, **given) for wanted in (True, False))
    assert np.all(plain["scores"] < 0)
    for key in ("scores", "token_scores"):
        assert not found[key].any()
        found[key] = plain[key]
    same(found, plain)


def test_ensembles_and_fusions_have_every_program_of_a_decoder(models: dict) -> None:
    """With a weight of 0, a fusion says what its ensemble says; attention too."""
    ensemble, fusion = models["ensemble"], Fusion(models["ensemble"], models["language model"], 0.0)
    assert available(ensemble) == available(fusion) == available(models["lstm"])
    for name in ("beam-coverage", "score", "align"):
        same(run(ensemble, name), run(fusion, name))
    found = run(ensemble, "align")["attention"]
    parts = [run(models[kind], "align")["attention"] for kind in ("lstm", "transformer")]
    np.testing.assert_allclose(found, parts[0] / 3 + 2 * parts[1] / 3, atol=1e-5)


def test_a_fusion_adds_what_the_language_model_says(models: dict) -> None:
    fusion = Fusion(models["lstm"], models["language model"], 0.3)
    of_model = run(models["lstm"], "score")["token_scores"]
    of_language = run(models["language model"], "score")["token_scores"]
    np.testing.assert_allclose(run(fusion, "score")["token_scores"], of_model + 0.3 * of_language, atol=1e-5)
    best = run(fusion, "beam")
    target = np.array([[*texts(best, 0)[0], 2]], "int32")
    score = run(fusion, "score", source_ids=SOURCE_IDS[:1], target_ids=target)["token_scores"].sum()
    assert best["scores"][0, 0] == pytest.approx(score / target.size, abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("lstm", "diverse-constrained-coverage"),
        ("transformer", "sample-constrained-shortlist"),
        ("joint", "beam-joint"),
        ("ensemble", "beam-coverage"),
        ("fusion", "greedy-constrained"),
    ],
)
def test_a_sentence_is_the_same_in_any_company(models: dict, kind: str, name: str) -> None:
    model = models[kind]
    rng, lengths = np.random.default_rng(8), np.array([7, 1, 4, 0, 3, 6, 2, 5])
    of_sentences = {
        "source_ids": [[*rng.integers(4, V, n), 2, *[0] * (7 - n)] for n in lengths],
        "uniforms": rng.uniform(size=(8, 3, 12)),
        "prefix": np.where(rng.uniform(size=(8, 1)) < 0.5, rng.integers(4, V, size=(8, 1)), 0),
    }
    given = {**OPTIONS, "max_length_extra": 1, "coverage_penalty": 0.3, "ctc_weight": 0.4, "shortlist": np.arange(V)}
    program = program_of(model, name)

    def decode(sentences: slice) -> dict[str, np.ndarray]:
        options = given | {key: np.asarray(value)[sentences] for key, value in of_sentences.items()}
        found = program(*(tf.constant(options[spec.name], spec.dtype) for spec in program.input_signature))
        return {key: value.numpy() for key, value in found.items()}

    together = decode(slice(None))
    assert len({len(text) for i in range(8) for text in texts(together, i)}) > 3
    for i in range(8):
        alone = decode(slice(i, i + 1))
        longest = alone["tokens"].shape[2]
        same(alone, {key: x[i : i + 1, :, :longest] if x.ndim == 3 else x[i : i + 1] for key, x in together.items()})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("lstm", "greedy beam diverse sample score align"),
        ("joint", "greedy beam diverse sample score align ctc_greedy ctc_beam"),
        ("ctc", "ctc_greedy ctc_beam"),
        ("crf", "viterbi posterior"),
        ("language model", "score"),
    ],
)
def test_what_a_model_can_be_decoded_by(models: dict, kind: str, expected: str) -> None:
    assert " ".join(available(models[kind])) == expected
    assert set(available(models[kind])) <= set(INPUTS)


@pytest.mark.parametrize(
    ("kind", "strategy", "features", "message"),
    [
        ("lstm", "beem", (), "no strategy 'beem'; there are greedy, beam"),
        ("lstm", "ctc_beam", (), "this model has no 'ctc_beam'; it has greedy"),
        ("ctc", "greedy", (), "this model has no 'greedy'; it has ctc_greedy, ctc_beam"),
        ("lstm", "beam", ("constrained", "fast"), "no feature 'fast'; there are constrained"),
        ("ctc", "ctc_beam", ("constrained",), "'ctc_beam' has no feature 'constrained'"),
        ("lstm", "greedy", ("coverage",), "'coverage' ranks the hypotheses of a beam; 'greedy' has none"),
        ("lstm", "beam", ("joint",), "'joint' needs a model with a decoder and a CTC head"),
        ("joint", "beam", ("joint", "shortlist"), "'shortlist' works with a single model, and not with 'joint'"),
    ],
)
def test_what_cannot_be_is_said(models: dict, kind: str, strategy: str, features: tuple, message: str) -> None:
    assert any(message in problem for problem in problems(models[kind], strategy, features))
    with pytest.raises(UserError, match=f"^decoding: .*{message}"):
        make_program(models[kind], strategy, features)


def test_every_feature_names_its_inputs(models: dict) -> None:
    for feature in FEATURES:
        kind = "joint" if feature == "joint" else "lstm"
        names = [spec.name for spec in make_program(models[kind], "beam", [feature]).input_signature]
        assert names == ["source_ids", *INPUTS["beam"], *FEATURES[feature]]


def test_wrong_fusions_are_refused(models: dict) -> None:
    with pytest.raises(UserError, match="fusion: the language model must have a decoder and no encoder"):
        Fusion(models["lstm"], models["transformer"], 0.1)
    with pytest.raises(UserError, match=r"fusion: weight -0\.1: expected at least 0"):
        Fusion(models["lstm"], models["language model"], -0.1)
    other = build(ModelConfig(target_vocabulary=V + 1, width=8, **PARTS["language model"]))
    with pytest.raises(UserError, match="fusion: target vocabularies of 12, 13 ids"):
        Fusion(models["lstm"], other, 0.1)
