import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_s2s import text
from keras_s2s.evaluation import METRICS


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


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_no_name_and_no_value_is_cut_in_a_narrow_terminal(
    command: Callable, many_graphs_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    (tmp_path / "source").write_text("abc d e f\n" * 12 + "abc def\n" * 18)
    texts = ["--source", tmp_path / "source", "--reference", tmp_path / "source", "--precision", "fp32"]
    names = ["bleu_tokenized", "exact_match", "chrf", "rougeL", "bleu_ja_mecab", "ter_asian", "wer", "perplexity"]
    options = [option for name in names for option in ("--metric", name)]
    code, out, _ = command("evaluate", many_graphs_bundle, *texts, *options, "--by-length")
    assert code == 0
    assert "…" not in out
    found = json.loads(command("evaluate", many_graphs_bundle, *texts, *options, "--by-length", "--json")[1])
    lines = out.splitlines()
    rows = [line.split() for line in lines]
    for name, value in found["metrics"].items():
        assert [name, f"{value:.2f}"] in rows
    assert ["source", "tokens", "sentences", *names] in rows
    assert len(found["by_length"]) == 2
    for bucket in found["by_length"]:
        values = [f"{value:.2f}" for value in bucket["metrics"].values()]
        assert [str(bucket["source_tokens"][0]), str(bucket["sentences"]), *values] in rows
    # Each signature has a line of its own, in front of the tables.
    assert lines[2:7] == [*(f"{name}: {text}" for name, text in found["signatures"].items()), ""]
    assert set(found["signatures"]) == {"bleu_tokenized", "chrf", "bleu_ja_mecab", "ter_asian"}


def test_a_terminal_of_forty_columns(echo_bundle: Path, texts: list[object]) -> None:
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 40))
    command = [sys.executable, "-m", "keras_s2s.cli", "evaluate", str(echo_bundle), *map(str, texts)]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    done = subprocess.Popen(command, stdout=terminal, stderr=subprocess.PIPE, env={**environment, "TERM": "xterm"})
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so when the other end is closed.
        while part := os.read(controller, 65536):
            shown += part
    os.close(controller)
    assert (done.communicate()[1], done.returncode) == (b"", 0)
    rows = [line.split() for line in re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()]
    assert ["exact_match", "75.00"] in rows
    assert "…" not in shown.decode()


def test_references_without_spaces_are_told_once(command: Callable, echo_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("a\nb\n")
    (tmp_path / "reference").write_text("我喜欢猫。\n今天天气很好。\n", encoding="utf-8")
    texts = ["--source", tmp_path / "source", "--reference", tmp_path / "reference", "--precision", "fp32"]
    code, out, err = command("evaluate", echo_bundle, *texts, "--metric", "bleu", "--metric", "wer", "--json")
    assert code == 0
    assert list(json.loads(out)["metrics"]) == ["bleu", "wer"]
    assert err == (
        "keras-s2s: the references have no spaces between words (Chinese), and bleu and wer compare words; "
        "take bleu_zh or chrf in place of bleu, cer in place of wer\n"
    )
    assert command("evaluate", echo_bundle, *texts, "--metric", "bleu_zh", "--metric", "chrf")[2] == ""


def test_the_help_names_all_metrics(command: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    words = set(re.findall(r"\w+", command("evaluate", "--help")[1]))
    assert {*METRICS, "perplexity"} <= words


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
