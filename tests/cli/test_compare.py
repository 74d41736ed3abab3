import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 sources; the references are the same, so a bundle that repeats its source is always right."""
    lines = [f"{'abcd'[n % 4]} de f {'abcd'[n // 4 % 4]}{'ef'[n % 2]} c" for n in range(40)]
    half = [line if n % 2 else line.replace("de", "ed") for n, line in enumerate(lines)]
    wrong = ["f" for _ in lines]
    for name, content in (("source", lines), ("right", lines), ("half", half), ("wrong", wrong)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in content))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_in_a_table(command: Callable, folder: Path) -> None:
    code, out, err = command("compare", "half", "right", "wrong", "--reference", "source", "--metric", "exact_match")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert out.startswith("40 sentences, drawn 1,000 times; ")
    assert rows[-3][:3] == ["exact_match", "half", "50.00"] and len(rows[-3]) == 6
    assert rows[-2] == ["right", "100.00", "100.00", "to", "100.00", "0.0010"]
    assert rows[-1] == ["wrong", "0.00", "0.00", "to", "0.00", "0.0010"]


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_no_name_and_no_value_is_cut_in_a_narrow_terminal(
    command: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "a-system-with-a-name-that-is-longer-than-most-terminals-are-wide/outputs-of-the-last-model.txt"
    Path(long).parent.mkdir()
    Path(long).write_text(Path("half").read_text())
    _, out, _ = command("compare", "right", long, "--reference", "source", "--metric", "bleu_tokenized")
    rows = [line.split() for line in out.splitlines()]
    assert rows[-2] == ["bleu_tokenized", "right", "100.00", "100.00", "to", "100.00"]
    assert rows[-1][0] == long and len(rows[-1]) == 6


def test_references_without_spaces_are_told(command: Callable, folder: Path) -> None:
    Path("thai").write_text("ฉันชอบแมวมาก\nวันนี้อากาศดีมาก\n", encoding="utf-8")
    Path("same").write_text(Path("thai").read_text(encoding="utf-8"), encoding="utf-8")
    code, _, err = command("compare", "thai", "same", "--reference", "thai", "--resamples", "5")
    assert code == 0
    assert err == (
        "keras-s2s: the references have no spaces between words (Thai), and bleu compares words; "
        "take bleu_char or chrf in place of bleu\n"
    )


def test_a_bundle_and_a_file_as_json(command: Callable, echo_bundle: Path, folder: Path) -> None:
    texts = ["--source", "source", "--reference", "right", "--precision", "fp32"]
    code, out, err = command("compare", echo_bundle, "half", *texts, "--json", "--seed", "3", "--resamples", "200")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["sentences"], found["resamples"], found["seed"]) == (40, 200, 3)
    assert list(found["metrics"]) == list(found["signatures"]) == ["bleu", "chrf"]
    first, second = found["metrics"]["bleu"]
    assert (first["system"], second["system"]) == (str(echo_bundle), "half")
    assert first["score"] == pytest.approx(100)
    assert first["p_value"] is None
    assert second["p_value"] == pytest.approx(1 / 201)
    assert second["interval"][0] < second["score"] < second["interval"][1]
    assert (
        json.loads(command("compare", echo_bundle, "half", *texts, "--json", "--seed", "3", "--resamples", "200")[1])
        == found
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["half"], "compare: one system only, half; give at least two"),
        (["half", "half"], "compare: half is given twice; give each system once"),
        (["half", "nowhere"], "nowhere: no such file; expected a bundle, or a file of outputs, one a line"),
        (["half", "."], ".: a bundle needs texts to decode; say which with --source"),
        (["half", "short"], "short has 1 lines and right has 40; give one line for each"),
        (["half", ".", "--source", "short"], "short has 1 lines and right has 40; they must be pairs"),
        (["half", ".", "--source", "source"], "bundle.json"),
        (["half", "right", "--metric", "blue"], "metrics: blue: unknown metric; did you mean 'bleu'?"),
        (["half", "right", "--seed", "0"], "'--seed': "),
        (["half", "right", "--reference", "nowhere"], "nowhere: cannot be read: No such file or directory"),
    ],
)
def test_mistakes(command: Callable, folder: Path, arguments: list[str], message: str) -> None:
    (folder / "short").write_text("a\n")
    given = arguments if "--reference" in arguments else [*arguments, "--reference", "right"]
    code, out, err = command("compare", *given)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
