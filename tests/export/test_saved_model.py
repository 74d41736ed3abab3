"""The SavedModel, in a process that knows TensorFlow and tensorflow-text alone."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_s2s.bundle import Decoding, graph_name
from keras_s2s.decoding import INPUTS
from keras_s2s.export import DEFAULT_DECODING
from keras_s2s.export.forms import keras_form, programs_of
from keras_s2s.export.saved_model import save
from keras_s2s.runtime.feeds import Sentence
from keras_s2s.runtime.graph import Candidates
from keras_s2s.special_ids import EOS
from keras_s2s.text import Tokenizer, encode_sources, train

TEXTS = ["abc", "", "edcba", "  ", "a", "dad ", " bead", "cab xyz", "\u00a0", "bbb"]
DECODING = DEFAULT_DECODING.replace(length_penalty=0.6, length_penalty_base=5.0, max_length_extra=3)
GREEDY = DECODING.replace(strategy="greedy", beam_size=1)
LONGEST = 9
STRANGERS = ("keras_s2s", "sentencepiece", "onnx", "onnxruntime")
PROGRAM = (
    f"""
import sys
class Blocker:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in {STRANGERS}:
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
"""
    + """
import json
import tensorflow as tf
import tensorflow_text
loaded = tf.saved_model.load(sys.argv[1])
texts, ids = json.load(sys.stdin)
found = loaded.signatures["serving_default"](text=tf.constant(texts))
beam = loaded.signatures["beam"]
inputs = {
    "source_ids": tf.constant(ids, tf.int32), "max_length_factor": tf.constant(1.0),
    "max_length_extra": tf.constant(3), "length_penalty": tf.constant(1.0),
    "length_penalty_base": tf.constant(0.0), "word_reward": tf.constant(0.0), "beam_size": tf.constant(3),
    "n_best": tf.constant(2), "patience": tf.constant(1.0), "exhaustive": tf.constant(False),
}
greedy = {name: inputs[name] for name in inputs if name not in ("beam_size", "n_best", "patience", "exhaustive")}
greedy = loaded.signatures["greedy"](**greedy, with_scores=tf.constant(True))
encode, step, score = (loaded.signatures[name] for name in ("encode", "step", "score"))
memory, rows, newest = {}, {}, tf.ones((len(ids), 1), tf.int32)
for name, value in encode(source_ids=inputs["source_ids"]).items():
    (memory if name.startswith("memory_") else rows)[name] = value
written, scores = [], []
for _ in range(int(inputs["source_ids"].shape[1]) + 4):
    found_rows = step(ids=newest, **memory, **rows)
    log_p = found_rows.pop("scores")[:, -1]
    rows = found_rows
    newest = tf.argmax(log_p, axis=1, output_type=tf.int32)[:, None]
    written.append(newest)
    scores.append(tf.reduce_max(log_p, axis=1))
