"""`keras-s2s quantize`: the table, the JSON, the line for a mistake."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

TEXTS = "abc d e f\nthe quick brown fox\njumps over\na lazy dog 42\n"


@pytest.fixture
def texts(tmp_path: Path) -> list[str]:
    (tmp_path / "texts").write_text(TEXTS)
    return ["--source", str(tmp_path / "texts"), "--reference", str(tmp_path / "texts")]


def test_json(command: Callable, layers_bundle: Path, texts: list[str]) -> None:
    code, out, _ = command("quantize", layers_bundle, *texts, "--to", "int8", "--max-loss", "exact_match 1", "--json")
    assert code == 0
    result = json.loads(out)
    assert (result["name"], result["metric"], result["sentences"]) == ("echo", "exact_match", 4)
    exact, int8 = result["variants"]
    assert (exact["name"], exact["value"]) == ("fp32", 100)
    assert (int8["name"], int8["value"], int8["kept"]) == ("int8", 100, ["encoder/block_1"])


def test_a_table_of_a_narrow_terminal(
    process: Callable, layers_bundle: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = process("quantize", layers_bundle, *texts, "--to", "fp16", "--part", "encoder=fp32")
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "echo"
    assert lines[2].split()[:3] == ["format", "exact", "match"]
    assert [line.split()[:2] for line in lines[3:]] == [["fp32", "100.00"], ["fp16", "100.00"]]


def test_references_without_spaces_are_told(
    command: Callable, layers_bundle: Path, texts: list[str], tmp_path: Path
) -> None:
    (tmp_path / "chinese").write_text("我喜欢猫。\n" * 4, encoding="utf-8")
    options = ["--reference", tmp_path / "chinese", "--metric", "bleu", "--to", "int9"]
    _, _, err = command("quantize", layers_bundle, *texts, *options)
    expected = "(Chinese), and bleu compares words; take bleu_zh or chrf in place of bleu"
    assert err.splitlines()[-2] == f"keras-s2s: the references have no spaces between words {expected}"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--to", "int9"], "keras-s2s: quantize: no variant 'int9'; there are int8, "),
        (["--part", "output"], "keras-s2s: quantize: --part output: expected PART=NAME, such as output=fp32"),
        (
            ["--max-loss", "bleu"],
            'keras-s2s: quantize: --max-loss "bleu": expected a metric and a number, such as "bleu 0.3"',
        ),
        (["--max-loss", "bleu -1"], 'keras-s2s: quantize: --max-loss "bleu -1": expected a metric and a number'),
        (["--max-loss", "bleu 1", "--metric", "chrf"], "keras-s2s: quantize: --metric chrf and --max-loss in bleu; "),
        (["--calibration", "max"], "keras-s2s: quantize: no calibration 'max'; there are mse, percentile"),
    ],
)
def test_mistakes(command: Callable, layers_bundle: Path, texts: list[str], options: list[str], line: str) -> None:
    code, out, err = command("quantize", layers_bundle, *texts, *options)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(line)  # TensorFlow may have written lines before
