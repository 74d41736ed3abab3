"""`/v1/generate` and `/v1/score` of a real server: they say what a generator says."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest

from keras_s2s.runtime import Generator

Texts = Callable[..., list[str]]


def events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """The server-sent events of an answer."""
    for block in response.text.strip().split("\n\n"):
        kind, data = block.split("\n")
        yield kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beam_size": 1},
        {"beam_size": 3, "n_best": 3, "length_penalty": 0.6, "length_penalty_base": 5.0},
        {"min_length": 4, "no_repeat_ngram": 2, "suppress": ["ab"], "allow_unknown": False},
        {"strategy": "sample", "n_best": 4, "temperature": 0.7, "seed": 9},
        {"max_length_factor": 0.5, "max_length_extra": 2},
    ],
)
def test_it_says_what_a_generator_says(server: Any, generator: Generator, texts: Texts, options: Any) -> None:
    some = texts(20, seed=3)
    assert "" in some
    answer = server.post("/v1/generate", {"text": some, "tokens": True, "token_scores": True, **options}).json()
    assert answer["model"] == "stepwise"
    expected = generator(some, **options)
    assert len({len(best.tokens) for best, *_ in expected}) > 4 or "max_length_extra" in options
    for result, hypotheses in zip(answer["results"], expected, strict=True):
        assert [one["text"] for one in result["hypotheses"]] == [one.text for one in hypotheses]
        assert [one["tokens"] for one in result["hypotheses"]] == [list(one.tokens) for one in hypotheses]
        for ours, theirs in zip(result["hypotheses"], hypotheses, strict=True):
            assert ours["score"] == pytest.approx(theirs.score, abs=1e-2)
            assert ours["token_scores"] == pytest.approx(theirs.token_scores, abs=1e-1)


def test_one_text_and_only_what_was_asked_for(server: Any, generator: Generator) -> None:
    answer = server.post("/v1/generate", {"text": "hello 12"}).json()
    (result,) = answer["results"]
    (hypothesis,) = result["hypotheses"]
    assert set(hypothesis) == {"text", "score", "finished"}
    (best,) = generator(["hello 12"])[0]
    assert (hypothesis["text"], hypothesis["finished"]) == (best.text, best.finished)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_who_wants_no_scores_gets_none(server: Any, generator: Generator, texts: Texts, beam_size: int) -> None:
    some, options = texts(12, seed=4), {"beam_size": beam_size, "scores": False}
    answer = server.post("/v1/generate", {"text": some, **options}).json()
    found = [hypothesis for result in answer["results"] for hypothesis in result["hypotheses"]]
    assert {frozenset(one) for one in found} == {frozenset({"text", "finished"})}
    assert [one["text"] for one in found] == [best.text for (best,) in generator(some, beam_size=beam_size)]


def test_scores_of_tokens_are_not_given_without_scores(server: Any) -> None:
    answer = server.post("/v1/generate", {"text": "abc", "scores": False, "token_scores": True})
    assert answer.status_code == 422
    assert answer.json() == {"error": "token_scores: not without scores; leave out one of both"}


def test_prefixes(server: Any, generator: Generator) -> None:
    some, begins = ["abc", "hello", ""], ["xy", "", "q"]
    answer = server.post("/v1/generate", {"text": some, "prefix": begins}).json()
    found = [result["hypotheses"][0]["text"] for result in answer["results"]]
    assert found == [best.text for best, *_ in generator(some, prefix=begins)]
    assert found[0].startswith("xy")
    one = server.post("/v1/generate", {"text": "abc", "prefix": "xy"}).json()
    assert one["results"] == answer["results"][:1]


def test_what_was_cut_is_told(server: Any, generator: Generator, texts: Texts) -> None:
    some = [text for text in texts(16, seed=8) if text]
    seen = set()
    for options in ({"beam_size": 1}, {}, {"strategy": "sample", "seed": 3}):
        limited = {"max_length_factor": 0, "max_length_extra": 8, **options}
        answer = server.post("/v1/generate", {"text": some, **limited}).json()
        told = [result["hypotheses"][0]["finished"] for result in answer["results"]]
        assert told == [best.finished for best, *_ in generator(some, **limited)]
        response = server.post("/v1/generate", {"text": some, **limited, "stream": True})
        events_told = {d["index"]: d["hypotheses"][0]["finished"] for kind, d in events(response) if kind == "result"}
        assert [events_told[index] for index in range(len(some))] == told
        seen |= set(told)
    assert seen == {False, True}
    assert server.post("/v1/generate", {"text": ""}).json()["results"][0]["hypotheses"][0]["finished"] is True


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"prefix": ["a", "DAS"]},
            "text 2: prefix 'DAS': the target vocabulary cannot write 'D' (U+0044) there; leave it out, or write it as "
            "the model's outputs do",
        ),
        (
            {"suppress": [" ⁇ "]},
            "suppress: ' ⁇ ': the target vocabulary cannot write '⁇' (U+2047), so no output has it; leave it out",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(server: Any, asked: dict[str, Any], message: str, stream: bool) -> None:
    answer = server.post("/v1/generate", {"text": ["abc", "de"], "stream": stream, **asked})
    assert (answer.status_code, answer.json()) == (422, {"error": message})


def test_a_space_at_the_end_of_a_prefix_is_written(server: Any) -> None:
    answer = server.post("/v1/generate", {"text": ["abc", "de"], "prefix": ["x ", "x y "]}).json()
    first, second = (result["hypotheses"][0]["text"] for result in answer["results"])
    assert first.startswith("x ") and second.startswith("x y ")


def test_alignments(server: Any, generator: Generator) -> None:
    answer = server.post("/v1/generate", {"text": "hello 12", "alignment": True}).json()
    alignment = answer["results"][0]["hypotheses"][0]["alignment"]
    (best,) = generator(["hello 12"], alignment=True)[0]
    assert alignment["source"] == generator.source_pieces("hello 12")
    assert len(alignment["target"]) == len(best.tokens) + 1
    np.testing.assert_allclose(alignment["weights"], best.alignment, atol=1e-3)


def test_a_stream_tells_what_was_written_so_far(server: Any, generator: Generator, texts: Texts) -> None:
    """Only the newest of a text is told, so on a busy machine all may be written before anything can be told."""
    some = texts(6, seed=5)
    expected = dict(enumerate(best.text for best, *_ in generator(some, beam_size=1)))
    written: list[tuple[int, str]] = []
    for _ in range(100):
        response = server.post("/v1/generate", {"text": some, "beam_size": 1, "stream": True})
        assert response.headers["content-type"].startswith("text/event-stream")
        *told, (last, _) = events(response)
        assert last == "end"
        results = {data["index"]: data["hypotheses"][0]["text"] for kind, data in told if kind == "result"}
        assert results == expected
        written = [(data["index"], data["text"]) for kind, data in told if kind == "written"]
        for index, text in expected.items():
            begins = [begin for one, begin in written if one == index]
            assert all(text.startswith(begin) for begin in begins)
            assert sorted(begins, key=len) == begins
        if len(written) > 3:
            break
    assert len(written) > 3


def test_a_stream_of_what_has_no_steps(server: Any) -> None:
    response = server.post("/v1/generate", {"text": "abc", "strategy": "sample", "stream": True})
    assert [kind for kind, _ in events(response)] == ["result", "end"]


def test_scores(server: Any, generator: Generator, texts: Texts) -> None:
    sources, targets = texts(20, seed=6), texts(20, seed=7)
    answer = server.post("/v1/score", {"source": sources, "target": targets}).json()
    for ours, theirs in zip(answer["results"], generator.score(sources, targets), strict=True):
        assert ours["log_probability"] == pytest.approx(theirs.log_probability, abs=1e-3)
        assert ours["perplexity"] == pytest.approx(theirs.perplexity, rel=1e-3)
        assert ours["token_scores"] == pytest.approx(theirs.token_scores, abs=1e-3)


def test_models_and_their_cards(server: Any) -> None:
    (entry,) = server.get("/v1/models").json()["models"]
    assert entry["name"] == "stepwise"
    assert entry["graphs"]["beam"] == "as it is written"
    assert entry["graphs"]["sample"] == "when it is done"
    card = server.get("/v1/models/stepwise").json()
    assert card["metrics"] == {"test": {"bleu": 1.0}}
    assert card["limits"] == {"max_source_tokens": 40}
    assert entry.items() <= card.items()
    assert server.get("/v1/models/other").status_code == 404


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "text: this key is required"),
    ({"text": 5}, 422, "text: Input should be a valid string, got 5"),
    ({"text": []}, 422, "text: List should have at least 1 item"),
    ({"text": "a", "beamsize": 3}, 422, "beamsize: unknown key; did you mean 'beam_size'?"),
    ({"text": "a", "beam_size": 0}, 422, "beam_size: Input should be greater than or equal to 1, got 0"),
    ({"text": "a", "max_length_extra": -1}, 422, "max_length_extra"),
    ({"text": "a", "beam_size": 17}, 422, "at most 16 are taken"),
    ({"text": "a", "n_best": 5}, 422, "n_best: expected at most the beam size, 4, got 5"),
    ({"text": "a", "strategy": "sample", "n_best": 17}, 422, "at most 16 are taken"),
    ({"text": "a", "strategy": "diverse"}, 422, "stepwise: no graph 'diverse' in int8"),
    ({"text": "a", "temperature": 2.0}, 422, "strategy 'beam' does not look at it"),
    ({"text": "a", "max_length_extra": 1000}, 422, "up to 1003 tokens could come out, at most 1000 are taken"),
    ({"text": ["a", "b"], "prefix": ["c"]}, 422, "1 prefixes for 2 texts"),
    ({"text": "a" * 50}, 422, "text 1: 51 source tokens with its end, at most 40 are allowed"),
    ({"text": ["a"] * 65}, 413, "65 texts, at most 64 are taken"),
    ({"text": "a", "model": "other"}, 404, "no 'other'; this server has stepwise"),
    ({"text": "a", "timeout": 0}, 422, "timeout"),
]


@pytest.mark.parametrize(("body", "status", "why"), REFUSED)
def test_what_is_refused_is_told_in_one_line(server: Any, body: Any, status: int, why: str) -> None:
    response = server.post("/v1/generate", body)
    assert response.status_code == status
    assert why in response.json()["error"]
    assert len(response.json()["error"].splitlines()) == 1


def test_scores_that_are_refused(server: Any) -> None:
    for body, why in (
        ({"source": ["a"], "target": ["b", "c"]}, "1 sources and 2 targets"),
        ({"source": "a" * 50, "target": "b"}, "text 1: 51 source tokens"),
        ({"source": "a", "target": "b" * 1001}, "target: 1002 tokens, at most 1000"),
    ):
        response = server.post("/v1/score", body)
        assert (response.status_code, why in response.json()["error"]) == (422, True), response.text
