import json
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_s2s import text


@pytest.fixture
def texts(tmp_path: Path) -> list[object]:
    """Of these four sentences the bundle, which repeats its source, gets three right."""
    (tmp_path / "source").write_text("abc d e f\nabc\n\nde\n")
    (tmp_path / "reference").write_text("abc d e f\nabd\n\nde\n")
    return ["--source", tmp_path / "source", "--reference", tmp_path / "reference", "--precision", "fp32"]


def test_json(command: Callable, echo_bundle: Path, texts: list[object], tmp_path: Path) -> None:
    code, out, err = command("evaluate", echo_bundle, *texts, "--json", "--output", tmp_path / "out")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert list(result["metrics"]) == ["bleu", "exact_match"]
    assert result["metrics"]["exact_match"] == 75
    assert list(result["signatures"]) == ["bleu"]
    assert "tok:13a" in result["signatures"]["bleu"]
    expected = {"bundle": str(echo_bundle), "name": "echo", "precision": "fp32", "beam_size": 4, "sentences": 4}
    assert expected.items() <= result.items()
    assert result["seconds"] > 0
    assert result["sentences_per_second"] == pytest.approx(4 / result["seconds"], rel=0.2)
    assert (tmp_path / "out").read_bytes() == b"abc d e f\nabc\n\nde\n"


def test_a_table(command: Callable, echo_bundle: Path, texts: list[object]) -> None:
    options = ["--metric", "exact_match", "--metric", "chrf", "--beam-size", "1"]
    code, out, err = command("evaluate", echo_bundle, *texts, *options)
    assert (code, err) == (0, "")
    assert out.startswith("echo, fp32, greedy: 4 sentences in ")
    rows = [line.split() for line in out.splitlines()]
    assert ["exact_match", "75.00"] in rows
    assert [row[0] for row in rows if row][-2:] == ["exact_match", "chrf"]
    assert "\x1b" not in out


def test_the_best_by_minimum_bayes_risk_is_measured(
    command: Callable, many_graphs_bundle: Path, texts: list[object]
) -> None:
    # Of three samples the first lacks its last token, and the others are the source.
    options = ["--strategy", "sample", "--n-best", "3", "--json"]
    first = json.loads(command("evaluate", many_graphs_bundle, *texts, *options)[1])
    assert first["metrics"]["exact_match"] == 25
    chosen = json.loads(command("evaluate", many_graphs_bundle, *texts, *options, "--mbr", "exact_match")[1])
    assert chosen["metrics"]["exact_match"] == 75
    expected = {"strategy": "sample", "beam_size": 1, "n_best": 3, "mbr": "exact_match"}
    assert expected.items() <= chosen.items()
    code, out, _ = command("evaluate", many_graphs_bundle, *texts, *options[:-1], "--mbr", "exact_match")
    assert code == 0
    assert out.startswith("echo, fp32, sample, exact_match among 3: 4 sentences in ")


def test_perplexity_is_that_of_score(command: Callable, many_graphs_bundle: Path, texts: list[object]) -> None:
    options = ["--metric", "perplexity", "--metric", "cer", "--json"]
    found = json.loads(command("evaluate", many_graphs_bundle, *texts, *options)[1])
    scored = json.loads(command("score", many_graphs_bundle, *texts, "--json")[1])
    assert list(found["metrics"]) == ["perplexity", "cer"]
    assert found["metrics"]["perplexity"] == scored["perplexity"]
    assert list(found["signatures"]) == []


def test_values_by_length(command: Callable, many_graphs_bundle: Path, tmp_path: Path) -> None:
    # The bundle repeats its source: all of the short ones are right, and none of the long ones.
    (tmp_path / "source").write_text("a\n" * 12 + "abc def\n" * 18)
    (tmp_path / "reference").write_text("a\n" * 12 + "abc dee\n" * 18)
    texts = ["--source", tmp_path / "source", "--reference", tmp_path / "reference", "--precision", "fp32"]
    options = ["--metric", "exact_match", "--metric", "perplexity", "--by-length"]
    found = json.loads(command("evaluate", many_graphs_bundle, *texts, *options, "--json")[1])
    short, long = found["by_length"]
    assert (short["sentences"], long["sentences"]) == (12, 18)
    assert (short["metrics"]["exact_match"], long["metrics"]["exact_match"]) == (100, 0)
    assert found["metrics"]["exact_match"] == 40
    perplexities = [part["metrics"]["perplexity"] for part in (short, found, long)]
    assert perplexities[0] != perplexities[2]
    assert min(perplexities) < perplexities[1] < max(perplexities)
    tokens = [
        len(text.Tokenizer.load(many_graphs_bundle / "source.model").encode([s])[0]) + 1 for s in ("a", "abc def")
    ]
    assert [short["source_tokens"], long["source_tokens"]] == [[count, count] for count in tokens]
    code, out, _ = command("evaluate", many_graphs_bundle, *texts, *options)
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["source", "tokens", "sentences", "exact_match", "perplexity"] in rows
    assert [str(tokens[0]), "12", "100.00", f"{perplexities[0]:.2f}"] in rows


def test_metrics_are_by_default_those_of_the_export(
    command: Callable, edited_bundle: Callable, texts: list[object]
) -> None:
    measured = {"chrf": 90.0, "exact_match": 80.0}
    path = edited_bundle(metrics={"split": "test", "Keras": measured, "ONNX fp32": measured})
    _, out, _ = command("evaluate", path, *texts, "--json")
    assert list(json.loads(out)["metrics"]) == ["chrf", "exact_match"]


def test_source_and_reference_of_different_lengths(
    command: Callable, echo_bundle: Path, texts: list[object], tmp_path: Path
) -> None:
    (tmp_path / "reference").write_text("abc\n")
    code, out, err = command("evaluate", echo_bundle, *texts)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{tmp_path / 'source'} has 4 lines and {tmp_path / 'reference'} has 1" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "blue"], "metrics: blue: unknown metric; did you mean 'bleu'?"),
        (["--beam-size", "0"], "'--beam-size': "),
        (["--mbr", "chrf"], "--mbr: chooses among several hypotheses; say how many with --n-best"),
        (["--strategy", "sample"], "no graph 'sample' in fp32"),
        (["--source", "nowhere"], "nowhere: cannot be read: No such file or directory; check the name"),
        (["--output", "nowhere/out"], "nowhere/out: cannot be written: No such file or directory"),
        (["--beam-size", "2", "--n-best", "3"], "evaluate: n_best: expected at most the beam size, 2, got 3"),
        (["--temperature", "2"], "evaluate: temperature: strategy 'beam' does not look at it"),
        (["--metric", "perplexity"], "no graph 'score' in fp32"),
    ],
)
def test_mistakes(command: Callable, echo_bundle: Path, texts: list[object], options: list[str], message: str) -> None:
    code, out, err = command("evaluate", echo_bundle, *texts, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_an_output_that_cannot_be_written_is_known_before_the_work(
    command: Callable, echo_bundle: Path, texts: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*arguments: object, **options: object) -> None:
        raise AssertionError("it worked before it looked")

    monkeypatch.setattr("keras_s2s.runtime.Generator.stream", work)
    code, _, err = command("evaluate", echo_bundle, *texts, "--output", "nowhere/out")
    assert (code, err.count("\n")) == (2, 1)
    assert "nowhere/out: cannot be written" in err
