"""Scores by bundles: the formula, who stays, the inputs. A token's log-probability is here -0.1 times its id."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_s2s import bundle, text
from keras_s2s.data import PIECES, Pairs, preprocess
from keras_s2s.errors import UserError
from keras_s2s.recipe import score_piece
from keras_s2s.recipe.score_piece import Score
from keras_s2s.testing import check_piece

PAIRS = Pairs(["a", "hello", "one two", "z z", "", "a"], ["b", "eh", "three", "", "abc", "b"], [1, 2, 3, 4, 5, 6])


@pytest.fixture
def options(many_graphs_bundle: Path) -> dict[str, Any]:
    return {"kind": "score", "forward": str(many_graphs_bundle), "precision": "fp32"}


def entropies(path: Path, texts: list[str]) -> list[float]:
    """A tenth of each id, the end's is 2."""
    rows = text.Tokenizer.load(path / "source.model").encode(texts)
    return [float(np.mean([*row, 2])) / 10 for row in rows]


def test_the_score_is_dual_conditional_cross_entropy(many_graphs_bundle: Path, options: dict[str, Any]) -> None:
    forward = entropies(many_graphs_bundle, list(PAIRS.targets))
    backward = entropies(many_graphs_bundle, list(PAIRS.sources))
    alone = Score(**options, minimum=0.5).signatures(PAIRS)
    assert alone == pytest.approx([math.exp(-h) for h in forward], rel=1e-5)
    dual = Score(**options, backward=str(many_graphs_bundle), minimum=0.5).signatures(PAIRS)
    both = [math.exp(-(abs(f - b) + (f + b) / 2)) for f, b in zip(forward, backward, strict=True)]
    assert dual == pytest.approx(both, rel=1e-5)
    assert 0 < dual.min() < dual.max() <= 1
    assert dual.dtype == np.float32


def test_a_minimum_is_reached_or_not(options: dict[str, Any]) -> None:
    scores = Score(**options, minimum=0.5).signatures(PAIRS)
    limit = float(np.sort(scores)[2])
    left, [found] = preprocess(PAIRS, [Score(**options, minimum=limit)])
    assert left.weights == [w for w, score in zip(PAIRS.weights or (), scores, strict=True) if score >= limit]
    assert (len(left), found.count, found.reason) == (4, 2, f"score under {limit:g}")


@pytest.mark.parametrize(
    ("scores", "best", "kept"),
    [
        ([0.1, 0.4, 0.2, 0.3], 0.5, [1, 3]),
        ([0.1, 0.4, 0.2, 0.3], 1, [0, 1, 2, 3]),
        ([0.5, 0.2, 0.5, 0.5, 0.9], 0.6, [0, 2, 4]),
        ([0.5] * 30, 0.1, [0, 1, 2]),
        ([0.5, 0.1], 0.1, []),
        ([], 0.5, []),
    ],
)
def test_the_best_share_stays(options: dict[str, Any], scores: list[float], best: float, kept: list[int]) -> None:
    piece = Score(**options, best=best)
    assert np.flatnonzero(piece.kept(np.array(scores, np.float32))).tolist() == kept
    assert piece.reason == f"not of the {100 * best:g}% with the highest scores"


@pytest.mark.parametrize("limit", [{"minimum": 0.3}, {"best": 0.5}])
def test_its_contract(options: dict[str, Any], limit: dict[str, float]) -> None:
    pairs = Pairs(PAIRS.sources * 2, PAIRS.targets * 2)  # type: ignore[operator]
    check_piece({**options, "backward": options["forward"], **limit}, pairs)


def test_the_bundles_are_inputs(options: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(options["forward"], tmp_path / "other")
    both = Score(**options, backward=str(tmp_path / "other"), best=0.5)
    inputs = both.inputs()
    assert list(inputs) == [f"the bundle {options['forward']}", f"the bundle {tmp_path / 'other'}"]
    assert len(set(inputs.values())) == 1
    manifest = bundle.read(tmp_path / "other").manifest
    (tmp_path / "other" / "onnx/fp32/weights.bin").write_bytes(b"1234")
    changed = {"onnx/fp32/weights.bin": bundle.sha256(tmp_path / "other" / "onnx/fp32/weights.bin")}
    bundle.write(tmp_path / "other", manifest.model_copy(update={"files": changed, "created": "2030-01-01"}))
    assert len(set(both.inputs().values())) == 2
    assert PIECES.parse({"kind": "duplicates"}).inputs() == {}


def test_a_bundle_is_loaded_once(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from keras_s2s import runtime

    score_piece._generator.cache_clear()
    loads = []
    load = runtime.Generator.load
    monkeypatch.setattr(runtime.Generator, "load", lambda *args, **names: loads.append(args) or load(*args, **names))
    piece = Score(**options, backward=str(Path(options["forward"]) / "." / "../many"), minimum=0.5)
    for _ in range(3):
        piece.signatures(PAIRS)
    assert len(loads) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "score: Score: expected either 'minimum', a score, or 'best', a share of the corpus"),
        ({"minimum": 0.5, "best": 0.5}, "score: Score: expected either 'minimum', a score, or 'best'"),
        ({"best": 1.5}, "score: best: Input should be less than or equal to 1, got 1.5"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], changes: dict[str, float], message: str) -> None:
    with pytest.raises(UserError) as error:
        PIECES.parse({**options, **changes})
    assert str(error.value).startswith(message)


def test_a_bundle_that_cannot_score(echo_bundle: Path, tmp_path: Path) -> None:
    piece = Score(forward=str(echo_bundle), precision="fp32", best=0.5)
    for ask in (piece.inputs, lambda: piece.signatures(PAIRS)):
        with pytest.raises(UserError, match="no graph 'score' in fp32"):
            ask()
    absent = Score(forward=str(tmp_path / "absent"), best=0.5)
    for ask in (absent.inputs, lambda: absent.signatures(PAIRS)):
        with pytest.raises(UserError, match="absent: no such folder; expected a bundle"):
            ask()