by_steps = tf.concat(written, axis=1)
print(json.dumps({
    "greedy": {name: value.numpy().tolist() for name, value in greedy.items()},
    "by_steps": by_steps.numpy().tolist(),
    "step_scores": tf.stack(scores, axis=1).numpy().tolist(),
    "target_scores": score(source_ids=inputs["source_ids"], target_ids=by_steps)["token_scores"].numpy().tolist(),
    "text": [text.decode() for text in found["text"].numpy()],
    "score": found["score"].numpy().tolist(),
    "beam": {name: value.numpy().tolist() for name, value in beam(**inputs).items()},
    "signatures": {name: sorted(f.structured_input_signature[1]) for name, f in loaded.signatures.items()},
    "strangers": [name for name in ("keras_s2s", "sentencepiece", "onnx", "onnxruntime") if name in sys.modules],
}))
"""
)


GRAPHS = ("greedy", "beam", "score")


def saved(
    toy: Any, path: Path, graphs: Sequence[str] = GRAPHS, decoding: Decoding = DECODING, source: Tokenizer | None = None
) -> Path:
    programs = programs_of(toy.model, graphs, groups=1)
    default = graph_name(decoding.strategy, decoding.features)
    save(toy.model, programs, default, source or toy.tokenizer, toy.tokenizer, decoding, LONGEST, path)
    return path


@pytest.fixture(scope="module")
def path(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(toy, tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def found(toy: Any, path: Path) -> dict[str, Any]:
    """What a fresh process found."""
    questions = json.dumps([TEXTS, encode_sources(["abc", "de"], toy.tokenizer).tolist()])
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, path], input=questions, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def in_keras(toy: Any, texts: list[str], decoding: Decoding) -> list[Candidates]:
    return toy.in_keras("beam").search("beam", [Sentence([*ids, EOS]) for ids in toy.tokenizer.encode(texts)], decoding)


def test_text_in_text_out(toy: Any, found: dict[str, Any]) -> None:
    filled = [text for text in TEXTS if text.strip()]
    expected = [best for best, *_ in in_keras(toy, filled, DECODING)]
    texts = toy.tokenizer.decode([best.tokens for best in expected])
    assert len(set(texts)) > 4
    assert [text for text, source in zip(found["text"], TEXTS, strict=True) if source.strip()] == texts
    scores = [score for score, source in zip(found["score"], TEXTS, strict=True) if source.strip()]
    np.testing.assert_allclose(scores, [best.score for best in expected], atol=1e-4)


def test_a_blank_text_gives_an_empty_one(found: dict[str, Any]) -> None:
    answers = zip(TEXTS, found["text"], found["score"], strict=True)
    blank = [(text, score) for source, text, score in answers if not source.strip()]
    assert blank == [("", 0.0)] * 3


def test_it_needs_tensorflow_alone_and_says_how_to_be_called(found: dict[str, Any]) -> None:
    assert found["strangers"] == []
    programs = {name: sorted(["source_ids", *INPUTS[name]]) for name in GRAPHS}
    state = ["memory_keys", "memory_mask", "memory_values", "rows_cell_0", "rows_hidden_0", "rows_position"]
    steps = {"encode": ["source_ids"], "step": ["ids", *state]}
    assert found["signatures"] == {"serving_default": ["text"], **programs, **steps}


def test_encode_and_step_drive_a_search_of_ones_own(found: dict[str, Any]) -> None:
    greedy = found["greedy"]
    assert len(greedy["lengths"]) > 1
    names = ("tokens", "lengths", "token_scores")
    results = zip(*(greedy[name] for name in names), found["by_steps"], found["step_scores"], strict=True)
    for (tokens,), (length,), (scores,), written, log_p in results:
        assert length > 0
        assert written[: length + 1] == [*tokens[:length], EOS]
        np.testing.assert_allclose(log_p[: length + 1], scores[: length + 1], atol=1e-4)


def test_what_is_scored_has_the_scores_of_the_steps(found: dict[str, Any]) -> None:
    assert np.shape(found["target_scores"]) == np.shape(found["step_scores"])
    np.testing.assert_allclose(found["target_scores"], found["step_scores"], atol=1e-4)


def test_ids_to_ids(toy: Any, found: dict[str, Any]) -> None:
    options: dict[str, float] = {"max_length_factor": 1.0, "length_penalty": 1.0, "length_penalty_base": 0.0}
    expected = in_keras(toy, ["abc", "de"], DECODING.replace(**options, beam_size=3, n_best=2))
    beam = found["beam"]
    for row, candidates in enumerate(expected):
        for n, candidate in enumerate(candidates):
            assert beam["tokens"][row][n][: beam["lengths"][row][n]] == list(candidate.tokens)
            np.testing.assert_allclose(beam["scores"][row][n], candidate.score, atol=1e-4)


def answers(path: Path, texts: list[str]) -> tuple[list[str], list[float]]:
    found = tf.saved_model.load(str(path)).signatures["serving_default"](text=tf.constant(texts))
    return [text.decode() for text in found["text"].numpy()], found["score"].numpy().tolist()


def test_a_text_that_is_too_long_is_truncated(path: Path) -> None:
    (long, cut, fitting), _ = answers(path, ["abcdeabcde", "abcdeabc", "abcdeab"])
    assert long == cut
    assert cut != fitting


def test_blank_is_what_python_calls_space(toy: Any, path: Path) -> None:
    spaces = [chr(code) for code in range(0x3100) if chr(code).isspace()]
    others = ["\u200b", "\u2060", "_", "\u00a0a"]
    assert len(spaces) > 20
    # This tokenizer keeps most of them.
    assert sum(map(bool, toy.tokenizer.encode(spaces))) > 20
    texts, scores = answers(path, [*spaces, "".join(spaces), *others])
    assert set(texts[: -len(others)]) == {""}
    assert not any(scores[: -len(others)])
    assert all(scores[-len(others) :])


def test_a_text_that_the_tokenizer_drops_is_blank(toy: Any, tmp_path: Path) -> None:
    source = train(["abcde"], 40, kind="char", normalization="nmt_nfkc")
    assert source.encode(["\u200b\x01", "\u200ba"])[0] == []
    texts, scores = answers(saved(toy, tmp_path / "model", ["greedy"], GREEDY, source), ["\u200b\x01", "\u200ba"])
    assert (texts[0], scores[0]) == ("", 0.0)
    assert scores[1] != 0


def test_defaults_with_constraints(toy: Any, path: Path, tmp_path: Path) -> None:
    decoding = GREEDY.replace(suppress=("a",), min_length=3)
    constrained = saved(toy, tmp_path / "model", ["greedy-constrained"], decoding)
    texts, _ = answers(constrained, ["abc", "a", "e"])
    assert not any("a" in text for text in texts)
    assert all(len(text) >= 3 for text in texts)
    assert "a" in answers(path, ["abc"])[0][0]


def test_an_encoder_is_traced_once_for_all_signatures_and_for_keras(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, traced = type(toy.model.encoder), list[str]()
    call = encoder.call

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        traced.append(self.name)
        return call(self, *given, **named)

    monkeypatch.setattr(encoder, "call", counted)
    programs = programs_of(toy.model, GRAPHS, groups=1)
    save(toy.model, programs, "beam", toy.tokenizer, toy.tokenizer, DECODING, LONGEST, tmp_path / "saved_model")
    keras_form(programs, toy.tokenizer.vocabulary_size).search("greedy", [Sentence([5, EOS])], GREEDY)
    assert traced == [toy.model.encoder.name]
