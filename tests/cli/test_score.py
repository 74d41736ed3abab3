import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_s2s import text


@pytest.fixture
def texts(tmp_path: Path) -> list[object]:
    """Two sources and two references, one of them empty."""
    (tmp_path / "source").write_text("abc\nde\n")
    (tmp_path / "reference").write_text("ab\n\n")
    return ["--source", tmp_path / "source", "--reference", tmp_path / "reference", "--precision", "fp32"]


@pytest.fixture
def expected(many_graphs_bundle: Path) -> list[list[float]]:
    """What the graph of this bundle says of the references: a tenth of each id, negated; 2 is the end."""
    [ids] = text.Tokenizer.load(many_graphs_bundle / "source.model").encode(["ab"])
    return [[-0.1 * id for id in (*ids, 2)], [-0.2]]


def test_a_line_for_each_and_a_summary(
    process: Callable, many_graphs_bundle: Path, texts: list[object], expected: list[list[float]]
) -> None:
    done = process("score", many_graphs_bundle, *texts)
    assert done.returncode == 0
    sums = [sum(scores) for scores in expected]
    lines = [f"{sums[0]:.6f}\t{math.exp(-sums[0] / 3):.6f}", f"{sums[1]:.6f}\t{math.exp(0.2):.6f}"]
    assert done.stdout.decode().splitlines() == lines
    assert done.stderr.decode() == f"2 sentences, 4 tokens, perplexity {math.exp(-sum(sums) / 4):.4f}\n"


def test_json(command: Callable, many_graphs_bundle: Path, texts: list[object], expected: list[list[float]]) -> None:
    code, out, err = command("score", many_graphs_bundle, *texts, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert (result["bundle"], result["precision"]) == (str(many_graphs_bundle), "fp32")
    assert (result["sentences"], result["tokens"]) == (2, 4)
    assert [line["token_scores"] for line in result["lines"]] == [pytest.approx(scores) for scores in expected]
    assert result["log_probability"] == pytest.approx(sum(map(sum, expected)))
    assert result["perplexity"] == pytest.approx(math.exp(-result["log_probability"] / 4))


def test_a_bundle_that_cannot_score(command: Callable, echo_bundle: Path, texts: list[object]) -> None:
    code, out, err = command("score", echo_bundle, *texts)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no graph 'score' in fp32, which has greedy, beam; export the bundle with 'score'" in err


def test_other_numbers_of_lines(
    command: Callable, many_graphs_bundle: Path, texts: list[object], tmp_path: Path
) -> None:
    (tmp_path / "reference").write_text("ab\n")
    code, out, err = command("score", many_graphs_bundle, *texts)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "source has 2 lines" in err
