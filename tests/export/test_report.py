"""What the report says of how an export was verified."""

from pathlib import Path
from typing import Any

import pytest

from keras_s2s.bundle import Decoding
from keras_s2s.data import Pairs
from keras_s2s.export import DEFAULT_DECODING
from keras_s2s.export.measure import Measured
from keras_s2s.export.report import write_report
from keras_s2s.export.request import Request, default_graph
from keras_s2s.export.verification import Questions

GREEDY = DEFAULT_DECODING.replace(strategy="greedy", beam_size=1)
TEXT = Pairs(["ab"] * 5, ["ba"] * 5)


def report(folder: Path, decoding: Decoding, proven: int) -> str:
    measured = [Measured("Keras", {"exact_match": 1.0}, 1.0, 1.0, ["ba"] * 5, proven)]
    compared = {
        "forms": "keras and fp32",
        "decoding": "a search",
        "sentences": 5,
        "near_ties": 0,
        "largest_score_difference": 0.0,
        "largest_margin": 0.0,
        "metric_change": 0.0,
        "proven": proven,
    }
    nobody: Any = None
    request = Request(nobody, nobody, nobody, TEXT, None, ["exact_match"], decoding, ["greedy"], [], None, 256)
    write_report(folder, "toy", request, measured, [compared], {}, {})
    return (folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("decoding", "words"),
    [
        (GREEDY, "the likeliest token of every step"),
        (GREEDY.replace(min_length=2), "the likeliest token of every step"),
        (DEFAULT_DECODING, "every log-probability and score"),
    ],
)
def test_how_outputs_were_proven_follows_the_strategy(tmp_path: Path, decoding: Decoding, words: str) -> None:
    said = report(tmp_path, decoding, 2)
    assert f"Keras searched for 3 sentences; of the other 2 it proved what ONNX fp32 wrote, by {words}, given" in said
    assert "for the others Keras proves what ONNX wrote" in said
    assert "| Keras, by proof |" in said


def test_nothing_is_called_a_proof_where_keras_searched_for_all(tmp_path: Path) -> None:
    said = report(tmp_path, DEFAULT_DECODING, 0)
    assert "Keras searches for all of them, the SavedModel for at most 200 sentences" in said
    assert "prove" not in said
    assert "| Keras |" in said


@pytest.mark.parametrize("decoding", [GREEDY, GREEDY.replace(min_length=2), DEFAULT_DECODING.replace(min_length=2)])
def test_each_question_has_a_title_of_its_own(toy: Any, decoding: Decoding) -> None:
    both, default = (toy.tokenizer, toy.tokenizer), default_graph(decoding)
    graphs = list(dict.fromkeys(["greedy", default]))
    request = Request(toy.model, *both, toy.dev, None, ["exact_match"], decoding, graphs, [], None, 256)
    titles = [check.title for check in Questions.of(request).all]
    assert len(set(titles)) == len(titles)
    if "constrained" in default:
        assert f"{titles[0]}, all options" in titles
